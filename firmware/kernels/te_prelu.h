/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_PRELU_H
#define TE_PRELU_H

#include "te.h"

/* in1, or in1 * in2 where in1 is below its zero point. For the meaning of constant, row, pitch and
 * step see te_operand.h. */
typedef struct {
    const int8_t *in1_constant;
    int32_t in1_row;
    int32_t in1_pitch;
    int32_t in1_step;
    int32_t in1_zero_point;
    int32_t in1_multiplier;
    int32_t in1_shift;
    const int8_t *in2_constant;
    int32_t in2_row;
    int32_t in2_pitch;
    int32_t in2_step;
    int32_t in2_zero_point;
    int32_t channels;
    int32_t out_pitch;
    int32_t out_zero_point;
    int32_t out_multiplier; /* of the product */
    int32_t out_shift;
    int32_t out_min;
    int32_t out_max;
} te_prelu_params;

te_rows_fn te_prelu;

#endif
