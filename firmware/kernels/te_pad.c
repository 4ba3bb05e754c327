/* SPDX-License-Identifier: MIT-0 */
#include "te_pad.h"

/* One output pixel; `in` is null outside the image. */
static void pad_pixel(const te_pad_params *p, const int8_t *in, int8_t *out)
{
    const int32_t first = in == NULL ? p->out_channels : p->pad_channels;
    const int32_t end = in == NULL ? first : first + p->in_channels;
    for (int32_t c = 0; c < first; c++) {
        out[c] = (int8_t)p->value;
    }
    for (int32_t c = first; c < end; c++) {
        out[c] = in[c - first];
    }
    for (int32_t c = end; c < p->out_channels; c++) {
        out[c] = (int8_t)p->value;
    }
}

void te_pad(const void *params, const int8_t *const *in_rows, int32_t in_x0,
            int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
            void *scratch)
{
    const te_pad_params *p = params;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        for (int32_t x = x0; x < x1; x++) {
            const int32_t in_x = x - p->pad_left;
            const int inside = in_rows[r] != NULL && in_x >= 0 && in_x < p->in_width;
            pad_pixel(p, inside ? in_rows[r] + (in_x - in_x0) * p->in_pitch : NULL,
                      out_rows[r] + (x - x0) * p->out_pitch);
        }
    }
}
