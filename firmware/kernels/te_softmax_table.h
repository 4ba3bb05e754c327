/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_SOFTMAX_TABLE_H
#define TE_SOFTMAX_TABLE_H

#include "te_softmax.h"

/* Softmax over the channels of each pixel, as te_softmax, with exponentials from a table: an input
 * lies between 0 and 255 below the largest of its pixel. */
typedef struct {
    const int32_t *exps; /* 0.31 fixed point, of inputs that are 0, 1, 2 ... below the largest */
    int32_t entries;     /* behind them exponentials are 0 */
    int32_t channels;
    int32_t in_pitch;
    int32_t out_pitch;
} te_softmax_table_params;

te_rows_fn te_softmax_table;

#endif
