/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_AVERAGE_POOL_2D_H
#define TE_AVERAGE_POOL_2D_H

#include "te.h"

/* Mean of the taps inside the image, rounded to the nearest: halves away from zero, or up where
 * `halves_up` is 1. Pitches are in channels per pixel. */
typedef struct {
    int32_t in_width;
    int32_t in_pitch;
    int32_t channels;
    int32_t out_pitch;
    int32_t filter_height;
    int32_t filter_width;
    int32_t stride_y;
    int32_t stride_x;
    int32_t pad_left;
    int32_t out_min;
    int32_t out_max;
    int32_t halves_up;
} te_average_pool_2d_params;

te_rows_fn te_average_pool_2d;

/* One window that covers the whole map of `count` pixels. The state is one int32_t per channel. */
typedef struct {
    int32_t in_pitch;
    int32_t channels;
    int32_t count;
    int32_t out_min;
    int32_t out_max;
    int32_t halves_up;
} te_average_pool_2d_global_params;

extern const te_accumulate te_average_pool_2d_global;

#endif
