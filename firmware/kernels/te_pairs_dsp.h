/* SPDX-License-Identifier: MIT-0 */
/* The way of elementwise kernels with two operands through rows and pixels: in runs that are as
 * long as the operands allow. */
#ifndef TE_PAIRS_DSP_H
#define TE_PAIRS_DSP_H

#include "te_operand.h"

/* `n` values of the output from as many of each operand, or from one of an operand whose step is
 * 0. */
typedef void te_run_fn(const void *params, const int8_t *a, const int8_t *b, int8_t *out,
                       int32_t n);

typedef struct {
    te_operand in1;
    te_operand in2;
    int32_t channels;
    int32_t out_pitch;
} te_pairs;

static inline int32_t te_operand_is_dense(const te_operand *o, int32_t channels)
{
    return o->step == 0 ? o->pitch == 0 : o->pitch == channels;
}

static inline void te_for_runs(const te_pairs *p, te_run_fn *run, const void *params,
                               const int8_t *const *in_rows, int32_t in_x0, int8_t *const *out_rows,
                               int32_t n_rows, int32_t y, int32_t x0, int32_t x1)
{
    const int8_t *const *in2_rows = in_rows + te_operand_rows(&p->in1, n_rows);
    const int32_t dense = p->out_pitch == p->channels &&
                          te_operand_is_dense(&p->in1, p->channels) &&
                          te_operand_is_dense(&p->in2, p->channels);
    const int32_t n = dense ? (x1 - x0) * p->channels : p->channels;
    const int32_t runs = dense ? 1 : x1 - x0;
    for (int32_t r = 0; r < n_rows; r++) {
        const int8_t *a = te_operand_at(&p->in1, in_rows, in_x0, r, y, x0);
        const int8_t *b = te_operand_at(&p->in2, in2_rows, in_x0, r, y, x0);
        int8_t *out = out_rows[r];
        for (int32_t i = 0; i < runs; i++) {
            run(params, a, b, out, n);
            a += p->in1.pitch;
            b += p->in2.pitch;
            out += p->out_pitch;
        }
    }
}

#endif
