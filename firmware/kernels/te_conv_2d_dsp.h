/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_CONV_2D_DSP_H
#define TE_CONV_2D_DSP_H

#include "te.h"

/* Convolution with any kernel, stride, dilation and padding and one group, for the DSP extension.
 * The weights are packed as te_product_dsp.h says, each row of the kernel a run of its own.
 * Scratch: a tile of 16 * groups * block_pixels bytes, and one row of a window. */
typedef struct {
    const int32_t *weights;
    const int8_t *constants; /* of one pixel, or null; see te_product_dsp.h */
    int32_t in_width;
    int32_t in_pitch;
    int32_t out_pitch;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride_x;
    int32_t dilation_y;
    int32_t dilation_x;
    int32_t pad_left;
    int32_t in_zero_point;
    int32_t in_channels;
    int32_t out_channels;
    int32_t pairs;  /* of computed output channels */
    int32_t groups; /* of four words per pair */
    int32_t block_pixels;
    int32_t rounding;
    int32_t out_min;
    int32_t out_max;
} te_conv_2d_dsp_params;

te_rows_fn te_conv_2d_dsp;

#endif
