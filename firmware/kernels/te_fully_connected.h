/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_FULLY_CONNECTED_H
#define TE_FULLY_CONNECTED_H

#include "te.h"

/* Every output pixel is a matrix product of `depth` input values that follow each other.
 *
 * Where `rows_per_map` is 0, output row y takes its values from input row y alone and pixel x from
 * pixel x. Otherwise the map is one output row, and its values are all `rows_per_map` input rows
 * of `row_values` values one after another, handed in from column 0. */
typedef struct {
    const int8_t *weights;     /* [units][depth] */
    const int32_t *bias;       /* [units], the input zero point folded in */
    const int64_t *multiplier; /* [units], or one for all */
    const int32_t *shift;      /* [units], or one for all */
    int32_t per_unit;          /* 1 where multiplier and shift have an element per unit, else 0 */
    int32_t depth;
    int32_t units;
    int32_t rows_per_map;
    int32_t row_values;
    int32_t out_pitch;
    int32_t out_zero_point;
    int32_t out_min;
    int32_t out_max;
} te_fully_connected_params;

te_rows_fn te_fully_connected;

#endif
