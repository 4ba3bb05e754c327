/* SPDX-License-Identifier: MIT-0 */
#include "te_fully_connected.h"

#include "te_dots.h"
#include "te_fixed_point.h"

/* Adds the products of the values from `start` on, of a map of `row_values` values per row, to the
 * sums of `count` units. */
static void add_rows(const te_fully_connected_params *p, const int8_t *const *rows, int32_t start,
                     const int8_t *weights, int32_t *sums, int32_t count)
{
    int32_t row = start / p->row_values;
    int32_t column = start - row * p->row_values;
    for (int32_t done = 0; done < p->depth;) {
        const int32_t in_row = p->row_values - column;
        const int32_t n = in_row < p->depth - done ? in_row : p->depth - done;
        te_add_dots(rows[row] + column, weights + done, p->depth, n, sums, count);
        done += n;
        column = 0;
        row++;
    }
}

/* All units of the pixel whose values start at value `start` of `rows`. */
static void pixel(const te_fully_connected_params *p, const int8_t *const *rows, int32_t start,
                  int8_t *out)
{
    const int8_t *weights = p->weights;
    for (int32_t u = 0; u < p->units; u += TE_DOTS) {
        const int32_t count = p->units - u < TE_DOTS ? p->units - u : TE_DOTS;
        int32_t sums[TE_DOTS] = {0};
        if (p->rows_per_map == 0) {
            te_add_dots(rows[0] + start, weights, p->depth, p->depth, sums, count);
        } else {
            add_rows(p, rows, start, weights, sums, count);
        }
        for (int32_t i = u; i < u + count; i++) {
            const int32_t q = i * p->per_unit;
            const int32_t scaled = te_multiply_round_half_away(p->bias[i] + sums[i - u],
                                                               p->multiplier[q], p->shift[q]);
            out[i] = (int8_t)te_clamp(scaled + p->out_zero_point, p->out_min, p->out_max);
        }
        weights += TE_DOTS * p->depth;
    }
}

void te_fully_connected(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                        int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                        void *scratch)
{
    const te_fully_connected_params *p = params;
    const int32_t first = p->rows_per_map == 0 ? in_x0 : 0;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        int8_t *out = out_rows[r];
        for (int32_t x = x0; x < x1; x++) {
            pixel(p, in_rows + r, (x - first) * p->depth, out);
            out += p->out_pitch;
        }
    }
}
