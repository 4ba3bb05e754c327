/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_ARG_MAX_H
#define TE_ARG_MAX_H

#include "te.h"

/* For each of `outer` x `inner` places the index, of `size`, of the largest value; of equal ones
 * the first. The output holds words of `words` * 32 bits, the lowest first. */
typedef struct {
    int32_t outer;
    int32_t size;
    int32_t inner;
    int32_t words;
} te_arg_max_params;

te_whole_fn te_arg_max;

#endif
