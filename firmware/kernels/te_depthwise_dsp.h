/* SPDX-License-Identifier: MIT-0 */
/* What the depthwise kernels for the DSP extension have in common. */
#ifndef TE_DEPTHWISE_DSP_H
#define TE_DEPTHWISE_DSP_H

#include <stdint.h>

static inline int32_t te_within(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : (value > high ? high : value);
}

/* Fills expanded columns that lie outside the image. */
static inline void te_fill_columns(int32_t *to, const int32_t *end, int32_t lanes)
{
    while (to != end) {
        *to++ = lanes;
    }
}

/* Clamps `n` pixels of `channels` values. */
static inline void te_clamp_columns(int8_t *out, int32_t n, int32_t channels, int32_t pitch,
                                    int32_t low, int32_t high)
{
    for (int32_t x = 0; x < n; x++) {
        for (int32_t c = 0; c < channels; c++) {
            out[x * pitch + c] = (int8_t)te_within(out[x * pitch + c], low, high);
        }
    }
}

#endif
