/* SPDX-License-Identifier: MIT-0 */
#include "te_depth_to_space.h"

#include "te_copy.h"

void te_depth_to_space(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                       int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                       void *scratch)
{
    const te_depth_to_space_params *p = params;
    const int32_t of_row = y % p->block * p->block * p->channels;
    const int8_t *in = in_rows[0] + of_row + (x0 / p->block - in_x0) * p->in_pitch;
    int8_t *out = out_rows[0];
    int32_t phase = x0 % p->block;
    (void)n_rows;
    (void)scratch;
    /* The pixels of one output row that come from one input pixel lie side by side in it. */
    for (int32_t x = x0; x < x1;) {
        const int32_t left = p->block - phase;
        const int32_t pixels = left < x1 - x ? left : x1 - x;
        te_copy_pixels(out, p->out_pitch, in + phase * p->channels, p->channels, p->channels,
                       pixels);
        out += pixels * p->out_pitch;
        x += pixels;
        in += p->in_pitch;
        phase = 0;
    }
}
