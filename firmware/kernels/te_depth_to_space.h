/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_DEPTH_TO_SPACE_H
#define TE_DEPTH_TO_SPACE_H

#include "te.h"

/* Each input pixel becomes block x block output pixels of `channels` channels. Pitches are in
 * channels per pixel. One output row per call. */
typedef struct {
    int32_t block;
    int32_t channels;
    int32_t in_pitch;
    int32_t out_pitch;
} te_depth_to_space_params;

te_rows_fn te_depth_to_space;

#endif
