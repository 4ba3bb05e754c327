/* SPDX-License-Identifier: MIT-0 */
#include "te_reduce_max.h"

/* Raises `largest` (one value, or one per channel) to what `pixels` neighbouring pixels hold. */
static void raise(const te_reduce_max_params *p, const int8_t *in, int32_t pixels, int8_t *largest)
{
    const int32_t step = p->over_channels ? 0 : 1;
    for (int32_t x = 0; x < pixels; x++) {
        for (int32_t c = 0; c < p->in_channels; c++) {
            int8_t *most = &largest[c * step];
            *most = in[c] > *most ? in[c] : *most;
        }
        in += p->in_pitch;
    }
}

static void clear(int8_t *largest, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        largest[i] = INT8_MIN;
    }
}

void te_reduce_max(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                   int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                   void *scratch)
{
    const te_reduce_max_params *p = params;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        for (int32_t x = x0; x < x1; x++) {
            int8_t *out = out_rows[r] + (x - x0) * p->out_pitch;
            clear(out, p->out_channels);
            if (p->over_pixels) {
                raise(p, in_rows[r], p->in_pixels, out);
            } else {
                raise(p, in_rows[r] + (x - in_x0) * p->in_pitch, 1, out);
            }
        }
    }
}

void te_reduce_max_whole(const void *params, const int8_t *const *in, int8_t *const *out,
                         void *scratch)
{
    const te_reduce_max_params *p = params;
    const int32_t pixels = p->over_pixels ? p->in_pixels : 1;
    const int32_t values = p->over_channels ? 1 : p->in_channels;
    const int8_t *from = in[0];
    int8_t *to = out[0];
    (void)scratch;
    for (int32_t left = p->in_rows * p->in_pixels; left > 0; left -= pixels) {
        clear(to, values);
        raise(p, from, pixels, to);
        from += pixels * p->in_pitch;
        to += values;
    }
}

static void begin(const void *params, void *state)
{
    const te_reduce_max_params *p = params;
    clear(state, p->out_pixels * p->out_channels);
}

static void add_rows(const void *params, const int8_t *const *in_rows, int32_t n_rows, int32_t y,
                     int32_t x0, int32_t x1, void *state)
{
    const te_reduce_max_params *p = params;
    const int32_t per_pixel = p->over_channels ? 1 : p->in_channels;
    const int32_t pixel_step = p->over_pixels ? 0 : per_pixel;
    int8_t *largest = state;
    (void)y;
    for (int32_t r = 0; r < n_rows; r++) {
        for (int32_t x = x0; x < x1; x++) {
            raise(p, in_rows[r] + (x - x0) * p->in_pitch, 1, largest + x * pixel_step);
        }
    }
}

static void finish(const void *params, const void *state, int8_t *const *out_rows)
{
    const te_reduce_max_params *p = params;
    const int8_t *largest = state;
    for (int32_t x = 0; x < p->out_pixels; x++) {
        for (int32_t c = 0; c < p->out_channels; c++) {
            out_rows[0][x * p->out_pitch + c] = *largest++;
        }
    }
}

const te_accumulate te_reduce_max_accumulate = {begin, add_rows, finish};
