/* SPDX-License-Identifier: MIT-0 */
/* Sums over pixels of four neighbouring channels, for cores with the DSP extension. */
#ifndef TE_SUMS_DSP_H
#define TE_SUMS_DSP_H

#include "te_dsp.h"

enum { TE_LANE_VALUES = 255 }; /* int8 values that a sum of 16 bits has room for */

/* Adds up channels 0 to 3 of `n` pixels that are `pitch` bytes apart: channels 0 and 2 in the lanes
 * of *even, 1 and 3 in those of *odd. No more than TE_LANE_VALUES in all. */
static inline void te_sum_lanes(const int8_t *in, int32_t pitch, int32_t n, uint32_t *even,
                                uint32_t *odd)
{
    uint32_t a = *even;
    uint32_t b = *odd;
    for (; n > 0; n--) {
        const uint32_t word = te_load4(in);
        in += pitch;
        a = te_sxtab16(a, word);
        b = te_sxtab16_ror8(b, word);
    }
    *even = a;
    *odd = b;
}

/* Adds all `channels` of `n` pixels to as many sums. */
static inline void te_sum_pixels(const int8_t *in, int32_t pitch, int32_t n, int32_t channels,
                                 int32_t *sums)
{
    int32_t c = 0;
    for (; c + 4 <= channels; c += 4) {
        for (int32_t x = 0; x < n; x += TE_LANE_VALUES) {
            const int32_t left = n - x < TE_LANE_VALUES ? n - x : TE_LANE_VALUES;
            uint32_t even = 0;
            uint32_t odd = 0;
            te_sum_lanes(in + x * pitch + c, pitch, left, &even, &odd);
            sums[c] += te_low(even);
            sums[c + 1] += te_low(odd);
            sums[c + 2] += te_high(even);
            sums[c + 3] += te_high(odd);
        }
    }
    for (; c < channels; c++) {
        for (int32_t x = 0; x < n; x++) {
            sums[c] += in[x * pitch + c];
        }
    }
}

#endif
