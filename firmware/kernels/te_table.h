/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_TABLE_H
#define TE_TABLE_H

#include "te.h"

/* Each value through a table. The output may lie over the input where no output pixel ends behind
 * its input pixel. Pitches are in channels per pixel. */
typedef struct {
    const int8_t *table; /* [256], for -128 first */
    int32_t in_pitch;
    int32_t out_pitch;
    int32_t channels;
} te_table_params;

te_rows_fn te_table;

#endif
