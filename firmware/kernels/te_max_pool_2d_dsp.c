/* SPDX-License-Identifier: MIT-0 */
#include "te_max_pool_2d_dsp.h"

#include "te_dsp.h"
#include "te_fixed_point.h"

/* Four times the same int8 value. */
static inline uint32_t four(int32_t value)
{
    return UINT32_C(0x01010101) * (uint8_t)value;
}

/* The largest of `n` values that are `pitch` bytes apart, of four neighbouring channels. */
static inline uint32_t largest_words(uint32_t largest, const int8_t *in, int32_t pitch, int32_t n)
{
    for (; n > 0; n--) {
        largest = te_greater_s8x4(te_load4(in), largest);
        in += pitch;
    }
    return largest;
}

static inline int32_t largest_value(int32_t largest, const int8_t *in, int32_t pitch, int32_t n)
{
    for (; n > 0; n--) {
        largest = *in > largest ? *in : largest;
        in += pitch;
    }
    return largest;
}

/* All channels of the pixel whose window starts at input column `x`. */
static void pool_pixel(const te_max_pool_2d_params *p, const int8_t *const *in_rows, int32_t in_x0,
                       int32_t x, int8_t *out)
{
    const int32_t first = x < 0 ? 0 : x;
    const int32_t end = x + p->filter_width < p->in_width ? x + p->filter_width : p->in_width;
    const int32_t skip = (first - in_x0) * p->in_pitch;
    const int32_t pitch = p->in_pitch;
    const int32_t n = end - first;
    int32_t c = 0;
    for (; c + 4 <= p->channels; c += 4) {
        uint32_t largest = four(p->out_min);
        for (int32_t ky = 0; ky < p->filter_height; ky++) {
            if (in_rows[ky] != NULL) {
                largest = largest_words(largest, in_rows[ky] + skip + c, pitch, n);
            }
        }
        te_store4(out + c, te_lesser_s8x4(largest, four(p->out_max)));
    }
    for (; c < p->channels; c++) {
        int32_t largest = p->out_min;
        for (int32_t ky = 0; ky < p->filter_height; ky++) {
            if (in_rows[ky] != NULL) {
                largest = largest_value(largest, in_rows[ky] + skip + c, pitch, n);
            }
        }
        out[c] = (int8_t)(largest > p->out_max ? p->out_max : largest);
    }
}

void te_max_pool_2d_dsp(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                        int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                        void *scratch)
{
    const te_max_pool_2d_params *p = params;
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
    const te_max_pool_2d_global_params *p = params;
    int8_t *largest = state;
    for (int32_t c = 0; c < p->channels; c++) {
        largest[c] = (int8_t)p->out_min;
    }
}

static void add_rows(const void *params, const int8_t *const *in_rows, int32_t n_rows, int32_t y,
                     int32_t x0, int32_t x1, void *state)
{
    const te_max_pool_2d_global_params *p = params;
    int8_t *largest = state;
    (void)y;
    for (int32_t r = 0; r < n_rows; r++) {
        const int8_t *in = in_rows[r];
        int32_t c = 0;
        for (; c + 4 <= p->channels; c += 4) {
            const uint32_t before = te_load4(largest + c);
            te_store4(largest + c, largest_words(before, in + c, p->in_pitch, x1 - x0));
        }
        for (; c < p->channels; c++) {
            largest[c] = (int8_t)largest_value(largest[c], in + c, p->in_pitch, x1 - x0);
        }
    }
}

static void finish(const void *params, const void *state, int8_t *const *out_rows)
{
    const te_max_pool_2d_global_params *p = params;
    const int8_t *largest = state;
    for (int32_t c = 0; c < p->channels; c++) {
        out_rows[0][c] = (int8_t)te_clamp(largest[c], p->out_min, p->out_max);
    }
}

const te_accumulate te_max_pool_2d_global_dsp = {begin, add_rows, finish};
