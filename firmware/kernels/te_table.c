/* SPDX-License-Identifier: MIT-0 */
#include "te_table.h"

/* Four at a time: the loop would cost as much as the look-up. */
static void look_up(const int8_t *table, const int8_t *in, int8_t *out, int32_t n)
{
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        out[i] = table[in[i]];
        out[i + 1] = table[in[i + 1]];
        out[i + 2] = table[in[i + 2]];
        out[i + 3] = table[in[i + 3]];
    }
    for (; i < n; i++) {
        out[i] = table[in[i]];
    }
}

void te_table(const void *params, const int8_t *const *in_rows, int32_t in_x0,
              int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
              void *scratch)
{
    const te_table_params *p = params;
    const int8_t *table = p->table - INT8_MIN;
    const int dense = p->in_pitch == p->channels && p->out_pitch == p->channels;
    const int32_t pixels = dense ? 1 : x1 - x0;
    const int32_t n = dense ? (x1 - x0) * p->channels : p->channels;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        const int8_t *in = in_rows[r] + (x0 - in_x0) * p->in_pitch;
        for (int32_t x = 0; x < pixels; x++) {
            look_up(table, in + x * p->in_pitch, out_rows[r] + x * p->out_pitch, n);
        }
    }
}
