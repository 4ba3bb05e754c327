/* SPDX-License-Identifier: MIT-0 */
#include "te_resize_bilinear.h"

enum { ONE = 1024, HALF_SQUARE = ONE * ONE / 2 };

/* round(sum / ONE^2), halves away from zero. */
static inline int8_t rounded(int32_t sum)
{
    return (int8_t)((sum > 0 ? sum + HALF_SQUARE : sum - HALF_SQUARE) / (ONE * ONE));
}

/* One output pixel: `right` and `down` are weights of what lies there, at most ONE. */
static void interpolate(const te_resize_bilinear_params *p, const int8_t *top, const int8_t *bottom,
                        int32_t to_right, int32_t right, int32_t down, int8_t *out)
{
    const int32_t left = ONE - right;
    for (int32_t c = 0; c < p->channels; c++) {
        const int32_t upper = top[c] * left + top[c + to_right] * right;
        const int32_t lower = bottom[c] * left + bottom[c + to_right] * right;
        out[c] = rounded(upper * (ONE - down) + lower * down);
    }
}

void te_resize_bilinear(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                        int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                        void *scratch)
{
    const te_resize_bilinear_params *p = params;
    const int8_t *top = in_rows[0] == NULL ? in_rows[1] : in_rows[0];
    const int8_t *bottom = in_rows[1] == NULL ? top : in_rows[1];
    const int32_t down = (y * p->y_scale + p->y_offset) & (ONE - 1);
    int32_t position = x0 * p->x_scale + p->x_offset;
    int8_t *out = out_rows[0];
    (void)n_rows;
    (void)scratch;
    for (int32_t x = x0; x < x1; x++) {
        /* Left of the first and right of the last column there is nothing to interpolate. */
        const int32_t column = position < 0 ? 0 : position / ONE;
        const int32_t has_right = position > 0 && column + 1 < p->in_width;
        const int32_t at = (column - in_x0) * p->in_pitch;
        interpolate(p, top + at, bottom + at, has_right ? p->in_pitch : 0,
                    has_right ? position % ONE : 0, down, out);
        position += p->x_scale;
        out += p->out_pitch;
    }
}
