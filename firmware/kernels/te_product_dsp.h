/* SPDX-License-Identifier: MIT-0 */
/* The product of packed weights with a block of pixels: what convolutions and fully connected
 * layers spend their time on, for cores with the DSP extension.
 *
 * The block's input values have been expanded to a tile of int16 pairs, one pair per word, word by
 * word the pixels of the block beside each other:
 *
 *     tile     word 0 of pixel 0 | word 0 of pixel 1 | word 0 of pixel 2 | word 1 of pixel 0 | ...
 *
 * Weights come for pairs of output channels. A lane holds first + 256 * second, so that one
 * multiplication serves both: the sum over raw lanes is A = sum(first) + 256 * sum(second), modulo
 * 2^32; the low bytes alone give S = sum(first); and (A - S) / 256 = sum(second) is exact while it
 * fits 24 bits, which codegen proves. All that a pair of channels needs is read in this order:
 *
 *     weights  S of the biases, A of the biases          2 words
 *              weights, in the order of the tile         4 * `groups` words
 *              multiplier, constant, shift and place     of the second channel
 *              multiplier, constant, shift and place     of the first channel
 *
 * The low byte of the last word is the shift, the rest the channel's number. From an accumulator to
 * an output, which codegen proves to equal the reference for every input:
 *
 *     TE_HALF_UP    (constant + floor(acc * 2^8 * multiplier / 2^32)) >> shift
 *     TE_HALF_AWAY  (constant - (acc < 0) + round(acc * 2 * multiplier / 2^32)) >> shift
 *
 * saturated to int8; the zero point is part of the constant. With TE_SUMS nothing is rounded: both
 * sums are added to the words that `out` points at, pair by pair (one pixel only). Channels that
 * are the same for every input are not among the pairs: the whole pixel is copied from `constants`
 * first. */
#ifndef TE_PRODUCT_DSP_H
#define TE_PRODUCT_DSP_H

#include "te.h"
#include "te_dsp.h"

enum { TE_HALF_UP = 0, TE_HALF_AWAY = 1, TE_SUMS = 2 };

typedef struct {
    const int32_t *tile;
    const int32_t *weights;
    int8_t *out;       /* channel 0 of the block's first pixel */
    int32_t out_pitch; /* bytes from pixel to pixel */
    int32_t pairs;     /* of output channels */
    int32_t groups;    /* of four words, at least 1; the tile is as long */
    int32_t rounding;
    /* Set by te_blocks_dsp: of blocks of three pixels, whose tiles lie one after another. */
    const int32_t *tiles_end;
    int32_t *copy; /* where a pair's words are read from, or null: where they are */
    /* The assembly reads no further. */
    int32_t *room;           /* for the words of a pair, or null */
    const int8_t *constants; /* output of the channels that are not computed, or null */
    int32_t channels;
    int32_t out_min;
    int32_t out_max;
} te_product;

/* Copies `n` values, word by word. */
void te_copy_dsp(int8_t *to, const int8_t *from, int32_t n);

/* Clamps `n` values, word by word. */
void te_clamp_dsp(int8_t *values, int32_t n, int32_t low, int32_t high);

/* All channels of `pixels` pixels: 1, 2 or a multiple of 3. */
void te_product_dsp(te_product *job, int32_t pixels);

/* Its parts: outputs of the channels that are not computed; how blocks of three pixels are taken;
 * and what is left of the activation. */
void te_constants_dsp(const te_product *job, int32_t pixels);
void te_blocks_dsp(te_product *job, int32_t blocks, int32_t tile_words);
void te_product_1_dsp(const te_product *job); /* the computed channels of one pixel */
void te_clamp_pixels_dsp(const te_product *job, int32_t pixels);

/* How many of `left` pixels come next: 1, 2 or a multiple of 3, `most` at most. */
int32_t te_block_pixels(int32_t left, int32_t most);

/* Words that a run of `n` values takes: its last 1 to 3 values as many as they have pairs of bytes
 * (0, 2) and (1, 3). */
static inline int32_t te_run_words(int32_t n)
{
    return (int32_t)((uint32_t)n / 4u * 2u + ((n & 3) < 2 ? (uint32_t)n & 3u : 2u));
}

/* Expands a run of `n` values to every `pixels`-th word of the tile; returns where the pixel's next
 * word belongs. */
int32_t *te_expand_dsp(int32_t *to, const int8_t *from, int32_t n, int32_t pixels);

/* The same for each of three pixels that start `step` bytes apart. */
int32_t *te_expand_3_dsp(int32_t *to, const int8_t *from, int32_t step, int32_t n);

/* The same where `words` words all hold the same two values. */
static inline int32_t *te_fill(int32_t *to, int32_t values, int32_t words, int32_t pixels)
{
    for (; words > 0; words--) {
        *to = values;
        to += pixels;
    }
    return to;
}

/* ---- Of the twins of the assembly --------------------------------------------------------------
 */

/* The words of a pair, copied where there is room. */
static inline const int32_t *te_copied_dsp(const te_product *job, const int32_t *weights)
{
    if (job->copy == NULL) {
        return weights;
    }
    for (int32_t i = 0; i < 4 * job->groups + 8; i++) {
        job->copy[i] = weights[i];
    }
    return job->copy;
}

/* The sum of the second channel. */
static inline int32_t te_second_dsp(int32_t s, int32_t a)
{
    return (int32_t)((uint32_t)a - (uint32_t)s) >> 8;
}

/* One output for one accumulator; `row` is the channel's multiplier, constant, shift and place. */
static inline void te_narrow_dsp(int32_t acc, const int32_t *row, int32_t rounding, int8_t *pixel)
{
    int32_t scaled;
    if (rounding == TE_HALF_UP) {
        scaled = te_smmla((int32_t)((uint32_t)acc << 8), row[0], row[1]);
    } else {
        scaled = te_smmlar((int32_t)((uint32_t)acc << 1), row[0], row[1] - (acc < 0 ? 1 : 0));
    }
    pixel[row[2] >> 8] = (int8_t)te_ssat8(scaled >> (row[2] & 0xFF));
}

/* The outputs of a pair of channels, of sums S and A; `rows` are those of the second and of the
 * first channel. */
static inline void te_narrow_pair_dsp(int32_t s, int32_t a, const int32_t *rows, int32_t rounding,
                                      int8_t *pixel)
{
    te_narrow_dsp(te_second_dsp(s, a), rows, rounding, pixel);
    te_narrow_dsp(s, rows + 3, rounding, pixel);
}

#endif
