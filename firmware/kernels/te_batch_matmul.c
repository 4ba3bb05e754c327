/* SPDX-License-Identifier: MIT-0 */
#include "te_batch_matmul.h"

#include "te_fixed_point.h"

/* One output pixel: `a` has depth values a_step apart, column c of `b` begins b_pitch * c after
 * `b` and has values b_step apart. */
static void product(const te_batch_matmul_params *p, const int8_t *a, int32_t a_step,
                    const int8_t *b, int32_t b_step, int32_t b_pitch, int8_t *out)
{
    int32_t sum = 0;
    for (int32_t k = 0; k < p->depth; k++) {
        sum += a[k * a_step] - p->in1_zero_point;
    }
    for (int32_t c = 0; c < p->channels; c++) {
        const int8_t *x = a;
        const int8_t *w = b + c * b_pitch;
        int32_t acc = -sum * p->in2_zero_point;
        for (int32_t k = 0; k < p->depth; k++) {
            acc += (*x - p->in1_zero_point) * *w;
            x += a_step;
            w += b_step;
        }
        acc = te_requantize(acc, p->out_multiplier, p->out_shift) + p->out_zero_point;
        out[c] = (int8_t)te_clamp(acc, INT8_MIN, INT8_MAX);
    }
}

void te_batch_matmul(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                     int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                     void *scratch)
{
    const te_batch_matmul_params *p = params;
    const int32_t in1_rows = p->in1_constant != NULL ? 0 : (p->in1_shared ? 1 : n_rows);
    const int8_t *const *in2_rows = in_rows + in1_rows;
    const int32_t a_pitch = p->in1_adjoint ? 1 : p->in1_pitch;
    const int32_t origin = p->in1_adjoint || p->in1_constant != NULL ? 0 : in_x0;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        const int8_t *a = p->in1_constant != NULL ? p->in1_constant + (y + r) * p->in1_row
                                                  : in_rows[p->in1_shared ? 0 : r];
        const int8_t *b = p->in2_constant != NULL ? p->in2_constant + (y + r) * p->in2_row
                                                  : in2_rows[p->in2_shared ? 0 : r];
        for (int32_t x = x0; x < x1; x++) {
            product(p, a + (x - origin) * a_pitch, p->in1_adjoint ? p->in1_pitch : 1, b,
                    p->in2_adjoint ? 1 : p->in2_pitch, p->in2_adjoint ? p->in2_pitch : 1,
                    out_rows[r] + (x - x0) * p->out_pitch);
        }
    }
}
