/* SPDX-License-Identifier: MIT-0 */
#include "te_arg_max.h"

/* Index of the largest of `size` values that are `step` apart. */
static int32_t index_of_largest(const int8_t *in, int32_t size, int32_t step)
{
    int32_t largest = in[0];
    int32_t index = 0;
    for (int32_t i = 1; i < size; i++) {
        in += step;
        if (*in > largest) {
            largest = *in;
            index = i;
        }
    }
    return index;
}

void te_arg_max(const void *params, const int8_t *const *in, int8_t *const *out, void *scratch)
{
    const te_arg_max_params *p = params;
    int8_t *to = out[0];
    (void)scratch;
    for (int32_t outer = 0; outer < p->outer; outer++) {
        const int8_t *from = in[0] + outer * p->size * p->inner;
        for (int32_t inner = 0; inner < p->inner; inner++) {
            int32_t word = index_of_largest(from + inner, p->size, p->inner);
            for (int32_t i = 0; i < p->words; i++) {
                __builtin_memcpy(to, &word, sizeof(word));
                to += sizeof(word);
                word = 0; /* of 64 bits the upper half */
            }
        }
    }
}
