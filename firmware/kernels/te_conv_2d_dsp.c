/* SPDX-License-Identifier: MIT-0 */
#include "te_conv_2d_dsp.h"

#include "te_product_dsp.h"

/* Where the windows of a call come from. */
typedef struct {
    const te_conv_2d_dsp_params *p;
    const int8_t *const *rows;
    int32_t in_x0;
    int32_t is_dense;    /* the rows of a window inside the image lie one value after another */
    int32_t zero_points; /* two of them */
    int8_t *staged;      /* room for one row of a window */
} source;

/* Three windows inside the image; the first of them starts `offset` bytes into the rows, the
 * others `step` bytes after each other. `n` values make a row. */
static void expand_inside(const source *s, int32_t offset, int32_t step, int32_t n, int32_t *to)
{
    const int8_t *const *row = s->rows;
    const int32_t dilation = s->p->dilation_y;
    for (int32_t ky = s->p->kernel_height; ky > 0; ky--) {
        if (*row == NULL) {
            to = te_fill(to, s->zero_points, 3 * te_run_words(n), 1);
        } else {
            to = te_expand_3_dsp(to, *row + offset, step, n);
        }
        row += dilation;
    }
}

/* Puts together a row of one window, starting at column `x`, where columns may lie outside the
 * image or values do not follow each other. */
static const int8_t *stage_row(const source *s, const int8_t *row, int32_t x)
{
    const te_conv_2d_dsp_params *p = s->p;
    /* As many columns at once as follow each other. */
    const int32_t most = s->is_dense ? p->kernel_width : 1;
    int8_t *to = s->staged;
    for (int32_t kx = 0; kx < p->kernel_width;) {
        const int32_t left = p->kernel_width - kx;
        const int32_t inside = p->in_width - x;
        int32_t columns = most < left ? most : left;
        if (x < 0 || inside <= 0) {
            columns = 1;
            for (int32_t c = 0; c < p->in_channels; c++) {
                to[c] = (int8_t)p->in_zero_point;
            }
        } else {
            columns = columns < inside ? columns : inside;
            te_copy_dsp(to, row + (x - s->in_x0) * p->in_pitch, columns * p->in_channels);
        }
        to += columns * p->in_channels;
        x += columns * p->dilation_x;
        kx += columns;
    }
    return s->staged;
}

/* The same where a column is a whole number of words: column by column. */
static int32_t *expand_columns(const source *s, const int8_t *row, int32_t x, int32_t *to,
                               int32_t pixels)
{
    const te_conv_2d_dsp_params *p = s->p;
    for (int32_t kx = p->kernel_width; kx > 0; kx--) {
        if (x < 0 || x >= p->in_width) {
            to = te_fill(to, s->zero_points, p->in_channels / 2, pixels);
        } else {
            to = te_expand_dsp(to, row + (x - s->in_x0) * p->in_pitch, p->in_channels, pixels);
        }
        x += p->dilation_x;
    }
    return to;
}

/* One window, starting at column `x`, of a block of `pixels` pixels. */
static void expand_window(const source *s, int32_t x, int32_t *to, int32_t pixels)
{
    const te_conv_2d_dsp_params *p = s->p;
    const int32_t n = p->kernel_width * p->in_channels;
    const int32_t inside = s->is_dense && x >= 0 && x + p->kernel_width <= p->in_width;
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        const int8_t *row = s->rows[ky * p->dilation_y];
        if (row == NULL) {
            to = te_fill(to, s->zero_points, te_run_words(n), pixels);
        } else if (!inside && p->in_channels % 4 == 0) {
            to = expand_columns(s, row, x, to, pixels);
        } else {
            const int8_t *from = inside ? row + (x - s->in_x0) * p->in_pitch : stage_row(s, row, x);
            to = te_expand_dsp(to, from, n, pixels);
        }
    }
}

/* The windows of `pixels` pixels, the first of which starts at column `x`. */
static void expand_windows(const source *s, int32_t x, int32_t *tile, int32_t pixels)
{
    const te_conv_2d_dsp_params *p = s->p;
    const int32_t end = x + 2 * p->stride_x + p->kernel_width;
    if (pixels == 3 && s->is_dense && x >= 0 && end <= p->in_width) {
        expand_inside(s, (x - s->in_x0) * p->in_pitch, p->stride_x * p->in_pitch,
                      p->kernel_width * p->in_channels, tile);
        return;
    }
    for (int32_t i = 0; i < pixels; i++) {
        expand_window(s, x, tile + i, pixels);
        x += p->stride_x;
    }
}

void te_conv_2d_dsp(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                    int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                    void *scratch)
{
    const te_conv_2d_dsp_params *p = params;
    int32_t *tile = scratch;
    int32_t *room = tile + 4 * p->groups * p->block_pixels;
    const source from = {.p = p,
                         .rows = in_rows,
                         .in_x0 = in_x0,
                         .is_dense = p->dilation_x == 1 && p->in_pitch == p->in_channels,
                         .zero_points = (int32_t)te_lanes(p->in_zero_point, p->in_zero_point),
                         .staged = (int8_t *)(room + (p->has_room ? 4 * p->groups + 8 : 0))};
    te_product job = {.tile = tile,
                      .weights = p->weights,
                      .out = out_rows[0],
                      .out_pitch = p->out_pitch,
                      .pairs = p->pairs,
                      .groups = p->groups,
                      .rounding = p->rounding,
                      .room = p->has_room ? room : NULL,
                      .constants = p->constants,
                      .channels = p->out_channels,
                      .out_min = p->out_min,
                      .out_max = p->out_max};
    (void)n_rows;
    (void)y;
    for (int32_t x = x0; x < x1;) {
        const int32_t pixels = te_block_pixels(x1 - x, p->block_pixels);
        for (int32_t i = 0; i < pixels; i += 3) {
            expand_windows(&from, (x + i) * p->stride_x - p->pad_left, tile + 4 * i * p->groups,
                           pixels < 3 ? pixels : 3);
        }
        te_product_dsp(&job, pixels);
        job.out += pixels * p->out_pitch;
        x += pixels;
    }
}
