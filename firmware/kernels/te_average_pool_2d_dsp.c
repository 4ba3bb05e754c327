/* SPDX-License-Identifier: MIT-0 */
#include "te_average_pool_2d_dsp.h"

#include "te_fixed_point.h"
#include "te_sums_dsp.h"

/* A quotient sum / count, rounded to the nearest; `up` is 1 where halves go up, else 0. */
typedef struct {
    int32_t count;
    int32_t half;
    int32_t negative_half;
    int32_t out_min;
    int32_t out_max;
} rounding;

static inline rounding rounding_by(int32_t count, int32_t up, int32_t out_min, int32_t out_max)
{
    const rounding r = {count, count / 2, (count - up) / 2, out_min, out_max};
    return r;
}

static inline int8_t mean(const rounding *r, int32_t sum)
{
    const int32_t value = (sum > 0 ? sum + r->half : sum - r->negative_half) / r->count;
    return (int8_t)te_clamp(value, r->out_min, r->out_max);
}

/* All channels of the pixel whose window starts at input column `x`. */
static void pool_pixel(const te_average_pool_2d_params *p, const int8_t *const *in_rows,
                       int32_t in_x0, int32_t x, int8_t *out)
{
    const int32_t first = x < 0 ? 0 : x;
    const int32_t end = x + p->filter_width < p->in_width ? x + p->filter_width : p->in_width;
    const int32_t skip = (first - in_x0) * p->in_pitch;
    int32_t count = 0;
    for (int32_t ky = 0; ky < p->filter_height; ky++) {
        count += in_rows[ky] == NULL ? 0 : end - first;
    }
    const rounding by = rounding_by(count, p->halves_up, p->out_min, p->out_max);
    int32_t c = 0;
    for (; c + 4 <= p->channels; c += 4) {
        uint32_t even = 0;
        uint32_t odd = 0;
        for (int32_t ky = 0; ky < p->filter_height; ky++) {
            if (in_rows[ky] != NULL) {
                te_sum_lanes(in_rows[ky] + skip + c, p->in_pitch, end - first, &even, &odd);
            }
        }
        out[c] = mean(&by, te_low(even));
        out[c + 1] = mean(&by, te_low(odd));
        out[c + 2] = mean(&by, te_high(even));
        out[c + 3] = mean(&by, te_high(odd));
    }
    for (; c < p->channels; c++) {
        int32_t sum = 0;
        for (int32_t ky = 0; ky < p->filter_height; ky++) {
            for (int32_t i = 0; in_rows[ky] != NULL && i < end - first; i++) {
                sum += in_rows[ky][skip + i * p->in_pitch + c];
            }
        }
        out[c] = mean(&by, sum);
    }
}

void te_average_pool_2d_dsp(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                            int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0,
                            int32_t x1, void *scratch)
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
    (void)y;
    for (int32_t r = 0; r < n_rows; r++) {
        te_sum_pixels(in_rows[r], p->in_pitch, x1 - x0, p->channels, state);
    }
}

static void finish(const void *params, const void *state, int8_t *const *out_rows)
{
    const te_average_pool_2d_global_params *p = params;
    const rounding by = rounding_by(p->count, p->halves_up, p->out_min, p->out_max);
    const int32_t *sums = state;
    for (int32_t c = 0; c < p->channels; c++) {
        out_rows[0][c] = mean(&by, sums[c]);
    }
}

const te_accumulate te_average_pool_2d_global_dsp = {begin, add_rows, finish};
