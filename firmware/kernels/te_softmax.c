/* SPDX-License-Identifier: MIT-0 */
#include "te_softmax.h"

#include "te_fixed_point.h"

/* exp(beta * scale * diff) in 0.31 fixed point, for diff_min <= diff <= 0. */
static int32_t scaled_exp(const te_softmax_params *p, int32_t diff)
{
    const int32_t shifted = (int32_t)((uint32_t)diff << p->shift);
    return te_exp_on_negative_values(te_high_multiply(shifted, p->multiplier));
}

static void softmax(const te_softmax_params *p, const int8_t *in, int8_t *out)
{
    const int32_t max = te_softmax_largest(in, p->channels);
    int32_t sum = 0;
    int32_t scale = 0;
    int32_t exponent = TE_SOFTMAX_SUM_SHIFT;
    for (int32_t writes = 0; writes < 2; writes++) { /* one loop, so that its code is there once */
        for (int32_t c = 0; c < p->channels; c++) {
            int32_t value = 0;
            if (in[c] - max >= p->diff_min && exponent <= 31) {
                value = scaled_exp(p, in[c] - max);
                value = te_round_shift(writes ? te_high_multiply(scale, value) : value, exponent);
            }
            if (writes) {
                out[c] = (int8_t)te_clamp(value + INT8_MIN, INT8_MIN, INT8_MAX);
            } else {
                sum += value;
            }
        }
        if (!writes) {
            scale = te_reciprocal(sum, &exponent);
            exponent += 23; /* from 31 to 8 binary places, and 1 / 2^bits */
        }
    }
}

void te_softmax(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                void *scratch)
{
    const te_softmax_params *p = params;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        const int8_t *in = in_rows[r] + (x0 - in_x0) * p->in_pitch;
        int8_t *out = out_rows[r];
        for (int32_t x = x0; x < x1; x++) {
            softmax(p, in, out);
            in += p->in_pitch;
            out += p->out_pitch;
        }
    }
}
