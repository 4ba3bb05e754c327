/* SPDX-License-Identifier: MIT-0 */
/* The integer arithmetic of int8 inference; twin of tinyeff/fixed_point.py.
 * Right shifts of negative numbers are arithmetic on every compiler that is supported. */
#ifndef TE_FIXED_POINT_H
#define TE_FIXED_POINT_H

#include <stdint.h>

/* round(a * b / 2^31), halves up. Never both INT32_MIN: multipliers are not negative. */
static inline int32_t te_high_multiply(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
}

/* round(x / 2^exponent), halves away from zero, for 0 <= exponent <= 31. */
static inline int32_t te_round_shift(int32_t x, int32_t exponent)
{
    const int32_t mask = (int32_t)((UINT32_C(1) << exponent) - 1u);
    const int32_t remainder = x & mask;
    const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> exponent) + (remainder > threshold ? 1 : 0);
}

/* x * multiplier * 2^(shift - 31) with gemmlowp's two roundings. */
static inline int32_t te_requantize(int32_t x, int32_t multiplier, int32_t shift)
{
    const int32_t left = shift > 0 ? shift : 0;
    const int32_t right = shift > 0 ? 0 : -shift;
    return te_round_shift(te_high_multiply((int32_t)((uint32_t)x << left), multiplier), right);
}

static inline int32_t te_clamp(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : (x > high ? high : x);
}

#endif
