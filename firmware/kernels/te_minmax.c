/* SPDX-License-Identifier: MIT-0 */
#include "te_minmax.h"

#include "te_operand.h"

static inline void choose_rows(const te_minmax_params *p, const int8_t *const *in_rows,
                               int32_t in_x0, int8_t *const *out_rows, int32_t n_rows, int32_t y,
                               int32_t x0, int32_t x1, int larger)
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
                const int8_t first = a[c * in1.step];
                const int8_t second = b[c * in2.step];
                out[c] = (first > second) == larger ? first : second;
            }
            a += in1.pitch;
            b += in2.pitch;
            out += p->out_pitch;
        }
    }
}

void te_minimum(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                void *scratch)
{
    (void)scratch;
    choose_rows(params, in_rows, in_x0, out_rows, n_rows, y, x0, x1, 0);
}

void te_maximum(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                void *scratch)
{
    (void)scratch;
    choose_rows(params, in_rows, in_x0, out_rows, n_rows, y, x0, x1, 1);
}
