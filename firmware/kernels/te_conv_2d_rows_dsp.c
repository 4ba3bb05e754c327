/* SPDX-License-Identifier: MIT-0 */
#include "te_conv_2d_rows_dsp.h"

#include "te_product_dsp.h"

/* Padded input rows, and where the next window starts. */
typedef struct {
    const te_conv_2d_rows_dsp_params *p;
    const int8_t *window;
    int32_t pitch; /* bytes from input row to input row */
    int32_t width; /* windows of an output row */
    int32_t left;  /* of them that are still to come */
} source;

static int8_t *put(int8_t *to, int8_t value, int32_t n)
{
    for (; n > 0; n--) {
        *to++ = value;
    }
    return to;
}

/* Copies columns [x, x + columns) of `n` rows, the columns and rows outside the image as well. */
static void pad_rows(const te_conv_2d_rows_dsp_params *p, const int8_t *const *rows, int32_t n,
                     int32_t in_x0, int32_t x, int32_t columns, int8_t *to)
{
    const int32_t channels = p->in_channels;
    const int32_t before = x < 0 ? (-x < columns ? -x : columns) : 0;
    const int32_t most = p->in_width - x - before;
    const int32_t room = columns - before;
    const int32_t inside = most < room ? (most > 0 ? most : 0) : room;
    for (int32_t r = 0; r < n; r++) {
        if (rows[r] == NULL) {
            to = put(to, p->in_zero_point, columns * channels);
        } else {
            to = put(to, p->in_zero_point, before * channels);
            te_copy_dsp(to, rows[r] + (x + before - in_x0) * channels, inside * channels);
            to = put(to + inside * channels, p->in_zero_point, (room - inside) * channels);
        }
    }
}

/* The start of the next window; row follows row. */
static const int8_t *next_window(source *s)
{
    const te_conv_2d_rows_dsp_params *p = s->p;
    const int8_t *window = s->window;
    s->window += p->stride_x * p->in_channels;
    if (--s->left == 0) {
        s->left = s->width;
        s->window += p->stride_y * s->pitch - s->width * p->stride_x * p->in_channels;
    }
    return window;
}

/* The next three windows. */
static void expand_3(source *s, int32_t *to)
{
    const te_conv_2d_rows_dsp_params *p = s->p;
    const int8_t *a = next_window(s);
    const int8_t *b = next_window(s);
    const int8_t *c = next_window(s);
    const int32_t n = p->kernel_width * p->in_channels;
    const int32_t rest = n & 3;
    for (int32_t ky = p->kernel_height; ky > 0; ky--) {
        for (int32_t fours = n >> 2; fours > 0; fours--) {
            const uint32_t words[3] = {te_load4(a), te_load4(b), te_load4(c)};
            to[0] = (int32_t)te_sxtb16(words[0]);
            to[1] = (int32_t)te_sxtb16(words[1]);
            to[2] = (int32_t)te_sxtb16(words[2]);
            to[3] = (int32_t)te_sxtb16_ror8(words[0]);
            to[4] = (int32_t)te_sxtb16_ror8(words[1]);
            to[5] = (int32_t)te_sxtb16_ror8(words[2]);
            a += 4;
            b += 4;
            c += 4;
            to += 6;
        }
        if (rest > 0) {
            te_expand_dsp(to, a, rest, 3);
            te_expand_dsp(to + 1, b, rest, 3);
            to = te_expand_dsp(to + 2, c, rest, 3) - 2;
        }
        a += s->pitch - n + rest;
        b += s->pitch - n + rest;
        c += s->pitch - n + rest;
    }
}

/* The next one or two windows. */
static void expand_few(source *s, int32_t *tile, int32_t pixels)
{
    const te_conv_2d_rows_dsp_params *p = s->p;
    for (int32_t i = 0; i < pixels; i++) {
        const int8_t *from = next_window(s);
        int32_t *to = tile + i;
        for (int32_t ky = p->kernel_height; ky > 0; ky--) {
            to = te_expand_dsp(to, from, p->kernel_width * p->in_channels, pixels);
            from += s->pitch;
        }
    }
}

/* How many of `n` output rows lie one behind the other. */
static int32_t rows_together(int8_t *const *out_rows, int32_t n, int32_t row_bytes)
{
    int32_t together = 1;
    while (together < n && out_rows[together] == out_rows[together - 1] + row_bytes) {
        together++;
    }
    return together;
}

void te_conv_2d_rows_dsp(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                         int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                         void *scratch)
{
    const te_conv_2d_rows_dsp_params *p = params;
    const int32_t columns = (x1 - x0 - 1) * p->stride_x + p->kernel_width;
    const int32_t pixel_words = 4 * p->groups;
    int32_t *tile = scratch;
    int32_t *room = tile + pixel_words * p->block_pixels;
    int8_t *padded = (int8_t *)(room + (p->has_room ? pixel_words + 8 : 0));
    source from = {.p = p,
                   .window = padded,
                   .pitch = columns * p->in_channels,
                   .width = x1 - x0,
                   .left = x1 - x0};
    te_product job = {.tile = tile,
                      .weights = p->weights,
                      .out_pitch = p->out_pitch,
                      .pairs = p->pairs,
                      .groups = p->groups,
                      .rounding = p->rounding,
                      .room = p->has_room ? room : NULL,
                      .constants = p->constants,
                      .channels = p->out_channels,
                      .out_min = p->out_min,
                      .out_max = p->out_max};
    (void)y;
    pad_rows(p, in_rows, (n_rows - 1) * p->stride_y + p->kernel_height, in_x0,
             x0 * p->stride_x - p->pad_left, columns, padded);
    for (int32_t r = 0; r < n_rows;) {
        const int32_t rows = rows_together(out_rows + r, n_rows - r, (x1 - x0) * p->out_pitch);
        job.out = out_rows[r];
        for (int32_t left = rows * (x1 - x0); left > 0;) {
            const int32_t pixels = te_block_pixels(left, p->block_pixels);
            if (pixels < 3) {
                expand_few(&from, tile, pixels);
            } else {
                for (int32_t i = 0; i < pixels; i += 3) {
                    expand_3(&from, tile + i * pixel_words);
                }
            }
            te_product_dsp(&job, pixels);
            job.out += pixels * p->out_pitch;
            left -= pixels;
        }
        r += rows;
    }
}
