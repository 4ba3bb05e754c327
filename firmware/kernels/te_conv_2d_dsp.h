/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_CONV_2D_DSP_H
#define TE_CONV_2D_DSP_H

#include "te.h"

/* Convolution with any kernel, stride, dilation and padding and one group, for the DSP extension.
 * The weights are packed as te_product_dsp.h says, each row of the kernel a run of its own.
 * Scratch: a tile of 16 * groups * block_pixels bytes, with `has_room` the 16 * groups + 32 of a
 * pair, and one row of a window. */
typedef struct {
    const int32_t *weights;
    const int8_t *constants; /* of one pixel, or null; see te_product_dsp.h */
    int32_t in_width;
    uint16_t in_pitch;
    uint16_t out_pitch;
    uint16_t kernel_height;
    uint16_t kernel_width;
    uint16_t stride_x;
    uint16_t dilation_y;
    uint16_t dilation_x;
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
} te_conv_2d_dsp_params;

te_rows_fn te_conv_2d_dsp;

#endif
