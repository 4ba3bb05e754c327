/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_FULLY_CONNECTED_ZERO_POINT_H
#define TE_FULLY_CONNECTED_ZERO_POINT_H

#include "te.h"

/* Matrix product whose weights have a zero point, as models from before int8 have it: acc is
 * bias + sum(x * (w - weight_zero_point)). Its members are those of te_fully_connected, with one
 * multiplier and shift for all units. */
typedef struct {
    const int8_t *weights;     /* [units][depth] */
    const int32_t *bias;       /* [units], the input zero point folded in */
    const int64_t *multiplier; /* one for all units */
    const int32_t *shift;      /* one for all units */
    int32_t depth;
    int32_t units;
    int32_t rows_per_map;
    int32_t row_values;
    int32_t out_pitch;
    int32_t out_zero_point;
    int32_t out_min;
    int32_t out_max;
    int32_t weight_zero_point;
} te_fully_connected_zero_point_params;

te_rows_fn te_fully_connected_zero_point;

#endif
