/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_RESIZE_NEAREST_NEIGHBOR_H
#define TE_RESIZE_NEAREST_NEIGHBOR_H

#include "te.h"

/* Copies of input pixels. Pitches are in channels per pixel. One output row per call. */
typedef struct {
    const uint16_t *columns; /* [output width], the input column that each output column copies */
    const uint8_t *row; /* [output height], which of the input rows is meant; null: the first */
    int32_t in_pitch;
    int32_t out_pitch;
    int32_t channels;
} te_resize_nearest_neighbor_params;

te_rows_fn te_resize_nearest_neighbor;

#endif
