/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_CONV_2D_ROWS_DSP_H
#define TE_CONV_2D_ROWS_DSP_H

#include "te.h"

/* Convolution of any kernel and stride, without dilation, one output row or several at a time: for
 * narrow maps, of which one row has too few pixels to share what is read of the weights, and many
 * windows at the border. The input rows of a call are first copied beside each other with their
 * padding, so that all windows are alike. Cores with the DSP extension. See te_product_dsp.h for
 * weights and rounding; the input zero point is folded into the biases, so that a tap outside the
 * image counts as the input zero point. Values of a window are taken row by row, channels
 * innermost. */
typedef struct {
    const int32_t *weights;
    const int8_t *constants; /* outputs of the channels that are not computed, or null */
    int32_t in_width;
    uint16_t in_channels; /* values of a pixel, which follow each other */
    uint16_t out_channels;
    uint16_t out_pitch;
    uint16_t kernel_height;
    uint16_t kernel_width;
    uint16_t stride_y;
    uint16_t stride_x;
    uint16_t pad_left;
    uint16_t pairs;        /* of output channels that are computed */
    uint16_t groups;       /* of four words that a window takes */
    uint16_t block_pixels; /* output pixels that the scratch memory has room for, beside the padded
                              rows: a multiple of 3 */
    uint8_t rounding;
    uint8_t has_room; /* for a copy of what a pair reads */
    int8_t in_zero_point;
    int8_t out_min;
    int8_t out_max;
} te_conv_2d_rows_dsp_params;

te_rows_fn te_conv_2d_rows_dsp;

#endif
