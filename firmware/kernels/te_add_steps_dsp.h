/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_ADD_STEPS_DSP_H
#define TE_ADD_STEPS_DSP_H

#include "te.h"

/* Elementwise sum of two activations of one shape, for cores with the DSP extension,
 * rounded in the reference's own steps: where te_add_dsp.h's single one is not the same.
 *
 * The operand with the larger scale is multiplied by exactly 1/2, which is a shift; the other by
 * `small_multiplier` / 2^31 and a rounding shift:
 *
 *     small    x * small_one + small_base      the value less its zero point, scaled up
 *              (small_half - (x < 0) + round(x * small_multiplier / 2^32)) >> small_shift
 *     acc      large * 2^19 + small + large_base
 *     out      (constant - (acc < 0) + round(2 * acc * multiplier / 2^32)) >> shift */
typedef struct {
    int32_t large; /* which operand has the larger scale: 0 or 1 */
    int32_t large_base;
    int32_t small_one;
    int32_t small_base;
    int32_t small_multiplier;
    int32_t small_half;
    int32_t small_shift;
    int32_t multiplier;
    int32_t constant;
    int32_t shift;
    int32_t out_min;
    int32_t out_max;
    int32_t channels;
    int32_t in1_pitch;
    int32_t in2_pitch;
    int32_t out_pitch;
} te_add_steps_dsp_params;

te_rows_fn te_add_steps_dsp;

#endif
