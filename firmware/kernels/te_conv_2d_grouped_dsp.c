/* SPDX-License-Identifier: MIT-0 */
#include "te_conv_2d_grouped_dsp.h"

#include "te_product_dsp.h"

/* Where the windows of one group come from. */
typedef struct {
    const te_conv_2d_grouped_dsp_params *p;
    const int8_t *const *rows;
    int32_t in_x0;
    int32_t channel;     /* first one of the group */
    int32_t step;        /* bytes from the tap of a pixel to that of the next one */
    int32_t words;       /* of a tap in the tile */
    int32_t zero_points; /* two of them */
} source;

/* One tap of `pixels` pixels, 1 to 3, of which some may lie outside the image; that of the first
 * lies in column `x` of a row inside it. */
static void expand_edge(const source *s, const int8_t *row, int32_t x, int32_t *to, int32_t pixels)
{
    const te_conv_2d_grouped_dsp_params *p = s->p;
    int32_t offset = (x - s->in_x0) * p->in_pitch + s->channel;
    for (int32_t i = 0; i < pixels; i++) {
        if (x < 0 || x >= p->in_width) {
            te_fill(to + i, s->zero_points, s->words, pixels);
        } else {
            te_expand_dsp(to + i, row + offset, p->in_channels, pixels);
        }
        offset += s->step;
        x += p->stride_x;
    }
}

/* The windows of three pixels inside the image; the first starts `offset` bytes into the rows. */
static void expand_inside(const source *s, int32_t offset, int32_t *to)
{
    const te_conv_2d_grouped_dsp_params *p = s->p;
    const int32_t tap_step = p->dilation_x * p->in_pitch;
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        const int8_t *row = s->rows[ky * p->dilation_y];
        if (row == NULL) {
            to = te_fill(to, s->zero_points, 3 * p->kernel_width * s->words, 1);
            continue;
        }
        row += offset;
        for (int32_t kx = p->kernel_width; kx > 0; kx--) {
            to = te_expand_3_dsp(to, row, s->step, p->in_channels);
            row += tap_step;
        }
    }
}

/* The windows of a block of `pixels` pixels, 1 to 3, the first of which starts at column `x`. */
static void expand_block(const source *s, int32_t x, int32_t *to, int32_t pixels)
{
    const te_conv_2d_grouped_dsp_params *p = s->p;
    const int32_t tap_words = s->words * pixels;
    const int32_t row_end = x + p->kernel_width * p->dilation_x;
    const int32_t last = p->in_width - 2 * p->stride_x; /* that has three pixels inside the image */
    if (pixels == 3 && x >= 0 && row_end - p->dilation_x < last) {
        expand_inside(s, (x - s->in_x0) * p->in_pitch + s->channel, to);
        return;
    }
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        const int8_t *row = s->rows[ky * p->dilation_y];
        if (row == NULL) {
            to = te_fill(to, s->zero_points, p->kernel_width * tap_words, 1);
            continue;
        }
        for (int32_t column = x; column < row_end; column += p->dilation_x) {
            if (pixels == 3 && column >= 0 && column < last) {
                te_expand_3_dsp(to, row + (column - s->in_x0) * p->in_pitch + s->channel, s->step,
                                p->in_channels);
            } else {
                expand_edge(s, row, column, to, pixels);
            }
            to += tap_words;
        }
    }
}

/* All groups of `pixels` pixels, the first of which is number `x` and is written to `out`. */
static void conv_pixels(source *s, int32_t x, int32_t pixels, int32_t *tile, int8_t *out)
{
    const te_conv_2d_grouped_dsp_params *p = s->p;
    te_product job = {.tile = tile,
                      .weights = p->weights,
                      .out = out,
                      .out_pitch = p->out_pitch,
                      .groups = p->words,
                      .rounding = p->rounding,
                      .room = p->has_room ? tile + 4 * p->words * p->block_pixels : NULL,
                      .constants = p->constants,
                      .channels = p->out_channels,
                      .out_min = p->out_min,
                      .out_max = p->out_max};
    for (int32_t g = 0; g < p->groups; g++) {
        s->channel = g * p->in_channels;
        for (int32_t i = 0; i < pixels; i += 3) {
            expand_block(s, (x + i) * p->stride_x - p->pad_left, tile + 4 * i * p->words,
                         pixels < 3 ? pixels : 3);
        }
        job.pairs = p->pairs[g];
        te_product_dsp(&job, pixels);
        job.weights += job.pairs * (8 + 4 * p->words);
        job.out += p->out_channels;
        if (job.constants != NULL) {
            job.constants += p->out_channels;
        }
    }
}

void te_conv_2d_grouped_dsp(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                            int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0,
                            int32_t x1, void *scratch)
{
    const te_conv_2d_grouped_dsp_params *p = params;
    int8_t *out = out_rows[0];
    source from = {.p = p,
                   .rows = in_rows,
                   .in_x0 = in_x0,
                   .step = p->stride_x * p->in_pitch,
                   .words = te_run_words(p->in_channels),
                   .zero_points = (int32_t)te_lanes(p->in_zero_point, p->in_zero_point)};
    (void)n_rows;
    (void)y;
    for (int32_t x = x0; x < x1;) {
        const int32_t pixels = te_block_pixels(x1 - x, p->block_pixels);
        conv_pixels(&from, x, pixels, scratch, out);
        out += pixels * p->out_pitch;
        x += pixels;
    }
}
