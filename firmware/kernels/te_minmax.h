/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_MINMAX_H
#define TE_MINMAX_H

#include "te.h"

/* The smaller or the larger of two values. For the meaning of constant, row, pitch and step see
 * te_operand.h. */
typedef struct {
    const int8_t *in1_constant;
    int32_t in1_row;
    int32_t in1_pitch;
    int32_t in1_step;
    const int8_t *in2_constant;
    int32_t in2_row;
    int32_t in2_pitch;
    int32_t in2_step;
    int32_t channels;
    int32_t out_pitch;
} te_minmax_params;

te_rows_fn te_minimum;
te_rows_fn te_maximum;

#endif
