/* SPDX-License-Identifier: MIT-0 */
#include "te_l2_normalization.h"

#include "te_fixed_point.h"

enum { OUTPUT_BITS = 7 };

static void normalize(const te_l2_normalization_params *p, const int8_t *in, int8_t *out)
{
    int32_t squares = 0;
    for (int32_t c = 0; c < p->channels; c++) {
        const int32_t x = in[c] - p->in_zero_point;
        squares += x * x;
    }
    int32_t shift;
    const int32_t multiplier = te_inverse_square_root(squares, &shift);
    for (int32_t c = 0; c < p->channels; c++) {
        const int32_t x = in[c] - p->in_zero_point;
        out[c] =
            (int8_t)te_clamp(te_requantize(x, multiplier, shift + OUTPUT_BITS), INT8_MIN, INT8_MAX);
    }
}

void te_l2_normalization(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                         int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                         void *scratch)
{
    const te_l2_normalization_params *p = params;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        const int8_t *in = in_rows[r] + (x0 - in_x0) * p->in_pitch;
        int8_t *out = out_rows[r];
        for (int32_t x = x0; x < x1; x++) {
            normalize(p, in, out);
            in += p->in_pitch;
            out += p->out_pitch;
        }
    }
}
