/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_SLICE_H
#define TE_SLICE_H

#include "te.h"

/* Every row_step-th of the rows handed in, of them the columns from `first_column` in steps of
 * `column_step`, of them the channels from `first_channel` in steps of `channel_step`. Steps of
 * columns and channels may be negative. Pitches are in channels per pixel. */
typedef struct {
    int32_t row_step;
    int32_t first_column;
    int32_t column_step;
    int32_t first_channel;
    int32_t channel_step;
    int32_t channels;
    int32_t in_pitch;
    int32_t out_pitch;
} te_slice_params;

te_rows_fn te_slice;

#endif
