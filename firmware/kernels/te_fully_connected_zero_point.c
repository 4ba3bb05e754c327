/* SPDX-License-Identifier: MIT-0 */
#include "te_fully_connected_zero_point.h"

#include "te_fixed_point.h"

/* The sum for one unit over the values [start, start + depth) of a map; where `rows_per_map` is 0
 * all of them lie in the first row. */
static int32_t unit_sum(const te_fully_connected_zero_point_params *p, const int8_t *const *rows,
                        int32_t start, const int8_t *weights)
{
    const int32_t zero_point = p->weight_zero_point;
    int32_t row = p->rows_per_map == 0 ? 0 : start / p->row_values;
    int32_t column = start - row * p->row_values;
    int32_t sum = 0;
    for (int32_t d = 0; d < p->depth; d++) {
        if (p->rows_per_map != 0 && column == p->row_values) {
            column = 0;
            row++;
        }
        sum += rows[row][column] * (weights[d] - zero_point);
        column++;
    }
    return sum;
}

void te_fully_connected_zero_point(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                                   int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0,
                                   int32_t x1, void *scratch)
{
    const te_fully_connected_zero_point_params *p = params;
    const int32_t first = p->rows_per_map == 0 ? in_x0 : 0;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        int8_t *out = out_rows[r];
        for (int32_t x = x0; x < x1; x++) {
            const int8_t *weights = p->weights;
            for (int32_t u = 0; u < p->units; u++) {
                const int32_t sum = unit_sum(p, in_rows + r, (x - first) * p->depth, weights);
                const int32_t scaled =
                    te_multiply_round_half_away(p->bias[u] + sum, p->multiplier[0], p->shift[0]);
                out[u] = (int8_t)te_clamp(scaled + p->out_zero_point, p->out_min, p->out_max);
                weights += p->depth;
            }
            out += p->out_pitch;
        }
    }
}
