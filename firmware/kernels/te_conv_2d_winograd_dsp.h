/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_CONV_2D_WINOGRAD_DSP_H
#define TE_CONV_2D_WINOGRAD_DSP_H

#include "te.h"

/* Convolution with a 3x3 kernel, stride 1 and one group as Winograd's F(2x2, 3x3), exact, for the
 * DSP extension. A tile of 2x2 outputs comes from 4x4 inputs by 16 multiplications per channel
 * where the window by window sum takes 36:
 *
 *     4 * outputs = A^T ((2 G g (2 G)^T) * (B^T d B)) A      g weights, d inputs
 *
 *             1  0 -1  0              2  0  0                1  1  1  0
 *     B^T  =  0  1  1  0     2 G  =   1  1  1       A^T  =   0  1 -1 -1
 *             0 -1  1  0              1 -1  1
 *             0  1  0 -1              0  0  2
 *
 * G doubled is free of fractions: transformed weights stay within 1,152. Four int8 values make a
 * transformed input; 64 times that still fits 16 bits, and it is what is multiplied, so that sums
 * come out 256 times as large as the rounding wants them. Sums wrap around 32 bits; what comes out
 * of the last transform is exact again, since codegen proves that accumulators fit 23 bits. Inputs
 * keep their zero point, which is folded into the bias; outside the image an input is the zero
 * point itself.
 *
 * Weights are transformed at codegen. For each pair of output channels stand in reading order
 *
 *     for each of the 16 places of a tile, for each four input channels:
 *         channels (0, 2) for the first output channel | for the second | (1, 3) | (1, 3)
 *     256 * bias, multiplier, constant, shift and place    of the second channel
 *     256 * bias, multiplier, constant, shift and place    of the first channel
 *
 * with input channels filled up with zeros to whole fours, and rounding as te_product_dsp.h says.
 *
 * Scratch: 128 * `block_tiles` * fours bytes, the transformed inputs of a block of tiles, and 384,
 * the sums of one pair. */
typedef struct {
    const int32_t *weights;
    const int8_t *constants; /* of one pixel, or null; see te_product_dsp.h */
    int32_t in_width;
    uint16_t in_pitch;
    uint16_t out_pitch;
    uint16_t pad_left;
    uint16_t in_channels;
    uint16_t out_channels;
    uint16_t pairs;      /* of computed output channels */
    uint8_t block_tiles; /* 2 or 3; what lies outside the output is not written */
    uint8_t rounding;
    int8_t in_zero_point;
    int8_t out_min;
    int8_t out_max;
} te_conv_2d_winograd_dsp_params;

te_rows_fn te_conv_2d_winograd_dsp; /* n_rows is 1 or 2 */

#endif
