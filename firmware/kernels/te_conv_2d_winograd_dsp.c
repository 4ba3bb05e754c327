/* SPDX-License-Identifier: MIT-0 */
#include "te_conv_2d_winograd_dsp.h"

#include "te_product_dsp.h"
#include "te_winograd_dsp.h"

enum { ROUNDING_WORDS = 4 };

/* A call's rows and columns, and the zero point that is outside of them. */
typedef struct {
    te_winograd_source rows;
    int32_t in_x0; /* column of the rows' first pixel */
    int32_t end;   /* columns from 0 to here are there and needed */
    uint32_t zero_points;
} source;

/* A column outside the image. */
static void fill_column(const source *s, uint32_t *to)
{
    for (int32_t i = 0; i < TE_WINOGRAD_COLUMN; i++) {
        to[i] = i == 2 || i == 3 ? s->zero_points & UINT32_C(0xFF00FF00) : 0;
    }
}

/* A column of `n` channels, 1 to 3, `offset` bytes into the rows: behind the last pixel of a row
 * there may be nothing to read. */
static void stage_column(const source *s, int32_t offset, int32_t n, uint32_t *to)
{
    te_winograd_source staged = {.pitch = 1};
    int8_t pixels[TE_WINOGRAD_ROWS][4];
    for (int32_t r = 0; r < TE_WINOGRAD_ROWS; r++) {
        const int8_t *from = s->rows.rows[r] + (int32_t)((uint32_t)offset & s->rows.moves[r]);
        for (int32_t i = 0; i < 4; i++) {
            pixels[r][i] = i < n ? from[i] : 0;
        }
        staged.rows[r] = pixels[r];
    }
    te_winograd_columns(&staged, 0, 1, to);
}

/* The columns [x, x_end) of channels `c` to `channels`, four at most. */
static void transform_columns(const source *s, int32_t x, int32_t x_end, int32_t c,
                              int32_t channels, uint32_t *to)
{
    const int32_t end = x_end < s->end ? x_end : s->end;
    for (; x < x_end && x < 0; x++) {
        fill_column(s, to);
        to += TE_WINOGRAD_COLUMN;
    }
    int32_t offset = (x - s->in_x0) * s->rows.pitch + c;
    if (channels - c >= 4 && x < end) {
        te_winograd_columns(&s->rows, offset, offset + (end - x) * s->rows.pitch, to);
        to += TE_WINOGRAD_COLUMN * (end - x);
        x = end;
    }
    for (; x < x_end; x++) {
        if (x < end) {
            stage_column(s, offset, channels - c, to);
        } else {
            fill_column(s, to);
        }
        offset += s->rows.pitch;
        to += TE_WINOGRAD_COLUMN;
    }
}

/* All channels of a block of tiles from its inputs. */
static void conv_block(const te_conv_2d_winograd_dsp_params *p, const te_winograd_target *to,
                       te_winograd_products_job *job, int32_t tiles)
{
    for (int32_t i = 0; i < to->pixels && p->constants != NULL; i++) {
        te_copy_dsp(to->rows[0] + i * to->pitch, p->constants, p->out_channels);
        te_copy_dsp(to->rows[1] + i * to->pitch, p->constants, p->out_channels);
    }
    job->weights = p->weights;
    for (int32_t pair = 0; pair < p->pairs; pair++) {
        const int32_t *rounding = job->weights + TE_WINOGRAD_PLACES / 4 * job->place_bytes;
        job->weights_end = job->weights + job->place_bytes / 4;
        te_winograd_products(job, tiles);
        te_winograd_outputs(to, job->sums + tiles, rounding);
        te_winograd_outputs(to, job->sums, rounding + ROUNDING_WORDS);
        job->weights = rounding + 2 * ROUNDING_WORDS;
    }
    for (int32_t i = 0; i < to->pixels && (p->out_min > INT8_MIN || p->out_max < INT8_MAX); i++) {
        te_clamp_dsp(to->rows[0] + i * to->pitch, p->out_channels, p->out_min, p->out_max);
        te_clamp_dsp(to->rows[1] + i * to->pitch, p->out_channels, p->out_min, p->out_max);
    }
}

/* One block after the other, from column `x` of the output to `x1`. */
static void conv_rows(const te_conv_2d_winograd_dsp_params *p, const source *s, int32_t x,
                      int32_t x1, te_winograd_target *to, void *scratch)
{
    const int32_t fours = (p->in_channels + 3) / 4;
    int32_t *sums = scratch;
    uint32_t *inputs = (uint32_t *)scratch + TE_WINOGRAD_PLACES * TE_WINOGRAD_SUMS;
    te_winograd_products_job job = {.inputs = inputs,
                                    .sums = sums,
                                    .sums_end = sums + TE_WINOGRAD_PLACES * TE_WINOGRAD_SUMS,
                                    .place_bytes = 16 * fours,
                                    .skipped = te_winograd_skipped(fours)};
    while (x < x1) {
        const int32_t left = (x1 - x + 1) / 2;
        const int32_t tiles = p->block_tiles == 3 && left >= 3 && left != 4 ? 3 : 2;
        const int32_t in_x = x - p->pad_left;
        for (int32_t i = 0; i < fours; i++) {
            uint32_t *columns = scratch; /* until the sums take their place */
            transform_columns(s, in_x, in_x + 2 * tiles + 2, 4 * i, p->in_channels, columns);
            te_winograd_inputs(columns, inputs + 2 * tiles * i, 8 * fours * tiles, tiles);
        }
        to->pixels = x1 - x < 2 * tiles ? x1 - x : 2 * tiles;
        conv_block(p, to, &job, tiles);
        to->rows[0] += to->pixels * p->out_pitch;
        to->rows[1] += to->pixels * p->out_pitch;
        x += to->pixels;
    }
}

void te_conv_2d_winograd_dsp(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                             int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0,
                             int32_t x1, void *scratch)
{
    const te_conv_2d_winograd_dsp_params *p = params;
    const int32_t needed = x1 - p->pad_left + 2;
    source from = {.rows = {.pitch = p->in_pitch},
                   .in_x0 = in_x0,
                   .end = needed < p->in_width ? needed : p->in_width,
                   .zero_points = UINT32_C(0x01010101) * (uint8_t)p->in_zero_point};
    te_winograd_target to = {.rows = {out_rows[0], out_rows[n_rows - 1]},
                             .pitch = p->out_pitch,
                             .rounding = p->rounding};
    (void)y;
    for (int32_t r = 0; r < TE_WINOGRAD_ROWS; r++) {
        const int8_t *row = r < n_rows + 2 ? in_rows[r] : NULL;
        from.rows.rows[r] = row == NULL ? (const int8_t *)&from.zero_points : row;
        from.rows.moves[r] = row == NULL ? 0 : UINT32_MAX;
    }
    conv_rows(p, &from, x0, x1, &to, scratch);
}
