/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_TRANSPOSE_CONV_H
#define TE_TRANSPOSE_CONV_H

#include "te.h"

/* Transposed convolution: input pixel i meets output pixels i * stride - pad + k with weight k.
 * `in_count` input rows are handed in for an output row. One output row per call. Pitches are in
 * channels per pixel. */
typedef struct {
    const int8_t *weights;     /* [out_channels][kernel_height][kernel_width][in_channels] */
    const int32_t *bias;       /* [out_channels] */
    const int32_t *multiplier; /* [out_channels] */
    const int32_t *shift;      /* [out_channels] */
    int32_t in_width;
    int32_t in_pitch;
    int32_t out_pitch;
    int32_t in_count;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride_y;
    int32_t stride_x;
    int32_t pad_top;
    int32_t pad_left;
    int32_t in_zero_point;
    int32_t out_zero_point;
    int32_t out_min;
    int32_t out_max;
    int32_t in_channels;
    int32_t out_channels;
} te_transpose_conv_params;

te_rows_fn te_transpose_conv;

#endif
