/* SPDX-License-Identifier: MIT-0 */
#include "te_softmax_table.h"

#include "te_fixed_point.h"

static int32_t sum_of_exps(const te_softmax_table_params *p, const int8_t *in, int32_t max)
{
    int32_t sum = 0;
    for (int32_t c = 0; c < p->channels; c++) {
        const int32_t below = max - in[c];
        if (below < p->entries) { /* not negative: halves go up */
            sum += (int32_t)(((uint32_t)p->exps[below] + (1u << (TE_SOFTMAX_SUM_SHIFT - 1))) >>
                             TE_SOFTMAX_SUM_SHIFT);
        }
    }
    return sum;
}

static void softmax(const te_softmax_table_params *p, const int8_t *in, int8_t *out)
{
    const int32_t max = te_softmax_largest(in, p->channels);
    int32_t exponent;
    const int32_t scale = te_reciprocal(sum_of_exps(p, in, max), &exponent);
    const int32_t entries = exponent + 23 <= 31 ? p->entries : 0;
    exponent += 23; /* from 31 to 8 binary places, and 1 / 2^bits */
    for (int32_t c = 0; c < p->channels; c++) {
        const int32_t below = max - in[c];
        int32_t value = INT8_MIN;
        if (below < entries) {
            value += te_round_shift(te_high_multiply(scale, p->exps[below]), exponent);
        }
        out[c] = (int8_t)(value > INT8_MAX ? INT8_MAX : value);
    }
}

void te_softmax_table(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                      int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                      void *scratch)
{
    const te_softmax_table_params *p = params;
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
