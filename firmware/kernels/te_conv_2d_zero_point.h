/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_CONV_2D_ZERO_POINT_H
#define TE_CONV_2D_ZERO_POINT_H

#include "te.h"

/* Convolution whose weights have a zero point, as models from before int8 have it: acc is
 * bias + sum(x * (w - weight_zero_point)). Of a depthwise one every input channel is a group.
 * `bias` holds the input zero point folded in, so that a tap outside the image counts as the
 * input zero point. Channel counts are per group, pitches in channels per pixel. */
typedef struct {
    const int8_t *weights; /* [groups * out_channels][kernel_height][kernel_width][in_channels] */
    const int32_t *bias;   /* [groups * out_channels] */
    const int32_t *multiplier; /* [groups * out_channels] */
    const int32_t *shift;      /* [groups * out_channels] */
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
    int32_t out_channels;
    int32_t groups;
    int32_t weight_zero_point;
} te_conv_2d_zero_point_params;

te_rows_fn te_conv_2d_zero_point;

#endif
