/* SPDX-License-Identifier: MIT-0 */
#include "te_transpose_conv.h"

#include "te_fixed_point.h"

/* The first input position that meets output position `at`: ceil((at + pad - kernel + 1) / stride).
 * It may be negative. */
static int32_t first_input(int32_t at, int32_t pad, int32_t kernel, int32_t stride)
{
    const int32_t scaled = at + pad - kernel + stride;
    return scaled >= 0 ? scaled / stride : -((stride - 1 - scaled) / stride);
}

/* Sum of x * w over the pixels of one input row; `tap` is the weight that the first of them,
 * column `in_x`, would meet. Weights run backwards. */
static int32_t row_of_taps(const te_transpose_conv_params *p, const int8_t *row, int32_t in_x,
                           int32_t tap, const int8_t *weights)
{
    int32_t sum = 0;
    for (; tap >= 0; tap -= p->stride_x, in_x++) {
        if (in_x >= 0 && in_x < p->in_width && tap < p->kernel_width) {
            const int8_t *in = row + in_x * p->in_pitch;
            const int8_t *w = weights + tap * p->in_channels;
            for (int32_t c = 0; c < p->in_channels; c++) {
                sum += (in[c] - p->in_zero_point) * w[c];
            }
        }
    }
    return sum;
}

void te_transpose_conv(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                       int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                       void *scratch)
{
    const te_transpose_conv_params *p = params;
    const int32_t row_weights = p->kernel_width * p->in_channels;
    const int32_t in_y = first_input(y, p->pad_top, p->kernel_height, p->stride_y);
    const int32_t tap_y = y + p->pad_top - in_y * p->stride_y;
    int8_t *out = out_rows[0];
    (void)n_rows;
    (void)scratch;
    for (int32_t x = x0; x < x1; x++) {
        const int32_t in_x = first_input(x, p->pad_left, p->kernel_width, p->stride_x);
        const int32_t tap_x = x + p->pad_left - in_x * p->stride_x;
        const int8_t *weights = p->weights;
        for (int32_t o = 0; o < p->out_channels; o++) {
            int32_t acc = p->bias[o];
            int32_t tap = tap_y;
            for (int32_t r = 0; r < p->in_count; r++, tap -= p->stride_y) {
                if (in_rows[r] != NULL && tap >= 0 && tap < p->kernel_height) {
                    acc += row_of_taps(p, in_rows[r] - in_x0 * p->in_pitch, in_x, tap_x,
                                       weights + tap * row_weights);
                }
            }
            acc = te_requantize(acc, p->multiplier[o], p->shift[o]) + p->out_zero_point;
            out[o] = (int8_t)te_clamp(acc, p->out_min, p->out_max);
            weights += p->kernel_height * row_weights;
        }
        out += p->out_pitch;
    }
}
