/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_DEPTHWISE_CONV_2D_H
#define TE_DEPTHWISE_CONV_2D_H

#include "te.h"

/* Convolution of each input channel with `depth_multiplier` filters of its own.
 * `bias` holds the input zero point folded in, so that a tap outside the image counts as the
 * input zero point. Pitches are in channels per pixel. */
typedef struct {
    const int8_t *weights;     /* [kernel_height][kernel_width][out_channels] */
    const int32_t *bias;       /* [out_channels] */
    const int32_t *multiplier; /* [out_channels] */
    const int32_t *shift;      /* [out_channels] */
    int32_t in_width;
    int32_t in_pitch;
    int32_t out_pitch;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride_y;
    int32_t stride_x;
    int32_t dilation_y;
    int32_t dilation_x;
    int32_t pad_left;
    int32_t in_zero_point;
    int32_t out_zero_point;
    int32_t out_min;
    int32_t out_max;
    int32_t in_channels;
    int32_t depth_multiplier; /* out_channels / in_channels */
} te_depthwise_conv_2d_params;

te_rows_fn te_depthwise_conv_2d;

#endif
