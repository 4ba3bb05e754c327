/* SPDX-License-Identifier: MIT-0 */
#include "te_resize_nearest_neighbor.h"

void te_resize_nearest_neighbor(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                                int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0,
                                int32_t x1, void *scratch)
{
    const te_resize_nearest_neighbor_params *p = params;
    const int8_t *row = in_rows[p->row == NULL ? 0 : p->row[y]];
    (void)n_rows;
    (void)scratch;
    for (int32_t x = x0; x < x1; x++) {
        const int8_t *in = row + (p->columns[x] - in_x0) * p->in_pitch;
        int8_t *out = out_rows[0] + (x - x0) * p->out_pitch;
        for (int32_t c = 0; c < p->channels; c++) {
            out[c] = in[c];
        }
    }
}
