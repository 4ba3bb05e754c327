/* SPDX-License-Identifier: MIT-0 */
#include "te_conv_2d_1x1_dsp.h"

#include "te_product_dsp.h"

void te_conv_2d_1x1_dsp(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                        int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                        void *scratch)
{
    const te_conv_2d_1x1_dsp_params *p = params;
    const int32_t step = p->stride_x * p->in_pitch;
    int32_t *tile = scratch;
    te_product job = {.tile = tile,
                      .weights = p->weights,
                      .out = out_rows[0],
                      .out_pitch = p->out_pitch,
                      .pairs = p->pairs,
                      .groups = p->groups,
                      .rounding = p->rounding,
                      .room = p->has_room ? tile + 4 * p->groups * p->block_pixels : NULL,
                      .constants = p->constants,
                      .channels = p->out_channels,
                      .out_min = p->out_min,
                      .out_max = p->out_max};
    const int8_t *in = in_rows[0] + (x0 * p->stride_x - in_x0) * p->in_pitch;
    (void)n_rows;
    (void)y;
    for (int32_t x = x0; x < x1;) {
        const int32_t pixels = te_block_pixels(x1 - x, p->block_pixels);
        if (pixels >= 3) {
            int32_t *to = tile;
            for (int32_t i = 0; i < pixels; i += 3) {
                te_expand_3_dsp(to, in + i * step, step, p->in_channels);
                to += 12 * p->groups;
            }
        } else {
            for (int32_t i = 0; i < pixels; i++) {
                te_expand_dsp(tile + i, in + i * step, p->in_channels, pixels);
            }
        }
        te_product_dsp(&job, pixels);
        in += pixels * step;
        job.out += pixels * p->out_pitch;
        x += pixels;
    }
}
