/* SPDX-License-Identifier: MIT-0 */
#include "te_average_pool_2d.h"

#include "te_fixed_point.h"

/* sum / count, rounded to the nearest; `halves_up` is 0 or 1. */
static int32_t rounded_mean(int32_t sum, int32_t count, int32_t halves_up)
{
    return (sum > 0 ? sum + count / 2 : sum - (count - halves_up) / 2) / count;
}

/* All channels of the pixel whose window starts at input column `x`. */
static void pool_pixel(const te_average_pool_2d_params *p, const int8_t *const *in_rows,
                       int32_t in_x0, int32_t x, int8_t *out)
{
    const int32_t first = x < 0 ? 0 : x;
    const int32_t end = x + p->filter_width < p->in_width ? x + p->filter_width : p->in_width;
    int32_t count = 0;
    for (int32_t ky = 0; ky < p->filter_height; ky++) {
        count += in_rows[ky] == NULL ? 0 : end - first;
    }
    for (int32_t c = 0; c < p->channels; c++) {
        int32_t sum = 0;
        for (int32_t ky = 0; ky < p->filter_height; ky++) {
            for (int32_t in_x = first; in_rows[ky] != NULL && in_x < end; in_x++) {
                sum += in_rows[ky][(in_x - in_x0) * p->in_pitch + c];
            }
        }
        out[c] = (int8_t)te_clamp(rounded_mean(sum, count, p->halves_up), p->out_min, p->out_max);
    }
}

void te_average_pool_2d(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                        int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                        void *scratch)
{
    const te_average_pool_2d_params *p = params;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        for (int32_t x = x0; x < x1; x++) {
            pool_pixel(p, in_rows + r * p->stride_y, in_x0, x * p->stride_x - p->pad_left,
                       out_rows[r] + (x - x0) * p->out_pitch);
        }
    }
}

static void begin(const void *params, void *state)
{
    const te_average_pool_2d_global_params *p = params;
    int32_t *sums = state;
    for (int32_t c = 0; c < p->channels; c++) {
        sums[c] = 0;
    }
}

static void add_rows(const void *params, const int8_t *const *in_rows, int32_t n_rows, int32_t y,
                     int32_t x0, int32_t x1, void *state)
{
    const te_average_pool_2d_global_params *p = params;
    int32_t *sums = state;
    (void)y;
    for (int32_t r = 0; r < n_rows; r++) {
        const int8_t *in = in_rows[r];
        for (int32_t x = x0; x < x1; x++) {
            for (int32_t c = 0; c < p->channels; c++) {
                sums[c] += in[(x - x0) * p->in_pitch + c];
            }
        }
    }
}

static void finish(const void *params, const void *state, int8_t *const *out_rows)
{
    const te_average_pool_2d_global_params *p = params;
    const int32_t *sums = state;
    for (int32_t c = 0; c < p->channels; c++) {
        out_rows[0][c] =
            (int8_t)te_clamp(rounded_mean(sums[c], p->count, p->halves_up), p->out_min, p->out_max);
    }
}

const te_accumulate te_average_pool_2d_global = {begin, add_rows, finish};
