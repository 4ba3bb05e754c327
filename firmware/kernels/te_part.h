/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_PART_H
#define TE_PART_H

#include "te.h"

/* One tensor as several. `size` is, of each output: its channels (te_part_channels), or the bytes
 * that it takes in each of `turns` turns (te_part_whole). */
typedef struct {
    int32_t count; /* outputs */
    int32_t turns;
    const int32_t *size; /* [count] */
    int32_t in_pitch;
} te_part_params;

te_rows_fn te_part_channels;
te_whole_fn te_part_whole;

#endif
