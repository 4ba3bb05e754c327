/* SPDX-License-Identifier: MIT-0 */
#include "te_prelu.h"

#include "te_fixed_point.h"
#include "te_operand.h"

static int8_t prelu(const te_prelu_params *p, int32_t in, int32_t alpha)
{
    const int32_t x = in - p->in1_zero_point;
    int32_t scaled;
    if (x >= 0) {
        scaled = te_requantize(x, p->in1_multiplier, p->in1_shift);
    } else {
        scaled = te_requantize(x * (alpha - p->in2_zero_point), p->out_multiplier, p->out_shift);
    }
    return (int8_t)te_clamp(scaled + p->out_zero_point, p->out_min, p->out_max);
}

void te_prelu(const void *params, const int8_t *const *in_rows, int32_t in_x0,
              int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
              void *scratch)
{
    const te_prelu_params *p = params;
    const te_operand in1 = {p->in1_constant, p->in1_row, p->in1_pitch, p->in1_step};
    const te_operand in2 = {p->in2_constant, p->in2_row, p->in2_pitch, p->in2_step};
    const int8_t *const *in2_rows = in_rows + te_operand_rows(&in1, n_rows);
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        const int8_t *in = te_operand_at(&in1, in_rows, in_x0, r, y, x0);
        const int8_t *alpha = te_operand_at(&in2, in2_rows, in_x0, r, y, x0);
        int8_t *out = out_rows[r];
        for (int32_t x = x0; x < x1; x++) {
            for (int32_t c = 0; c < p->channels; c++) {
                out[c] = prelu(p, in[c * in1.step], alpha[c * in2.step]);
            }
            in += in1.pitch;
            alpha += in2.pitch;
            out += p->out_pitch;
        }
    }
}
