/* SPDX-License-Identifier: MIT-0 */
#include "te_conv_2d.h"

#include "te_fixed_point.h"

/* Sum of x * w over one row of the kernel for one output channel; `row` is the group's first
 * channel of image column `in_x0`, or null where the whole row lies outside the image. */
static int32_t row_of_taps(const te_conv_2d_params *p, const int8_t *row, int32_t in_x0, int32_t x,
                           const int8_t *weights)
{
    int32_t sum = 0;
    for (int32_t kx = 0; kx < p->kernel_width; kx++) {
        const int32_t in_x = x + kx * p->dilation_x;
        if (row == NULL || in_x < 0 || in_x >= p->in_width) {
            for (int32_t c = 0; c < p->in_channels; c++) {
                sum += p->in_zero_point * weights[c];
            }
        } else {
            const int8_t *in = row + (in_x - in_x0) * p->in_pitch;
            for (int32_t c = 0; c < p->in_channels; c++) {
                sum += in[c] * weights[c];
            }
        }
        weights += p->in_channels;
    }
    return sum;
}

/* All output channels of the pixel whose window starts at input column `x`. */
static void conv_pixel(const te_conv_2d_params *p, const int8_t *const *in_rows, int32_t in_x0,
                       int32_t x, int8_t *out)
{
    const int32_t row_weights = p->kernel_width * p->in_channels;
    const int8_t *weights = p->weights;
    for (int32_t o = 0; o < p->groups * p->out_channels; o++) {
        const int32_t channel = o / p->out_channels * p->in_channels;
        int32_t acc = p->bias[o];
        for (int32_t ky = 0; ky < p->kernel_height; ky++) {
            const int8_t *row = in_rows[ky * p->dilation_y];
            acc += row_of_taps(p, row == NULL ? NULL : row + channel, in_x0, x, weights);
            weights += row_weights;
        }
        acc = te_requantize(acc, p->multiplier[o], p->shift[o]) + p->out_zero_point;
        out[o] = (int8_t)te_clamp(acc, p->out_min, p->out_max);
    }
}

void te_conv_2d(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                void *scratch)
{
    const te_conv_2d_params *p = params;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        int8_t *out = out_rows[r];
        for (int32_t x = x0; x < x1; x++) {
            conv_pixel(p, in_rows + r * p->stride_y, in_x0, x * p->stride_x - p->pad_left, out);
            out += p->out_pitch;
        }
    }
}
