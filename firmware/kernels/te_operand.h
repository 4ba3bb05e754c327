/* SPDX-License-Identifier: MIT-0 */
/* Operands of elementwise kernels: rows of an activation, or a constant; of the output's rows,
 * pixels and channels, or with one of them for all. */
#ifndef TE_OPERAND_H
#define TE_OPERAND_H

#include "te.h"

typedef struct {
    const int8_t *constant; /* null where rows are handed in */
    int32_t row;            /* values from one row to the next, 0 where all share one */
    int32_t pitch;          /* values from one pixel to the next, 0 where all share one */
    int32_t step;           /* values from one channel to the next, 0 where all share one */
} te_operand;

/* How many of `in_rows` belong to this operand. */
static inline int32_t te_operand_rows(const te_operand *o, int32_t n_rows)
{
    if (o->constant != NULL) {
        return 0;
    }
    return o->row == 0 ? 1 : n_rows;
}

/* The operand's values at column x0 of output row y + r. */
static inline const int8_t *te_operand_at(const te_operand *o, const int8_t *const *in_rows,
                                          int32_t in_x0, int32_t r, int32_t y, int32_t x0)
{
    if (o->constant != NULL) {
        return o->constant + (y + r) * o->row + x0 * o->pitch;
    }
    return in_rows[o->row == 0 ? 0 : r] + (x0 - in_x0) * o->pitch;
}

#endif
