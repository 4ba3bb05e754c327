/* SPDX-License-Identifier: MIT-0 */
#include "te_join.h"

#include "te_copy.h"

void te_join_channels(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                      int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                      void *scratch)
{
    const te_join_params *p = params;
    int32_t channel = 0;
    (void)scratch;
    for (int32_t i = 0; i < p->count; i++) {
        const int32_t size = p->size[i];
        const int is_constant = p->constant[i] >= 0;
        for (int32_t r = 0; r < n_rows; r++) {
            const int8_t *in =
                is_constant ? p->constants + p->constant[i] + ((y + r) * p->out_pixels + x0) * size
                            : in_rows[r] + (x0 - in_x0) * size;
            te_copy_pixels(out_rows[r] + channel, p->out_pitch, in, size, size, x1 - x0);
        }
        in_rows += is_constant ? 0 : n_rows;
        channel += size;
    }
}

void te_join_pixels(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                    int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                    void *scratch)
{
    const te_join_params *p = params;
    int32_t start = 0;
    (void)in_x0;
    (void)scratch;
    for (int32_t i = 0; i < p->count; i++) {
        const int32_t size = p->size[i];
        const int is_constant = p->constant[i] >= 0;
        const int32_t first = x0 > start ? x0 : start;
        const int32_t end = x1 < start + size ? x1 : start + size;
        for (int32_t r = 0; r < n_rows && first < end; r++) {
            const int8_t *in = is_constant
                                   ? p->constants + p->constant[i] + (y + r) * size * p->channels
                                   : in_rows[r];
            te_copy_pixels(out_rows[r] + (first - x0) * p->out_pitch, p->out_pitch,
                           in + (first - start) * p->channels, p->channels, p->channels,
                           end - first);
        }
        in_rows += is_constant ? 0 : n_rows;
        start += size;
    }
}

void te_join_rows(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                  int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                  void *scratch)
{
    const te_join_params *p = params;
    int32_t start = 0;
    (void)scratch;
    for (int32_t i = 0; i < p->count; i++) {
        const int is_constant = p->constant[i] >= 0;
        for (int32_t r = 0; r < n_rows; r++) {
            const int32_t row = y + r - start;
            if (row >= 0 && row < p->size[i]) {
                const int8_t *in = is_constant ? p->constants + p->constant[i] +
                                                     (row * p->out_pixels + x0) * p->channels
                                               : in_rows[r] + (x0 - in_x0) * p->channels;
                te_copy_pixels(out_rows[r], p->out_pitch, in, p->channels, p->channels, x1 - x0);
            }
        }
        in_rows += is_constant ? 0 : n_rows;
        start += p->size[i];
    }
}

void te_join_whole(const void *params, const int8_t *const *in, int8_t *const *out, void *scratch)
{
    const te_join_params *p = params;
    int8_t *to = out[0];
    (void)scratch;
    for (int32_t turn = 0; turn < p->turns; turn++) {
        int32_t activation = 0;
        for (int32_t i = 0; i < p->count; i++) {
            const int8_t *from =
                p->constant[i] >= 0 ? p->constants + p->constant[i] : in[activation++];
            te_copy(to, from + turn * p->size[i], p->size[i]);
            to += p->size[i];
        }
    }
}
