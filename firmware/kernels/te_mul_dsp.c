/* SPDX-License-Identifier: MIT-0 */
#include "te_mul_dsp.h"

#include "te_dsp.h"
#include "te_pairs_dsp.h"

/* `n` values; where `clamped`, the activation's limits are narrower than int8. */
static inline void multiply_values(const te_mul_dsp_params *p, const int8_t *x, const int8_t *y,
                                   int8_t *out, int32_t n, int32_t clamped)
{
    const int32_t x_step = p->in1_step;
    const int32_t y_step = p->in2_step;
    const int32_t two = p->two;
    const int32_t x_base = -p->in1_zero_point * two;
    const int32_t y_zero = p->in2_zero_point;
    const int32_t multiplier = p->multiplier;
    const int32_t constant = p->constant;
    const int32_t shift = p->shift;
    for (const int8_t *end = out + n; out != end;) {
        const int32_t product = (*x * two + x_base) * (*y - y_zero);
        const int32_t scaled = te_smmlar(product, multiplier, constant + (product >> 31));
        int32_t value = te_ssat8(scaled >> shift);
        x += x_step;
        y += y_step;
        if (clamped) {
            value = value > p->out_max ? p->out_max : value;
            value = value < p->out_min ? p->out_min : value;
        }
        *out++ = (int8_t)value;
    }
}

static void multiply_run(const void *params, const int8_t *a, const int8_t *b, int8_t *out,
                         int32_t n)
{
    const te_mul_dsp_params *p = params;
    if (p->out_min > INT8_MIN || p->out_max < INT8_MAX) {
        multiply_values(p, a, b, out, n, 1);
    } else {
        multiply_values(p, a, b, out, n, 0);
    }
}

void te_mul_dsp(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                void *scratch)
{
    const te_mul_dsp_params *p = params;
    const te_pairs pairs = {{p->in1_constant, p->in1_row, p->in1_pitch, p->in1_step},
                            {p->in2_constant, p->in2_row, p->in2_pitch, p->in2_step},
                            p->channels,
                            p->out_pitch};
    (void)scratch;
    te_for_runs(&pairs, multiply_run, p, in_rows, in_x0, out_rows, n_rows, y, x0, x1);
}
