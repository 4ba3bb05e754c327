/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_MEAN_DSP_H
#define TE_MEAN_DSP_H

#include "te.h"

/* Mean over pixels, or over rows and pixels, channel by channel, for cores with the DSP extension.
 * `offset` is the input zero point times the number of values averaged. Outputs are made of twice
 * the sum less that:
 *
 *     (constant - (sum < 0) + round(sum * multiplier / 2^32)) >> shift */
typedef struct {
    int32_t pixels;
    int32_t in_pitch;
    int32_t channels;
    int32_t offset;
    int32_t multiplier;
    int32_t constant;
    int32_t shift;
} te_mean_dsp_params;

/* Rows are not averaged and the output has the same rows; the input rows must be whole. */
te_rows_fn te_mean_dsp;

/* Rows are averaged. The state is one int32_t per channel. */
extern const te_accumulate te_mean_accumulate_dsp;

#endif
