/* SPDX-License-Identifier: MIT-0 */
#include "te_conv_2d_dsp.h"

#include "te_product_dsp.h"

/* Where the windows of a call come from. */
typedef struct {
    const te_conv_2d_dsp_params *p;
    const int8_t *const *rows;
    int32_t in_x0;
    int8_t *staged; /* room for one row of a window */
} source;

/* Puts together the part of `row` under the window that starts at column `x`, zero points in place
 * of what lies outside. */
static const int8_t *stage_row(const source *s, const int8_t *row, int32_t x)
{
    const te_conv_2d_dsp_params *p = s->p;
    int8_t *to = s->staged;
    for (int32_t kx = 0; kx < p->kernel_width; kx++) {
        const int32_t in_x = x + kx * p->dilation_x;
        const int32_t inside = in_x >= 0 && in_x < p->in_width;
        const int8_t *from = row + (inside ? in_x - s->in_x0 : 0) * p->in_pitch;
        for (int32_t c = 0; c < p->in_channels; c++) {
            *to++ = inside ? from[c] : (int8_t)p->in_zero_point;
        }
    }
    return s->staged;
}

/* Expands the windows of `pixels` pixels, the first of which starts at column `x`. Three windows
 * whose rows lie in memory one value after another, as most do, take the short way. */
static void expand_windows(const source *s, int32_t x, int32_t *to, int32_t pixels)
{
    const te_conv_2d_dsp_params *p = s->p;
    const int32_t n = p->kernel_width * p->in_channels;
    const int32_t end = x + (pixels - 1) * p->stride_x + p->kernel_width;
    const int32_t is_dense = p->dilation_x == 1 && p->in_pitch == p->in_channels;
    const int32_t inside = is_dense && x >= 0 && end <= p->in_width;
    const int32_t offset = (x - s->in_x0) * p->in_pitch;
    const int32_t step = p->stride_x * p->in_pitch;
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        const int8_t *row = s->rows[ky * p->dilation_y];
        if (row == NULL) {
            const int32_t pair = (int32_t)te_lanes(p->in_zero_point, p->in_zero_point);
            for (int32_t i = te_run_words(n) * pixels; i > 0; i--) {
                *to++ = pair;
            }
        } else if (inside && pixels == 3) {
            to = te_expand_3(to, row + offset, step, n);
        } else {
            for (int32_t i = 0; i < pixels; i++) {
                te_expand(to + i,
                          inside ? row + offset + i * step : stage_row(s, row, x + i * p->stride_x),
                          n, pixels);
            }
            to += te_run_words(n) * pixels;
        }
    }
}

void te_conv_2d_dsp(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                    int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                    void *scratch)
{
    const te_conv_2d_dsp_params *p = params;
    int32_t *tile = scratch;
    const source from = {.p = p,
                         .rows = in_rows,
                         .in_x0 = in_x0,
                         .staged = (int8_t *)(tile + 4 * p->groups * p->block_pixels)};
    te_product job = {.tile = tile,
                      .weights = p->weights,
                      .out = out_rows[0],
                      .out_pitch = p->out_pitch,
                      .pairs = p->pairs,
                      .groups = p->groups,
                      .rounding = p->rounding,
                      .constants = p->constants,
                      .channels = p->out_channels,
                      .out_min = p->out_min,
                      .out_max = p->out_max};
    (void)n_rows;
    (void)y;
    for (int32_t x = x0; x < x1;) {
        const int32_t pixels = te_block_pixels(x1 - x, p->block_pixels);
        expand_windows(&from, x * p->stride_x - p->pad_left, tile, pixels);
        te_product_dsp(&job, pixels);
        job.out += pixels * p->out_pitch;
        x += pixels;
    }
}
