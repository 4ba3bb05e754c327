/* SPDX-License-Identifier: MIT-0 */
#include "te_quantize.h"

void te_quantize(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                 int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                 void *scratch)
{
    const te_quantize_params *p = params;
    const int8_t *table = p->table - INT8_MIN;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        for (int32_t x = x0; x < x1; x++) {
            const int8_t *in = in_rows[r] + (x - in_x0) * p->in_pitch;
            int8_t *out = out_rows[r] + (x - x0) * p->out_pitch;
            for (int32_t c = 0; c < p->channels; c++) {
                out[c] = table[in[c]];
            }
        }
    }
}
