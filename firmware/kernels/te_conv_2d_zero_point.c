/* SPDX-License-Identifier: MIT-0 */
#include "te_conv_2d_zero_point.h"

#include "te_fixed_point.h"

/* Sum over one tap for one output channel; `in` is the group's first channel of the pixel under
 * the tap, or null outside the image. */
static int32_t tap(const te_conv_2d_zero_point_params *p, const int8_t *in, const int8_t *weights)
{
    const int32_t zero_point = p->weight_zero_point;
    int32_t sum = 0;
    for (int32_t c = 0; c < p->in_channels; c++) {
        const int32_t x = in == NULL ? p->in_zero_point : in[c];
        sum += x * (weights[c] - zero_point);
    }
    return sum;
}

/* Output channel `o` of the pixel whose window starts at input column `x`. */
static int8_t conv_value(const te_conv_2d_zero_point_params *p, const int8_t *const *in_rows,
                         int32_t in_x0, int32_t x, int32_t o)
{
    const int32_t channel = o / p->out_channels * p->in_channels;
    const int8_t *weights = p->weights + o * (p->kernel_height * p->kernel_width * p->in_channels);
    int32_t acc = p->bias[o];
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        const int8_t *row = in_rows[ky * p->dilation_y];
        for (int32_t kx = 0; kx < p->kernel_width; kx++) {
            const int32_t in_x = x + kx * p->dilation_x;
            const int8_t *in = NULL;
            if (row != NULL && in_x >= 0 && in_x < p->in_width) {
                in = row + (in_x - in_x0) * p->in_pitch + channel;
            }
            acc += tap(p, in, weights);
            weights += p->in_channels;
        }
    }
    acc = te_requantize(acc, p->multiplier[o], p->shift[o]) + p->out_zero_point;
    return (int8_t)te_clamp(acc, p->out_min, p->out_max);
}

void te_conv_2d_zero_point(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                           int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0,
                           int32_t x1, void *scratch)
{
    const te_conv_2d_zero_point_params *p = params;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        int8_t *out = out_rows[r];
        for (int32_t x = x0; x < x1; x++) {
            const int32_t in_x = x * p->stride_x - p->pad_left;
            for (int32_t o = 0; o < p->groups * p->out_channels; o++) {
                out[o] = conv_value(p, in_rows + r * p->stride_y, in_x0, in_x, o);
            }
            out += p->out_pitch;
        }
    }
}
