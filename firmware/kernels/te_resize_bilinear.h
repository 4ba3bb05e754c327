/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_RESIZE_BILINEAR_H
#define TE_RESIZE_BILINEAR_H

#include "te.h"

/* Interpolation between two rows and two columns. Output row y lies at (y * y_scale + y_offset) /
 * 1024 among the input rows, columns likewise. Two input rows are handed in; where one is null,
 * the other counts twice. Pitches are in channels per pixel. One output row per call. */
typedef struct {
    int32_t y_scale;
    int32_t y_offset;
    int32_t x_scale;
    int32_t x_offset;
    int32_t in_width;
    int32_t in_pitch;
    int32_t out_pitch;
    int32_t channels;
} te_resize_bilinear_params;

te_rows_fn te_resize_bilinear;

#endif
