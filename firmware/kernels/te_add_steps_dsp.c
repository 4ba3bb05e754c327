/* SPDX-License-Identifier: MIT-0 */
#include "te_add_steps_dsp.h"

#include "te_dsp.h"

enum { LARGE_SHIFT = 19 };

/* `n` values one after another; where `clamped`, the activation's limits are narrower than int8. */
static inline void add_values(const te_add_steps_dsp_params *p, const int8_t *large,
                              const int8_t *small, int8_t *out, int32_t n, int32_t clamped)
{
    const int32_t large_base = p->large_base;
    const int32_t one = p->small_one;
    const int32_t small_base = p->small_base;
    const int32_t small_multiplier = p->small_multiplier;
    const int32_t small_half = p->small_half;
    const int32_t small_shift = p->small_shift;
    const int32_t multiplier = p->multiplier;
    const int32_t constant = p->constant;
    const int32_t shift = p->shift;
    for (const int8_t *end = large + n; large != end;) {
        const int32_t x = *small++ * one + small_base;
        const int32_t scaled = te_smmlar(x, small_multiplier, small_half + (x >> 31));
        const int32_t base = (scaled >> small_shift) + large_base;
        const int32_t acc = base + *large++ * (1 << LARGE_SHIFT);
        const int32_t sum = te_smmlar(acc * 2, multiplier, constant + (acc >> 31));
        int32_t value = te_ssat8(sum >> shift);
        if (clamped) {
            value = value > p->out_max ? p->out_max : value;
            value = value < p->out_min ? p->out_min : value;
        }
        *out++ = (int8_t)value;
    }
}

static void add_run(const te_add_steps_dsp_params *p, const int8_t *in1, const int8_t *in2,
                    int8_t *out, int32_t n)
{
    const int8_t *large = p->large == 0 ? in1 : in2;
    const int8_t *small = p->large == 0 ? in2 : in1;
    if (p->out_min > INT8_MIN || p->out_max < INT8_MAX) {
        add_values(p, large, small, out, n, 1);
    } else {
        add_values(p, large, small, out, n, 0);
    }
}

void te_add_steps_dsp(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                      int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                      void *scratch)
{
    const te_add_steps_dsp_params *p = params;
    const int32_t dense =
        p->in1_pitch == p->channels && p->in2_pitch == p->channels && p->out_pitch == p->channels;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        const int8_t *in1 = in_rows[r] + (x0 - in_x0) * p->in1_pitch;
        const int8_t *in2 = in_rows[n_rows + r] + (x0 - in_x0) * p->in2_pitch;
        int8_t *out = out_rows[r];
        if (dense) {
            add_run(p, in1, in2, out, (x1 - x0) * p->channels);
            continue;
        }
        for (int32_t x = x0; x < x1; x++) {
            add_run(p, in1, in2, out, p->channels);
            in1 += p->in1_pitch;
            in2 += p->in2_pitch;
            out += p->out_pitch;
        }
    }
}
