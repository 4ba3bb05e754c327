/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_CONV_2D_3X3_DSP_H
#define TE_CONV_2D_3X3_DSP_H

#include "te.h"

/* Convolution with a 3x3 kernel, stride 1 and no dilation along rows, one group and a multiple of 8
 * input channels, for the DSP extension.
 *
 * The windows of a block of three pixels overlap: they cover five columns. A tile holds each of
 * them once, and the weights are packed as te_product_dsp.h says, but the three columns of the
 * kernel are innermost: row of the kernel, word of the channels, column.
 *
 *     tile     word 0 of columns 0 1 2 3 4 | word 1 of columns 0 1 2 3 4 | ...
 *     weights  word 0 of columns 0 1 2     | word 1 of columns 0 1 2     | ...
 *
 * Scratch: 6 * in_channels bytes for each column of each three of `block_pixels` pixels, and with
 * `has_room` the 18 * in_channels + 32 of a pair. */
typedef struct {
    const int32_t *weights;
    const int8_t *constants; /* of one pixel, or null; see te_product_dsp.h */
    int32_t in_width;
    uint16_t in_pitch;
    uint16_t out_pitch;
    uint16_t dilation_y;
    uint16_t pad_left;
    uint16_t in_channels;
    uint16_t out_channels;
    uint16_t pairs;  /* of computed output channels */
    uint16_t groups; /* of four words per pair */
    uint8_t block_pixels;
    uint8_t rounding;
    uint8_t has_room; /* for a copy of what a pair reads */
    int8_t in_zero_point;
    int8_t out_min;
    int8_t out_max;
} te_conv_2d_3x3_dsp_params;

te_rows_fn te_conv_2d_3x3_dsp;

#endif
