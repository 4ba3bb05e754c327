/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_SPACE_TO_DEPTH_H
#define TE_SPACE_TO_DEPTH_H

#include "te.h"

/* Each output pixel holds block x block input pixels of `channels` channels. Pitches are in
 * channels per pixel. */
typedef struct {
    int32_t block;
    int32_t channels;
    int32_t in_pitch;
    int32_t out_pitch;
} te_space_to_depth_params;

te_rows_fn te_space_to_depth;

#endif
