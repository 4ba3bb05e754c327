/* SPDX-License-Identifier: MIT-0 */
/* The integer arithmetic of int8 inference; twin of tinyeff/fixed_point.py.
 * Right shifts of negative numbers are arithmetic on every compiler that is supported. */
#ifndef TE_FIXED_POINT_H
#define TE_FIXED_POINT_H

#include <stdint.h>

/* round(a * b / 2^31), halves up. Never both INT32_MIN: multipliers are not negative. */
static inline int32_t te_high_multiply(int32_t a, int32_t b)
{
#if defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)
    /* These cores multiply 32 by 32 bits to 32 only, and 64 bits take a call. Halves do not: each
     * product of a signed and an unsigned one fits, also with a carry of 16 bits. */
    const int32_t a_high = a >> 16;
    const int32_t b_high = b >> 16;
    const uint32_t a_low = (uint32_t)a & 0xFFFFu;
    const uint32_t b_low = (uint32_t)b & 0xFFFFu;
    const uint32_t low = a_low * b_low;
    const int32_t middle1 = a_high * (int32_t)b_low + (int32_t)(low >> 16);
    const int32_t middle2 = b_high * (int32_t)a_low + (middle1 & 0xFFFF);
    const int32_t high = a_high * b_high + (middle1 >> 16) + (middle2 >> 16);
    const uint32_t bits_16_to_31 = (uint32_t)middle2 & 0xFFFFu;
    return (int32_t)(((uint32_t)high << 1) + ((bits_16_to_31 + 0x4000u) >> 15));
#else
    return (int32_t)(((int64_t)a * b + (INT64_C(1) << 30)) >> 31);
#endif
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

/* round(acc * multiplier / 2^shift), halves away from zero, for 1 <= shift <= 62; codegen proves
 * that the product and the rounding fit 64 bits. */
static inline int32_t te_multiply_round_half_away(int32_t acc, int64_t multiplier, int32_t shift)
{
    const int64_t half = INT64_C(1) << (shift - 1);
    return (int32_t)((acc * multiplier + half - (acc < 0 ? 1 : 0)) >> shift);
}

static inline int32_t te_clamp(int32_t x, int32_t low, int32_t high)
{
    return x < low ? low : (x > high ? high : x);
}

/* exp of a in [-1/4, 0), both in 0.31 fixed point: a polynomial around -1/8. */
static inline int32_t te_exp_on_quarter(int32_t a)
{
    const int32_t exp_minus_eighth = 1895147668;
    const int32_t one_third = 715827883;
    const int32_t x = a + (INT32_C(1) << 28);
    const int32_t x2 = te_high_multiply(x, x);
    const int32_t x3 = te_high_multiply(x2, x);
    const int32_t x4 = te_high_multiply(x2, x2);
    const int32_t higher = te_high_multiply(te_round_shift(x4, 2) + x3, one_third) + x2;
    return exp_minus_eighth + te_high_multiply(x + te_round_shift(higher, 1), exp_minus_eighth);
}

/* exp of x <= 0 in 5.26 fixed point, in 0.31; exp(0) is INT32_MAX. x is a multiple of -1/4, for
 * which there is one factor per bit, plus a rest in [-1/4, 0). */
static inline int32_t te_exp_on_negative_values(int32_t x)
{
    /* exp(-1/4), exp(-1/2), exp(-1) ... exp(-16) */
    static const int32_t factors[] = {1672461947, 1302514674, 790015084, 290630308,
                                      39332535,   720401,     242};
    const int32_t quarter = INT32_C(1) << 24;
    const int32_t rest = (x & (quarter - 1)) - quarter;
    int32_t quarters = (rest - x) >> 24;
    int32_t result = te_exp_on_quarter(rest * 32);
    if (x == 0) {
        return INT32_MAX;
    }
    for (int32_t bit = 0; quarters != 0; bit++) {
        if (quarters & 1) {
            result = te_high_multiply(result, factors[bit]);
        }
        quarters >>= 1;
    }
    return result;
}

/* 1 / (1 + x) for x in [0, 1), both in 0.31 fixed point: three steps of Newton and Raphson from
 * 48/17 - 32/17 * d. */
static inline int32_t te_one_over_one_plus_x(int32_t x)
{
    const int32_t half_denominator = (int32_t)(((uint32_t)x + (UINT32_C(1) << 31)) >> 1);
    int32_t estimate = 1515870810 + te_high_multiply(half_denominator, -1010580540); /* 2.29 */
    for (int32_t i = 0; i < 3; i++) {
        const int32_t error = (INT32_C(1) << 29) - te_high_multiply(half_denominator, estimate);
        estimate += 4 * te_high_multiply(estimate, error);
    }
    return estimate >= INT32_C(1) << 30 ? INT32_MAX : 2 * estimate;
}

/* r with 1 / x = r * 2^-31 * 2^-bits for x > 0 in 12.19 fixed point. */
static inline int32_t te_reciprocal(int32_t x, int32_t *bits)
{
    uint32_t fraction = (uint32_t)x;
    *bits = 12;
    while (fraction < UINT32_C(1) << 31) {
        fraction <<= 1;
        *bits -= 1;
    }
    return te_one_over_one_plus_x((int32_t)(fraction - (UINT32_C(1) << 31)));
}

/* x * 2^bits, saturated. */
static inline int32_t te_shift_left_saturating(int32_t x, int32_t bits)
{
    const int32_t limit = INT32_MAX >> bits;
    return x > limit ? INT32_MAX : (x < -limit - 1 ? INT32_MIN : x * (INT32_C(1) << bits));
}

/* r with 1 / sqrt(x) = r * 2^(shift - 31) for 0 < x < 2^31; 0 counts as 1. */
static inline int32_t te_inverse_square_root(int32_t x, int32_t *shift)
{
    const int32_t half_sqrt_2 = 1518500250;
    int32_t right = 11;
    int32_t root = INT32_C(1) << 28; /* 3.28 fixed point */
    if (x <= 1) {
        *shift = 0;
        return INT32_MAX;
    }
    while (x >= INT32_C(1) << 29) {
        x /= 4;
        right++;
    }
    while (x < INT32_C(1) << 27) { /* into [2^27, 2^29), by pairs of bits */
        x *= 4;
        right--;
    }
    x >>= 1;
    for (int32_t i = 0; i < 5; i++) { /* steps of Newton and Raphson from 1 */
        const int32_t square = te_high_multiply(root, root);
        const int32_t cube = te_shift_left_saturating(te_high_multiply(square, root), 6);
        const int32_t step =
            te_high_multiply(INT32_C(3) << 27, root) - te_high_multiply(te_round_shift(x, 1), cube);
        root = te_shift_left_saturating(step, 3);
    }
    root = te_high_multiply(root, half_sqrt_2);
    *shift = right < 0 ? 0 : -right;
    return right < 0 ? root * (INT32_C(1) << -right) : root;
}

#endif
