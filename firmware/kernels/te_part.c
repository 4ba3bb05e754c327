/* SPDX-License-Identifier: MIT-0 */
#include "te_part.h"

#include "te_copy.h"

void te_part_channels(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                      int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                      void *scratch)
{
    const te_part_params *p = params;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        const int8_t *in = in_rows[r] + (x0 - in_x0) * p->in_pitch;
        for (int32_t i = 0; i < p->count; i++) {
            te_copy_pixels(out_rows[i * n_rows + r], p->size[i], in, p->in_pitch, p->size[i],
                           x1 - x0);
            in += p->size[i];
        }
    }
}

void te_part_whole(const void *params, const int8_t *const *in, int8_t *const *out, void *scratch)
{
    const te_part_params *p = params;
    const int8_t *from = in[0];
    (void)scratch;
    for (int32_t turn = 0; turn < p->turns; turn++) {
        for (int32_t i = 0; i < p->count; i++) {
            te_copy(out[i] + turn * p->size[i], from, p->size[i]);
            from += p->size[i];
        }
    }
}
