/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_CONV_2D_GROUPED_DSP_H
#define TE_CONV_2D_GROUPED_DSP_H

#include "te.h"

/* Convolution with any kernel, stride, dilation and padding and several groups, for the DSP
 * extension: group by group a convolution of its own, which reads its part of an input pixel's
 * channels and writes its part of an output pixel's.
 *
 * The weights of a group follow those of the one before, packed as te_product_dsp.h says, each tap
 * a run of its own. Channel counts are per group, pitches in channels per pixel. Scratch: a tile of
 * 16 * words * block_pixels bytes, and with `has_room` the 16 * words + 32 of a pair. */
typedef struct {
    const int32_t *weights;
    const int32_t *pairs;    /* [groups], of computed output channels */
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
    uint16_t groups;
    uint16_t words; /* of a pair of channels, in fours */
    uint8_t block_pixels;
    uint8_t rounding;
    uint8_t has_room; /* for a copy of what a pair reads */
    int8_t in_zero_point;
    int8_t out_min;
    int8_t out_max;
} te_conv_2d_grouped_dsp_params;

te_rows_fn te_conv_2d_grouped_dsp;

#endif
