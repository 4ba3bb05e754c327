/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_LOCAL_RESPONSE_NORMALIZATION_H
#define TE_LOCAL_RESPONSE_NORMALIZATION_H

#include "te.h"

/* x * (bias + alpha * sum of squares)^-beta, the sum over channels [c - radius, c + radius).
 *
 * The sum is that of single precision, computed in integers: values that are not negative, as the
 * bits that stand for them. The rest is a table: a value v of the input becomes first[v], one step
 * nearer to the output's zero point for each of its thresholds that is not above the bracket.
 * Pitches are in channels per pixel. */
typedef struct {
    const int32_t *square;    /* [256], for -128 first; bits */
    const int8_t *first;      /* [256] */
    const int32_t *start;     /* [257], where the thresholds of each value begin */
    const int32_t *threshold; /* bits, ascending for each value */
    int32_t alpha;            /* bits, or 0 */
    int32_t bias;             /* bits */
    int32_t radius;
    int32_t in_zero_point;
    int32_t in_pitch;
    int32_t out_pitch;
    int32_t channels;
} te_local_response_normalization_params;

te_rows_fn te_local_response_normalization;

#endif
