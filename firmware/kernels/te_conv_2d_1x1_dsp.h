/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_CONV_2D_1X1_DSP_H
#define TE_CONV_2D_1X1_DSP_H

#include "te.h"

/* Convolution with a 1x1 kernel, one group and no padding, for the DSP extension. The weights are
 * packed as te_product_dsp.h says. Scratch: 16 * groups * block_pixels bytes. */
typedef struct {
    const int32_t *weights;
    const int8_t *constants; /* of one pixel, or null; see te_product_dsp.h */
    int32_t in_pitch;
    int32_t out_pitch;
    int32_t stride_x;
    int32_t in_channels;
    int32_t out_channels;
    int32_t pairs;  /* of computed output channels */
    int32_t groups; /* of four words per pair */
    int32_t block_pixels;
    int32_t rounding;
    int32_t out_min;
    int32_t out_max;
} te_conv_2d_1x1_dsp_params;

te_rows_fn te_conv_2d_1x1_dsp;

#endif
