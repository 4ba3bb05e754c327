/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_ADD_DSP_H
#define TE_ADD_DSP_H

#include "te.h"

/* Elementwise sum or difference, for cores with the DSP extension. The reference scales operands
 * and sum in three steps, each rounded; codegen proves for all 65,536 pairs of values that its
 * result is
 *
 *     (in1 * in1_multiplier + in2 * in2_multiplier + base) >> shift
 *
 * saturated to int8. For the meaning of constant, row, pitch and step of an operand see
 * te_operand.h. */
typedef struct {
    const int8_t *in1_constant;
    int32_t in1_row;
    int32_t in1_pitch;
    int32_t in1_step;
    int32_t in1_multiplier;
    const int8_t *in2_constant;
    int32_t in2_row;
    int32_t in2_pitch;
    int32_t in2_step;
    int32_t in2_multiplier;
    int32_t base;
    int32_t shift;
    int32_t out_min;
    int32_t out_max;
    int32_t channels;
    int32_t out_pitch;
} te_add_dsp_params;

te_rows_fn te_add_dsp;

#endif
