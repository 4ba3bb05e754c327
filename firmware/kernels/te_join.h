/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_JOIN_H
#define TE_JOIN_H

#include "te.h"

/* Several tensors side by side in one. `size` is, of each input: its channels (te_join_channels),
 * its pixels (te_join_pixels), its rows (te_join_rows), or the bytes that it gives in each of
 * `turns` turns (te_join_whole). */
typedef struct {
    int32_t count; /* inputs */
    int32_t turns;
    const int32_t *size;     /* [count] */
    const int32_t *constant; /* [count], where a constant input starts in `constants`, else -1 */
    const int8_t *constants;
    int32_t out_pixels;
    int32_t out_pitch;
    int32_t channels; /* of the output */
} te_join_params;

te_rows_fn te_join_channels;
te_rows_fn te_join_pixels; /* reads whole rows */
te_rows_fn te_join_rows;
te_whole_fn te_join_whole;

#endif
