/* SPDX-License-Identifier: MIT-0 */
#include "te_slice.h"

#include "te_copy.h"

void te_slice(const void *params, const int8_t *const *in_rows, int32_t in_x0,
              int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
              void *scratch)
{
    const te_slice_params *p = params;
    const int32_t column = p->first_column + x0 * p->column_step - in_x0;
    const int32_t step = p->column_step * p->in_pitch;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        const int8_t *in = in_rows[r * p->row_step] + column * p->in_pitch + p->first_channel;
        int8_t *out = out_rows[r];
        if (p->channel_step == 1) {
            te_copy_pixels(out, p->out_pitch, in, step, p->channels, x1 - x0);
            continue;
        }
        for (int32_t x = x0; x < x1; x++) {
            for (int32_t c = 0; c < p->channels; c++) {
                out[c] = in[c * p->channel_step];
            }
            in += step;
            out += p->out_pitch;
        }
    }
}
