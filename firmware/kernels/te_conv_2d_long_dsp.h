/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_CONV_2D_LONG_DSP_H
#define TE_CONV_2D_LONG_DSP_H

#include "te.h"

/* Convolution of one group for the DSP extension where a window is too long to be expanded at
 * once, or its accumulators for 23 bits. A window is taken tap by tap, a tap in parts of
 * `part_values` channels, and the sums of up to TE_LONG_PAIRS pairs of output channels are kept
 * meanwhile.
 *
 * The weights of each such block of pairs follow each other, part by part, packed as
 * te_product_dsp.h says; only the first part has the rounding. Scratch: 16 * groups bytes for a
 * part, and 8 bytes for each pair of a block. */
enum { TE_LONG_PAIRS = 32 };

typedef struct {
    const int32_t *weights;
    const int32_t *bias;     /* of computed output channels, a zero behind an odd number of them */
    const int8_t *constants; /* of one pixel, or null; see te_product_dsp.h */
    int32_t in_width;
    int32_t in_pitch;
    int32_t out_pitch;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride_x;
    int32_t dilation_y;
    int32_t dilation_x;
    int32_t pad_left;
    int32_t in_zero_point;
    int32_t in_channels;
    int32_t part_values;
    int32_t out_channels;
    int32_t pairs;  /* of computed output channels */
    int32_t groups; /* of four words per pair and part */
    int32_t rounding;
    int32_t out_min;
    int32_t out_max;
} te_conv_2d_long_dsp_params;

te_rows_fn te_conv_2d_long_dsp;

#endif
