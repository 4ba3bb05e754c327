/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_TRANSPOSE_H
#define TE_TRANSPOSE_H

#include "te.h"

#define TE_TRANSPOSE_MAX_RANK 6

/* Writes the output in order; loop i, outermost first, takes `size[i]` steps of `stride[i]` bytes
 * through the input, all from byte `start` on. */
typedef struct {
    int32_t rank; /* 1 to TE_TRANSPOSE_MAX_RANK */
    int32_t start;
    const int32_t *size;
    const int32_t *stride;
} te_transpose_params;

te_whole_fn te_transpose;

#endif
