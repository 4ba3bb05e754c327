/* SPDX-License-Identifier: MIT-0 */
/* The steps of Winograd's F(2x2, 3x3) for cores with the DSP extension; te_conv_2d_winograd_dsp.h
 * says what is computed. Three kinds of words pass from step to step:
 *
 *     columns  B^T of the columns of a block of tiles, 8 words each: channels (0, 2) and (1, 3) of
 *              four input channels, for each of four rows; times 128
 *     inputs   B^T d B, times 64: for each of 16 places, for each two words of four input channels,
 *              the tiles of the block beside each other
 *     sums     of one pair of output channels, times 256: for each place TE_WINOGRAD_SUMS words,
 *              first the tiles of the first channel, then those of the second */
#ifndef TE_WINOGRAD_DSP_H
#define TE_WINOGRAD_DSP_H

#include "te.h"

enum { TE_WINOGRAD_PLACES = 16, TE_WINOGRAD_ROWS = 4, TE_WINOGRAD_TILES = 3 };
enum { TE_WINOGRAD_COLUMN = 8, TE_WINOGRAD_SUMS = 2 * TE_WINOGRAD_TILES };

/* Where columns come from: four rows of the image. */
typedef struct {
    const int8_t *rows[TE_WINOGRAD_ROWS]; /* four zero points for a row outside the image */
    uint32_t moves[TE_WINOGRAD_ROWS];     /* all ones; zero for a row that is the same everywhere */
    int32_t pitch;
} te_winograd_source;

/* The columns of four channels, from `offset` bytes into the rows to before `end`; at least one. */
void te_winograd_columns(const te_winograd_source *from, int32_t offset, int32_t end, uint32_t *to);

/* The inputs of `tiles` tiles, 2 or 3, from their columns. Places are `place_bytes` apart. */
void te_winograd_inputs(const uint32_t *columns, uint32_t *to, int32_t place_bytes, int32_t tiles);

typedef struct {
    const uint32_t *inputs;
    const int32_t *weights;
    int32_t *sums;
    const int32_t *weights_end; /* of the first place */
    int32_t place_bytes;        /* of the weights; 16 for each four input channels */
    int32_t *sums_end;
    int32_t skipped; /* te_winograd_skipped */
} te_winograd_products_job;

/* Of `fours` times four input channels, the first go on their own and the others through a loop
 * that takes four times four: how many the first round does not find there. */
static inline int32_t te_winograd_skipped(int32_t fours)
{
    return fours == 1 ? 4 : (1 - fours) & 3;
}

/* The sums of a pair of output channels for `tiles` tiles, 2 or 3. */
void te_winograd_products(const te_winograd_products_job *job, int32_t tiles);

/* Where the outputs of a block of tiles go. */
typedef struct {
    int8_t *rows[2]; /* of the block's first pixel; both the same where there is only one */
    int32_t pitch;
    int32_t pixels; /* across; at least 1 */
    int32_t rounding;
} te_winograd_target;

/* One channel of a block from its sums; `rounding` is 256 * bias, multiplier, constant, shift and
 * place. */
void te_winograd_outputs(const te_winograd_target *to, const int32_t *sums,
                         const int32_t *rounding);

#endif
