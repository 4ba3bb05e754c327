/* SPDX-License-Identifier: MIT-0 */
#include "te_dots.h"

/* On its own, and all pointers moving alike, compilers find one index for them: a Cortex-M0+ has
 * eight registers that can do more than move. */
__attribute__((noinline)) static void add_four(const int8_t *values, const int8_t *weights,
                                               int32_t step, int32_t n, int32_t *sums)
{
    const int8_t *const end = values + n;
    const int8_t *w0 = weights;
    const int8_t *w1 = w0 + step;
    const int8_t *w2 = w1 + step;
    const int8_t *w3 = w2 + step;
    int32_t sum0 = sums[0];
    int32_t sum1 = sums[1];
    int32_t sum2 = sums[2];
    int32_t sum3 = sums[3];
    while (values != end) {
        const int32_t x = *values++;
        sum0 += x * *w0++;
        sum1 += x * *w1++;
        sum2 += x * *w2++;
        sum3 += x * *w3++;
    }
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
    sums[3] = sum3;
}

void te_add_dots(const int8_t *values, const int8_t *weights, int32_t step, int32_t n,
                 int32_t *sums, int32_t count)
{
    if (count == TE_DOTS) {
        add_four(values, weights, step, n, sums);
        return;
    }
    for (int32_t o = 0; o < count; o++) {
        int32_t sum = sums[o];
        for (int32_t i = 0; i < n; i++) {
            sum += values[i] * weights[i];
        }
        sums[o] = sum;
        weights += step;
    }
}

void te_add_dots_of(int32_t value, const int8_t *weights, int32_t step, int32_t n, int32_t *sums,
                    int32_t count)
{
    for (int32_t o = 0; o < count; o++) {
        int32_t sum = 0;
        for (int32_t i = 0; i < n; i++) {
            sum += weights[i];
        }
        sums[o] += value * sum;
        weights += step;
    }
}
