/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_REDUCE_MAX_H
#define TE_REDUCE_MAX_H

#include "te.h"

/* The largest value over rows, pixels, channels or any of them together. Pitches are in channels
 * per pixel. */
typedef struct {
    int32_t in_rows;
    int32_t in_pixels;
    int32_t in_pitch;
    int32_t in_channels;
    int32_t out_pixels;
    int32_t out_pitch;
    int32_t out_channels;
    int32_t over_pixels;   /* 1 where it goes over the pixels of a row, else 0 */
    int32_t over_channels; /* 1 where it goes over the channels of a pixel, else 0 */
} te_reduce_max_params;

/* It does not go over rows, and the output has the same rows. Where it goes over pixels, the input
 * rows must be whole. */
te_rows_fn te_reduce_max;

/* It does not go over rows, and the output, with fewer dimensions, has other rows. */
te_whole_fn te_reduce_max_whole;

/* It goes over rows. The state is one int8_t per output value. */
extern const te_accumulate te_reduce_max_accumulate;

#endif
