/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_DEPTHWISE_3X3_ROWS_DSP_H
#define TE_DEPTHWISE_3X3_ROWS_DSP_H

#include "te.h"

/* Depthwise convolution of 3x3 taps, stride 1, without dilation and with one filter per channel,
 * two output rows at a time, for cores with the DSP extension. Bias and weights have been scaled up
 * by the binary places that accumulators gain, the input zero point is folded into the bias, so
 * that a tap outside the image counts as the input zero point. Outputs are rounded by TE_HALF_UP
 * (see te_product_dsp.h).
 *
 * Two output rows need four input rows. Four channels at a time are expanded to columns of eight
 * words, two for each channel, in which both outputs of a column find all their taps:
 *
 *     low     row 0   row 2
 *     high    row 1   row 3
 */
typedef struct {
    const int32_t *weights; /* per channel: for each column of taps rows (0, 1) and rows (1, 2);
                               multiplier, constant, shift, bias */
    int32_t in_width;
    uint16_t channels;
    uint16_t in_pitch;
    uint16_t out_pitch;
    uint16_t pad_left;
    uint16_t block_pixels; /* output pixels of a row that the scratch memory has room for */
    int8_t in_zero_point;
    int8_t out_min;
    int8_t out_max;
} te_depthwise_3x3_rows_dsp_params;

te_rows_fn te_depthwise_3x3_rows_dsp;

#endif
