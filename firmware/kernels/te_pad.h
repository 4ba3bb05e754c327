/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_PAD_H
#define TE_PAD_H

#include "te.h"

/* A copy with `value` around it: whole rows where the input row is null, `pad_left` pixels and
 * what is missing on the right, `pad_channels` channels before and what is missing after. Pitches
 * are in channels per pixel. */
typedef struct {
    int32_t in_width;
    int32_t in_pitch;
    int32_t in_channels;
    int32_t out_pitch;
    int32_t out_channels;
    int32_t pad_left;
    int32_t pad_channels;
    int32_t value;
} te_pad_params;

te_rows_fn te_pad;

#endif
