/* SPDX-License-Identifier: MIT-0 */
#include "te_conv_2d.h"

#include "te_dots.h"
#include "te_fixed_point.h"

/* Where the window of a pixel lies. */
typedef struct {
    const te_conv_2d_params *p;
    const int8_t *const *rows;
    int32_t in_x0;
    int32_t x;       /* input column of its first tap */
    int32_t is_run;  /* the taps of a row lie inside the image, one value after another */
    int32_t channel; /* first one of the group */
} window;

/* Adds row `ky` of the window to the sums of `count` output channels, `step` weights apart. */
static void add_row(const window *w, int32_t ky, const int8_t *weights, int32_t step, int32_t *sums,
                    int32_t count)
{
    const te_conv_2d_params *p = w->p;
    const int8_t *row = w->rows[ky * p->dilation_y];
    const int32_t n = p->in_channels;
    if (row == NULL) {
        te_add_dots_of(p->in_zero_point, weights, step, p->kernel_width * n, sums, count);
        return;
    }
    row += w->channel + (w->x - w->in_x0) * p->in_pitch;
    if (w->is_run) {
        te_add_dots(row, weights, step, p->kernel_width * n, sums, count);
        return;
    }
    for (int32_t kx = 0; kx < p->kernel_width; kx++) {
        const int32_t x = w->x + kx * p->dilation_x;
        if (x < 0 || x >= p->in_width) {
            te_add_dots_of(p->in_zero_point, weights, step, n, sums, count);
        } else {
            te_add_dots(row + kx * p->dilation_x * p->in_pitch, weights, step, n, sums, count);
        }
        weights += n;
    }
}

/* Output channels [first, first + count) of a pixel, 1 to TE_DOTS of one group. */
static void conv_channels(const window *w, int32_t first, int32_t count, int8_t *out)
{
    const te_conv_2d_params *p = w->p;
    const int32_t row_weights = p->kernel_width * p->in_channels;
    const int32_t step = p->kernel_height * row_weights;
    const int8_t *weights = p->weights + first * step;
    int32_t sums[TE_DOTS];
    for (int32_t i = 0; i < count; i++) {
        sums[i] = p->bias[first + i];
    }
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        add_row(w, ky, weights, step, sums, count);
        weights += row_weights;
    }
    for (int32_t i = first; i < first + count; i++) {
        const int32_t scaled = te_requantize(sums[i - first], p->multiplier[i], p->shift[i]);
        out[i] = (int8_t)te_clamp(scaled + p->out_zero_point, p->out_min, p->out_max);
    }
}

/* All output channels of the pixel whose window starts at input column `x`. */
static void conv_pixel(const te_conv_2d_params *p, const int8_t *const *in_rows, int32_t in_x0,
                       int32_t x, int8_t *out)
{
    window w = {.p = p, .rows = in_rows, .in_x0 = in_x0, .x = x};
    w.is_run = p->dilation_x == 1 && p->in_pitch == p->in_channels && x >= 0 &&
               x + p->kernel_width <= p->in_width;
    for (int32_t g = 0; g < p->groups; g++) {
        const int32_t first = g * p->out_channels;
        for (int32_t o = 0; o < p->out_channels; o += TE_DOTS) {
            const int32_t left = p->out_channels - o;
            conv_channels(&w, first + o, left < TE_DOTS ? left : TE_DOTS, out);
        }
        w.channel += p->in_channels;
    }
}

void te_conv_2d(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                void *scratch)
{
    const te_conv_2d_params *p = params;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        int8_t *out = out_rows[r];
        for (int32_t x = x0; x < x1; x++) {
            conv_pixel(p, in_rows + r * p->stride_y, in_x0, x * p->stride_x - p->pad_left, out);
            out += p->out_pitch;
        }
    }
}
