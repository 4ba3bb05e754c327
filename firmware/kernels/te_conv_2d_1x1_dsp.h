/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_CONV_2D_1X1_DSP_H
#define TE_CONV_2D_1X1_DSP_H

#include "te.h"

/* Convolution with a 1x1 kernel, one group and no padding, for the DSP extension. The weights are
 * packed as te_product_dsp.h says. Scratch: 16 * groups * block_pixels bytes, and with `has_room`
 * the 16 * groups + 32 of a pair. */
typedef struct {
    const int32_t *weights;
    const int8_t *constants; /* of one pixel, or null; see te_product_dsp.h */
    uint16_t in_pitch;
    uint16_t out_pitch;
    uint16_t stride_x;
    uint16_t in_channels;
    uint16_t out_channels;
    uint16_t pairs;  /* of computed output channels */
    uint16_t groups; /* of four words per pair */
    uint8_t block_pixels;
    uint8_t rounding;
    uint8_t has_room; /* for a copy of what a pair reads */
    int8_t out_min;
    int8_t out_max;
} te_conv_2d_1x1_dsp_params;

te_rows_fn te_conv_2d_1x1_dsp;

#endif
