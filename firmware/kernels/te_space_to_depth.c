/* SPDX-License-Identifier: MIT-0 */
#include "te_space_to_depth.h"

#include "te_copy.h"

void te_space_to_depth(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                       int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                       void *scratch)
{
    const te_space_to_depth_params *p = params;
    const int32_t pixel = p->block * p->channels; /* what one input row gives */
    (void)y;
    (void)scratch;
    for (int32_t row = 0; row < n_rows * p->block; row++) {
        const int8_t *in = in_rows[row] + (x0 * p->block - in_x0) * p->in_pitch;
        int8_t *out = out_rows[row / p->block] + row % p->block * pixel;
        for (int32_t x = x0; x < x1; x++) {
            te_copy_pixels(out, p->channels, in, p->in_pitch, p->channels, p->block);
            in += p->block * p->in_pitch;
            out += p->out_pitch;
        }
    }
}
