/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_L2_NORMALIZATION_H
#define TE_L2_NORMALIZATION_H

#include "te.h"

/* Each pixel divided by the root of the sum of its squares, in units of 1/128. The output may lie
 * over the input. Pitches are in channels per pixel. */
typedef struct {
    int32_t channels;
    int32_t in_pitch;
    int32_t out_pitch;
    int32_t in_zero_point;
} te_l2_normalization_params;

te_rows_fn te_l2_normalization;

#endif
