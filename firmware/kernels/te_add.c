/* SPDX-License-Identifier: MIT-0 */
#include "te_add.h"

#include "te_fixed_point.h"
#include "te_operand.h"

enum { LEFT_SHIFT = 20 }; /* binary places that operands gain before they are scaled */

/* a + sign * b */
static inline int8_t add(const te_add_params *p, int32_t a, int32_t b, int32_t sign)
{
    const int32_t one = INT32_C(1) << LEFT_SHIFT;
    const int32_t scaled_a =
        te_requantize((a - p->in1_zero_point) * one, p->in1_multiplier, p->in1_shift);
    const int32_t scaled_b =
        te_requantize((b - p->in2_zero_point) * one, p->in2_multiplier, p->in2_shift);
    const int32_t sum = te_requantize(scaled_a + sign * scaled_b, p->out_multiplier, p->out_shift);
    return (int8_t)te_clamp(sum + p->out_zero_point, p->out_min, p->out_max);
}

static inline void add_rows(const te_add_params *p, const int8_t *const *in_rows, int32_t in_x0,
                            int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0,
                            int32_t x1, int32_t sign)
{
    const te_operand in1 = {p->in1_constant, p->in1_row, p->in1_pitch, p->in1_step};
    const te_operand in2 = {p->in2_constant, p->in2_row, p->in2_pitch, p->in2_step};
    const int8_t *const *in2_rows = in_rows + te_operand_rows(&in1, n_rows);
    for (int32_t r = 0; r < n_rows; r++) {
        const int8_t *a = te_operand_at(&in1, in_rows, in_x0, r, y, x0);
        const int8_t *b = te_operand_at(&in2, in2_rows, in_x0, r, y, x0);
        int8_t *out = out_rows[r];
        for (int32_t x = x0; x < x1; x++) {
            for (int32_t c = 0; c < p->channels; c++) {
                out[c] = add(p, a[c * in1.step], b[c * in2.step], sign);
            }
            a += in1.pitch;
            b += in2.pitch;
            out += p->out_pitch;
        }
    }
}

void te_add(const void *params, const int8_t *const *in_rows, int32_t in_x0,
            int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
            void *scratch)
{
    (void)scratch;
    add_rows(params, in_rows, in_x0, out_rows, n_rows, y, x0, x1, 1);
}

void te_subtract(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                 int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                 void *scratch)
{
    (void)scratch;
    add_rows(params, in_rows, in_x0, out_rows, n_rows, y, x0, x1, -1);
}
