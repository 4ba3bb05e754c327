/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_MUL_DSP_H
#define TE_MUL_DSP_H

#include "te.h"

/* Elementwise product, for cores with the DSP extension. Outputs are made of twice the product
 * of the operands less their zero points:
 *
 *     (constant - (product < 0) + round(product * multiplier / 2^32)) >> shift
 *
 * For the meaning of constant, row, pitch and step of an operand see te_operand.h. */
typedef struct {
    const int8_t *in1_constant;
    int32_t in1_row;
    int32_t in1_pitch;
    int32_t in1_step;
    int32_t in1_zero_point;
    const int8_t *in2_constant;
    int32_t in2_row;
    int32_t in2_pitch;
    int32_t in2_step;
    int32_t in2_zero_point;
    int32_t two; /* 2: handed in, so that compilers double and subtract in one instruction */
    int32_t multiplier;
    int32_t constant;
    int32_t shift;
    int32_t out_min;
    int32_t out_max;
    int32_t channels;
    int32_t out_pitch;
} te_mul_dsp_params;

te_rows_fn te_mul_dsp;

#endif
