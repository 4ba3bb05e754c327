/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_BATCH_MATMUL_H
#define TE_BATCH_MATMUL_H

#include "te.h"

/* Matrix products: pixel i of a row of the first operand times the whole row of the second, which
 * is a matrix of `depth` pixels of `channels` values. An operand that is `adjoint` is stored with
 * pixels and channels exchanged. A constant operand has `row` values from one matrix to the next,
 * 0 where there is only one. Of an activation of one row (`shared`), one row serves all. */
typedef struct {
    const int8_t *in1_constant;
    int32_t in1_row;
    int32_t in1_shared;
    int32_t in1_pitch;
    int32_t in1_adjoint;
    int32_t in1_zero_point;
    const int8_t *in2_constant;
    int32_t in2_row;
    int32_t in2_shared;
    int32_t in2_pitch;
    int32_t in2_adjoint;
    int32_t in2_zero_point;
    int32_t depth;
    int32_t channels;
    int32_t out_pitch;
    int32_t out_multiplier;
    int32_t out_shift;
    int32_t out_zero_point;
} te_batch_matmul_params;

te_rows_fn te_batch_matmul; /* reads whole rows of the second operand, and of an adjoint first */

#endif
