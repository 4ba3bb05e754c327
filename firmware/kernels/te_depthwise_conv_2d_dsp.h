/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_DEPTHWISE_CONV_2D_DSP_H
#define TE_DEPTHWISE_CONV_2D_DSP_H

#include "te.h"

/* Depthwise convolution of any kernel and stride, without dilation along rows and with one filter
 * per channel, for cores with the DSP extension. Bias and weights have been scaled up
 * by the binary places that accumulators gain, the input zero point is folded into the bias, so
 * that a tap outside the image counts as the input zero point. Rounding: see te_product_dsp.h.
 *
 * Four channels at a time are expanded to planes of words, a word holding two rows of one channel
 * ("pair"; the last of an odd number of rows stands beside a neighbour whose weight is 0). Column
 * by column the pairs lie in ascending order, so that a window is one run of words:
 *
 *     plane of a channel    column 0: pair 0, pair 1 | column 1: pair 0, pair 1 | ...
 *                           `------- window of output 0 ------- ...
 */
typedef struct {
    const int32_t *weights; /* per channel: bias; kernel_width * pairs words, filled up to a
                               multiple of 4; multiplier, constant, shift */
    int32_t in_width;
    uint16_t channels;
    uint16_t in_pitch;
    uint16_t out_pitch;
    uint16_t kernel_height;
    uint16_t kernel_width;
    uint16_t stride_x;
    uint16_t dilation_y;
    uint16_t pad_left;
    uint16_t block_pixels; /* output pixels that the scratch memory has room for */
    uint8_t rounding;
    int8_t in_zero_point;
    int8_t out_min;
    int8_t out_max;
} te_depthwise_conv_2d_dsp_params;

te_rows_fn te_depthwise_conv_2d_dsp;

#endif
