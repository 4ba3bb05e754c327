/* SPDX-License-Identifier: MIT-0 */
#include "te_mean_dsp.h"

#include "te_sums_dsp.h"

static inline int8_t mean_of(const te_mean_dsp_params *p, int32_t total)
{
    const int32_t sum = (total - p->offset) * 2;
    return (int8_t)te_ssat8(te_smmlar(sum, p->multiplier, p->constant + (sum >> 31)) >> p->shift);
}

void te_mean_dsp(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                 int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                 void *scratch)
{
    const te_mean_dsp_params *p = params;
    (void)in_x0;
    (void)y;
    (void)x0;
    (void)x1;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        for (int32_t c = 0; c < p->channels; c += 4) {
            const int32_t n = p->channels - c < 4 ? p->channels - c : 4;
            int32_t sums[4] = {0};
            te_sum_pixels(in_rows[r] + c, p->in_pitch, p->pixels, n, sums);
            for (int32_t i = 0; i < n; i++) {
                out_rows[r][c + i] = mean_of(p, sums[i]);
            }
        }
    }
}

static void begin(const void *params, void *state)
{
    const te_mean_dsp_params *p = params;
    int32_t *sums = state;
    for (int32_t c = 0; c < p->channels; c++) {
        sums[c] = 0;
    }
}

static void add_rows(const void *params, const int8_t *const *in_rows, int32_t n_rows, int32_t y,
                     int32_t x0, int32_t x1, void *state)
{
    const te_mean_dsp_params *p = params;
    (void)y;
    for (int32_t r = 0; r < n_rows; r++) {
        te_sum_pixels(in_rows[r], p->in_pitch, x1 - x0, p->channels, state);
    }
}

static void finish(const void *params, const void *state, int8_t *const *out_rows)
{
    const te_mean_dsp_params *p = params;
    const int32_t *sums = state;
    for (int32_t c = 0; c < p->channels; c++) {
        out_rows[0][c] = mean_of(p, sums[c]);
    }
}

const te_accumulate te_mean_accumulate_dsp = {begin, add_rows, finish};
