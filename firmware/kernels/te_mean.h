/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_MEAN_H
#define TE_MEAN_H

#include "te.h"

/* Mean over rows, pixels, channels or any of them together. `offset` is the input zero point times
 * the number of values averaged; the multiplier contains the division by that number. Pitches are
 * in channels per pixel. */
typedef struct {
    int32_t in_rows;
    int32_t in_pixels;
    int32_t in_pitch;
    int32_t in_channels;
    int32_t out_pixels;
    int32_t out_pitch;
    int32_t out_channels;
    int32_t over_pixels;   /* 1 where the pixels of a row are averaged, else 0 */
    int32_t over_channels; /* 1 where the channels of a pixel are averaged, else 0 */
    int32_t offset;
    int32_t multiplier;
    int32_t shift;
    int32_t out_zero_point;
} te_mean_params;

/* Rows are not averaged and the output has the same rows. Where pixels are averaged, the input rows
 * must be whole. */
te_rows_fn te_mean;

/* Rows are not averaged, and the output, with fewer dimensions, has other rows. */
te_whole_fn te_mean_whole;

/* Rows are averaged. The state is one int32_t per output value. */
extern const te_accumulate te_mean_accumulate;

#endif
