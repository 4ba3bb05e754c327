/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_SOFTMAX_H
#define TE_SOFTMAX_H

#include "te.h"

/* exp(x) / sum(exp(x)) over the channels of each pixel; the output has scale 1/256, zero point
 * -128. A difference to the largest channel times beta and scale is, in 5.26 fixed point,
 * difference * 2^shift * multiplier / 2^31. */
typedef struct {
    int32_t channels;
    int32_t in_pitch;
    int32_t out_pitch;
    int32_t multiplier;
    int32_t shift;
    int32_t diff_min; /* channels that lie further below the largest one count as 0 */
} te_softmax_params;

/* The sum is kept in 12.19 fixed point: room for 4095 channels. */
enum { TE_SOFTMAX_SUM_SHIFT = 12 };

static inline int32_t te_softmax_largest(const int8_t *in, int32_t n)
{
    int32_t max = INT8_MIN;
    for (int32_t c = 0; c < n; c++) {
        max = in[c] > max ? in[c] : max;
    }
    return max;
}

te_rows_fn te_softmax;

#endif
