/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_DEPTHWISE_3X3_DSP_H
#define TE_DEPTHWISE_3X3_DSP_H

#include "te.h"

/* Depthwise convolution of 3x3 taps, stride 1 or 2 along rows, without dilation along rows and with
 * one filter per channel, for cores with the DSP extension. Bias and weights have been scaled up by
 * the binary places that accumulators gain, the input zero point is folded into the bias, so that a
 * tap outside the image counts as the input zero point. Outputs are rounded by TE_HALF_UP (see
 * te_product_dsp.h).
 *
 * Four channels at a time are expanded to columns of six words, so that each channel finds its
 * three rows in two neighbouring words:
 *
 *     word    0          1          2          3          4          5
 *     low     0, row 0   0, row 2   2, row 0   1, row 0   1, row 2   3, row 0
 *     high    0, row 1   2, row 2   2, row 1   1, row 1   3, row 2   3, row 1
 *
 * Channel 0 reads words 0 and 1, channel 1 words 3 and 4, channel 2 words 1 and 2, channel 3 words
 * 4 and 5; a lane of the neighbour has weight 0. */
typedef struct {
    const int32_t *weights; /* per channel: bias; two words for each column of taps; multiplier,
                               constant, shift */
    int32_t in_width;
    uint16_t channels;
    uint16_t in_pitch;
    uint16_t out_pitch;
    uint16_t stride_x;
    uint16_t dilation_y;
    uint16_t pad_left;
    uint16_t block_pixels; /* output pixels that the scratch memory has room for */
    int8_t in_zero_point;
    int8_t out_min;
    int8_t out_max;
} te_depthwise_3x3_dsp_params;

te_rows_fn te_depthwise_3x3_dsp;

#endif
