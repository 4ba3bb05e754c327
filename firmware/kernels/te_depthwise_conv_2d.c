/* SPDX-License-Identifier: MIT-0 */
#include "te_depthwise_conv_2d.h"

#include "te_fixed_point.h"

enum { BLOCK = 16 }; /* output channels whose accumulators are held at once */

/* Adds one tap to the accumulators of channels [first, first + n): `in` is the pixel under the tap,
 * or null outside the image. */
static void add_tap(const te_depthwise_conv_2d_params *p, const int8_t *in, const int8_t *weights,
                    int32_t first, int32_t n, int32_t *acc)
{
    if (in == NULL) {
        for (int32_t i = 0; i < n; i++) {
            acc[i] += p->in_zero_point * weights[i];
        }
    } else if (p->depth_multiplier == 1) {
        for (int32_t i = 0; i < n; i++) {
            acc[i] += in[first + i] * weights[i];
        }
    } else {
        int32_t channel = first / p->depth_multiplier;
        int32_t left = (channel + 1) * p->depth_multiplier - first; /* filters of this channel */
        for (int32_t i = 0; i < n; i++) {
            if (left == 0) {
                channel++;
                left = p->depth_multiplier;
            }
            acc[i] += in[channel] * weights[i];
            left--;
        }
    }
}

/* The same for three taps beside each other inside the image, where every channel has one filter:
 * sums are loaded and stored once. `step` and `weight_step` lie between the taps. */
__attribute__((noinline)) static void add_three_taps(const int8_t *in, int32_t step,
                                                     const int8_t *weights, int32_t weight_step,
                                                     int32_t *acc, const int32_t *end)
{
    const int8_t *in1 = in + step;
    const int8_t *in2 = in1 + step;
    const int8_t *weights1 = weights + weight_step;
    const int8_t *weights2 = weights1 + weight_step;
    while (acc != end) {
        int32_t sum = *acc;
        sum += *in++ * *weights++;
        sum += *in1++ * *weights1++;
        sum += *in2++ * *weights2++;
        *acc++ = sum;
    }
}

/* Channels [first, first + n) of the pixel whose window starts at input column `x`. */
static void conv_block(const te_depthwise_conv_2d_params *p, const int8_t *const *in_rows,
                       int32_t in_x0, int32_t x, int32_t first, int32_t n, int8_t *out)
{
    int32_t acc[BLOCK];
    const int8_t *weights = p->weights + first;
    for (int32_t i = 0; i < n; i++) {
        acc[i] = p->bias[first + i];
    }
    for (int32_t ky = 0; ky < p->kernel_height; ky++) {
        const int8_t *row = in_rows[ky * p->dilation_y];
        for (int32_t kx = 0; kx < p->kernel_width;) {
            const int32_t in_x = x + kx * p->dilation_x;
            const int32_t is_inside = row != NULL && in_x >= 0;
            const int8_t *in = NULL;
            int32_t taps = 1;
            if (is_inside && in_x < p->in_width) {
                in = row + (in_x - in_x0) * p->in_pitch;
            }
            if (p->depth_multiplier == 1 && kx + 3 <= p->kernel_width && is_inside &&
                in_x + 2 * p->dilation_x < p->in_width) {
                add_three_taps(in + first, p->dilation_x * p->in_pitch, weights, p->in_channels,
                               acc, acc + n);
                taps = 3;
            } else {
                add_tap(p, in, weights, first, n, acc);
            }
            weights += taps * p->in_channels * p->depth_multiplier;
            kx += taps;
        }
    }
    for (int32_t i = 0; i < n; i++) {
        const int32_t scaled = te_requantize(acc[i], p->multiplier[first + i], p->shift[first + i]);
        out[first + i] = (int8_t)te_clamp(scaled + p->out_zero_point, p->out_min, p->out_max);
    }
}

void te_depthwise_conv_2d(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                          int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0,
                          int32_t x1, void *scratch)
{
    const te_depthwise_conv_2d_params *p = params;
    const int32_t channels = p->in_channels * p->depth_multiplier;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        int8_t *out = out_rows[r];
        for (int32_t x = x0; x < x1; x++) {
            const int32_t in_x = x * p->stride_x - p->pad_left;
            for (int32_t c = 0; c < channels; c += BLOCK) {
                const int32_t n = channels - c < BLOCK ? channels - c : BLOCK;
                conv_block(p, in_rows + r * p->stride_y, in_x0, in_x, c, n, out);
            }
            out += p->out_pitch;
        }
    }
}
