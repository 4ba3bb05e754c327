/* SPDX-License-Identifier: MIT-0 */
#include "te_local_response_normalization.h"

enum {
    MANTISSA_BITS = 23,
    GUARD_BITS = 7 /* below the mantissa, the lowest of them sticky */
};

#define HIDDEN_BIT (UINT32_C(1) << MANTISSA_BITS)

static uint32_t mantissa(uint32_t bits)
{
    return (bits & (HIDDEN_BIT - 1)) | HIDDEN_BIT;
}

/* value / 2^shift, with the lowest bit set where others are lost. */
static uint32_t shift_sticky(uint32_t value, uint32_t shift)
{
    if (shift > 31) {
        return 1;
    }
    return (value >> shift) | ((value & ((UINT32_C(1) << shift) - 1)) != 0 ? 1u : 0u);
}

/* The number nearest to `value`, whose highest bit is that of HIDDEN_BIT << GUARD_BITS, with this
 * exponent; of two the even one. */
static uint32_t rounded(uint32_t value, uint32_t exponent)
{
    const uint32_t rest = value & ((1u << GUARD_BITS) - 1);
    const uint32_t half = 1u << (GUARD_BITS - 1);
    const uint32_t whole = value >> GUARD_BITS;
    const uint32_t up = rest > half || (rest == half && (whole & 1u) != 0) ? 1u : 0u;
    return ((exponent - 1) << MANTISSA_BITS) + whole + up; /* a carry raises the exponent */
}

/* a + b for normal numbers that are not negative, or zero. */
static uint32_t add(uint32_t a, uint32_t b)
{
    const uint32_t large = a > b ? a : b;
    const uint32_t small = a > b ? b : a;
    if (small == 0) {
        return large;
    }
    uint32_t exponent = large >> MANTISSA_BITS;
    uint32_t sum = (mantissa(large) << GUARD_BITS) +
                   shift_sticky(mantissa(small) << GUARD_BITS, exponent - (small >> MANTISSA_BITS));
    if (sum >= HIDDEN_BIT << (GUARD_BITS + 1)) {
        sum = shift_sticky(sum, 1);
        exponent++;
    }
    return rounded(sum, exponent);
}

/* a * b for normal numbers that are not negative, or zero. */
static uint32_t multiply(uint32_t a, uint32_t b)
{
    if (a == 0 || b == 0) {
        return 0;
    }
    const uint64_t product = (uint64_t)mantissa(a) * mantissa(b); /* 47 or 48 bits */
    uint32_t exponent = (a >> MANTISSA_BITS) + (b >> MANTISSA_BITS) - 127;
    uint32_t dropped = MANTISSA_BITS - GUARD_BITS;
    if (product >> (2 * MANTISSA_BITS + 1) != 0) {
        dropped++;
        exponent++;
    }
    const uint64_t lost = product & ((UINT64_C(1) << dropped) - 1);
    return rounded((uint32_t)(product >> dropped) | (lost != 0 ? 1u : 0u), exponent);
}

/* How many of the n ascending `thresholds` are not above `value`. */
static int32_t passed(const int32_t *thresholds, int32_t n, int32_t value)
{
    int32_t low = 0;
    while (low < n) {
        const int32_t middle = low + (n - low) / 2;
        if (thresholds[middle] <= value) {
            low = middle + 1;
        } else {
            n = middle;
        }
    }
    return low;
}

static int8_t normalize(const te_local_response_normalization_params *p, const int8_t *in,
                        int32_t channel)
{
    const int32_t begin = channel > p->radius ? channel - p->radius : 0;
    const int32_t reach = channel + p->radius;
    const int32_t end = reach < p->channels ? reach : p->channels;
    const int32_t *square = p->square - INT8_MIN;
    uint32_t sum = 0;
    for (int32_t c = begin; c < end; c++) {
        sum = add(sum, (uint32_t)square[in[c]]);
    }
    sum = add((uint32_t)p->bias, multiply((uint32_t)p->alpha, sum));
    const int32_t index = in[channel] - INT8_MIN;
    const int32_t start = p->start[index];
    const int32_t steps = passed(p->threshold + start, p->start[index + 1] - start, (int32_t)sum);
    return (int8_t)(p->first[index] + (in[channel] < p->in_zero_point ? steps : -steps));
}

void te_local_response_normalization(const void *params, const int8_t *const *in_rows,
                                     int32_t in_x0, int8_t *const *out_rows, int32_t n_rows,
                                     int32_t y, int32_t x0, int32_t x1, void *scratch)
{
    const te_local_response_normalization_params *p = params;
    (void)y;
    (void)scratch;
    for (int32_t r = 0; r < n_rows; r++) {
        for (int32_t x = x0; x < x1; x++) {
            const int8_t *in = in_rows[r] + (x - in_x0) * p->in_pitch;
            int8_t *out = out_rows[r] + (x - x0) * p->out_pitch;
            for (int32_t c = 0; c < p->channels; c++) {
                out[c] = normalize(p, in, c);
            }
        }
    }
}
