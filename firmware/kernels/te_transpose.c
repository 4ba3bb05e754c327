/* SPDX-License-Identifier: MIT-0 */
#include "te_transpose.h"

void te_transpose(const void *params, const int8_t *const *in, int8_t *const *out, void *scratch)
{
    const te_transpose_params *p = params;
    const int32_t last = p->rank - 1;
    int32_t index[TE_TRANSPOSE_MAX_RANK] = {0};
    int32_t from = p->start;
    int8_t *to = out[0];
    (void)scratch;
    for (;;) {
        for (int32_t i = 0; i < p->size[last]; i++) {
            *to++ = in[0][from + i * p->stride[last]];
        }
        /* Count the outer loops up, like the digits of a number. */
        int32_t d = last - 1;
        while (d >= 0 && index[d] == p->size[d] - 1) {
            from -= index[d] * p->stride[d];
            index[d] = 0;
            d--;
        }
        if (d < 0) {
            return;
        }
        index[d]++;
        from += p->stride[d];
    }
}
