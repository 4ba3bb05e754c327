/* SPDX-License-Identifier: MIT-0 */
#include "te_conv_2d_long_dsp.h"

#include "te_product_dsp.h"

/* Where the windows of a call come from. */
typedef struct {
    const te_conv_2d_long_dsp_params *p;
    const int8_t *const *rows;
    int32_t in_x0;
} source;

/* Expands the `n` channels from `c` on under tap (ky, kx) of the window at column `x`. */
static void expand_part(const source *s, int32_t ky, int32_t in_x, int32_t c, int32_t n,
                        int32_t *tile)
{
    const te_conv_2d_long_dsp_params *p = s->p;
    const int8_t *row = s->rows[ky * p->dilation_y];
    if (row == NULL || in_x < 0 || in_x >= p->in_width) {
        te_fill(tile, (int32_t)te_lanes(p->in_zero_point, p->in_zero_point), te_run_words(n), 1);
    } else {
        te_expand_dsp(tile, row + (in_x - s->in_x0) * p->in_pitch + c, n, 1);
    }
}

/* Adds the window at column `x` to the sums of a block of pairs; `job->weights` moves on. */
static void add_window(const source *s, int32_t x, te_product *job, int32_t *tile)
{
    const te_conv_2d_long_dsp_params *p = s->p;
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        for (int32_t kx = 0; kx < p->kernel_width; kx++) {
            for (int32_t c = 0; c < p->in_channels; c += p->part_values) {
                const int32_t left = p->in_channels - c;
                expand_part(s, ky, x + kx * p->dilation_x, c,
                            left < p->part_values ? left : p->part_values, tile);
                te_product_dsp(job, 1);
                job->weights += job->pairs * (8 + 4 * p->groups);
            }
        }
    }
}

/* One output; `row` is the channel's multiplier, constant, shift and place. Any accumulator will
 * do: products have 64 bits. */
static void narrow(int64_t acc, const int32_t *row, int32_t rounding, int8_t *pixel)
{
    int64_t scaled = row[1];
    if (rounding == TE_HALF_UP) {
        scaled += (acc * row[0]) >> 24;
    } else {
        scaled += ((acc * row[0] + (INT64_C(1) << 30)) >> 31) - (acc < 0 ? 1 : 0);
    }
    scaled >>= row[2] & 0xFF;
    pixel[row[2] >> 8] = (int8_t)(scaled < -128 ? -128 : (scaled > 127 ? 127 : scaled));
}

/* All computed channels of the pixel whose window starts at column `x`. */
static void conv_pixel(const source *s, int32_t x, void *scratch, int8_t *out)
{
    const te_conv_2d_long_dsp_params *p = s->p;
    int32_t *tile = scratch;
    int32_t *sums = tile + 4 * p->groups;
    te_product job = {.tile = tile,
                      .weights = p->weights,
                      .out = (int8_t *)sums,
                      .groups = p->groups,
                      .rounding = TE_SUMS,
                      .out_min = INT8_MIN,
                      .out_max = INT8_MAX};
    for (int32_t done = 0; done < p->pairs; done += job.pairs) {
        const int32_t left = p->pairs - done;
        const int32_t *rows = job.weights + 2 + 4 * p->groups;
        job.pairs = left < TE_LONG_PAIRS ? left : TE_LONG_PAIRS;
        for (int32_t i = 0; i < 2 * job.pairs; i++) {
            sums[i] = p->bias[2 * done + i];
        }
        add_window(s, x, &job, tile);
        for (int32_t i = 0; i < job.pairs; i++) {
            narrow(sums[2 * i + 1], rows, p->rounding, out);
            narrow(sums[2 * i], rows + 3, p->rounding, out);
            rows += 8 + 4 * p->groups;
        }
    }
}

void te_conv_2d_long_dsp(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                         int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                         void *scratch)
{
    const te_conv_2d_long_dsp_params *p = params;
    const source from = {.p = p, .rows = in_rows, .in_x0 = in_x0};
    int8_t *out = out_rows[0];
    (void)n_rows;
    (void)y;
    for (int32_t x = x0; x < x1; x++) {
        if (p->constants != NULL) {
            te_copy_dsp(out, p->constants, p->out_channels);
        }
        conv_pixel(&from, x * p->stride_x - p->pad_left, scratch, out);
        te_clamp_dsp(out, p->out_channels, p->out_min, p->out_max);
        out += p->out_pitch;
    }
}
