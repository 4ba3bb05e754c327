/* SPDX-License-Identifier: MIT-0 */
#include "te_mean.h"

#include "te_fixed_point.h"

static int8_t mean_of(const te_mean_params *p, int32_t sum)
{
    const int32_t mean = te_requantize(sum - p->offset, p->multiplier, p->shift);
    return (int8_t)te_clamp(mean + p->out_zero_point, INT8_MIN, INT8_MAX);
}

/* Mean of one channel, or of all where channels are averaged, over `pixels` pixels. */
static int8_t mean_of_pixels(const te_mean_params *p, const int8_t *in, int32_t pixels,
                             int32_t channels)
{
    int32_t sum = 0;
    for (int32_t x = 0; x < pixels; x++) {
        for (int32_t c = 0; c < channels; c++) {
            sum += in[x * p->in_pitch + c];
        }
    }
    return mean_of(p, sum);
}

/* All that `pixels` neighbouring pixels give: one value, or one per channel. Returns how many. */
static int32_t mean_of_group(const te_mean_params *p, const int8_t *in, int32_t pixels, int8_t *out)
{
    if (p->over_channels) {
        out[0] = mean_of_pixels(p, in, pixels, p->in_channels);
        return 1;
    }
    for (int32_t c = 0; c < p->in_channels; c++) {
        out[c] = mean_of_pixels(p, in + c, pixels, 1);
    }
    return p->in_channels;
}

void te_mean(const void *params, const int8_t *const *in_rows, int32_t in_x0,
             int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
             void *scratch)
{
    const te_mean_params *p = params;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        if (p->over_pixels) {
            mean_of_group(p, in_rows[r], p->in_pixels, out_rows[r]);
            continue;
        }
        for (int32_t x = x0; x < x1; x++) {
            mean_of_group(p, in_rows[r] + (x - in_x0) * p->in_pitch, 1,
                          out_rows[r] + (x - x0) * p->out_pitch);
        }
    }
}

void te_mean_whole(const void *params, const int8_t *const *in, int8_t *const *out, void *scratch)
{
    const te_mean_params *p = params;
    const int32_t pixels = p->over_pixels ? p->in_pixels : 1;
    const int32_t groups = p->in_rows * p->in_pixels / pixels;
    int32_t done = 0;
    (void)scratch;
    for (int32_t g = 0; g < groups; g++) {
        done += mean_of_group(p, in[0] + g * pixels * p->in_pitch, pixels, out[0] + done);
    }
}

static void begin(const void *params, void *state)
{
    const te_mean_params *p = params;
    int32_t *sums = state;
    for (int32_t i = 0; i < p->out_pixels * p->out_channels; i++) {
        sums[i] = 0;
    }
}

static void add_rows(const void *params, const int8_t *const *in_rows, int32_t n_rows, int32_t y,
                     int32_t x0, int32_t x1, void *state)
{
    const te_mean_params *p = params;
    int32_t *sums = state;
    const int32_t per_pixel = p->over_channels ? 1 : p->in_channels;
    const int32_t pixel_step = p->over_pixels ? 0 : per_pixel;
    const int32_t channel_step = p->over_channels ? 0 : 1;
    (void)y;
    for (int32_t r = 0; r < n_rows; r++) {
        for (int32_t x = x0; x < x1; x++) {
            const int8_t *in = in_rows[r] + (x - x0) * p->in_pitch;
            for (int32_t c = 0; c < p->in_channels; c++) {
                sums[x * pixel_step + c * channel_step] += in[c];
            }
        }
    }
}

static void finish(const void *params, const void *state, int8_t *const *out_rows)
{
    const te_mean_params *p = params;
    const int32_t *sums = state;
    for (int32_t x = 0; x < p->out_pixels; x++) {
        for (int32_t c = 0; c < p->out_channels; c++) {
            out_rows[0][x * p->out_pitch + c] = mean_of(p, sums[x * p->out_channels + c]);
        }
    }
}

const te_accumulate te_mean_accumulate = {begin, add_rows, finish};
