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
 *              weights, in the order of the tile         `words` words
 *              multiplier, constant, shift               of the first channel
 *              multiplier, constant, shift               of the second channel
 *
 * From an accumulator to an output, exactly as gemmlowp's two roundings, which codegen proves:
 *
 *     TE_HALF_UP    (constant + floor(acc * 2^8 * multiplier / 2^32)) >> shift
 *     TE_HALF_AWAY  (constant - (acc < 0) + round(acc * 2 * multiplier / 2^32)) >> shift
 *
 * saturated to int8; the zero point is part of the constant. */
#ifndef TE_PRODUCT_DSP_H
#define TE_PRODUCT_DSP_H

#include "te.h"
#include "te_dsp.h"

enum { TE_HALF_UP = 0, TE_HALF_AWAY = 1 };

enum { TE_PRODUCT_PIXELS = 3 }; /* the largest block */

typedef struct {
    const int32_t *tile;
    const int32_t *weights;
    int8_t *out;       /* first output channel of the block's first pixel */
    int32_t out_pitch; /* bytes from pixel to pixel */
    int32_t pairs;     /* of output channels, at least 1 */
    int32_t groups;    /* of four words, at least 1; the tile is as long */
    int32_t rounding;
} te_product;

/* All pairs of channels of a block of 1, 2 or 3 pixels. */
void te_product_1_dsp(const te_product *job);
void te_product_2_dsp(const te_product *job);
void te_product_3_dsp(const te_product *job);

/* Channels [0, channels), also an odd number of them, of a block of `pixels` pixels, clamped to
 * [out_min, out_max]. `job->pairs` is set here. */
void te_product_dsp(te_product *job, int32_t pixels, int32_t channels, int32_t out_min,
                    int32_t out_max);

/* How many of `left` pixels the next block takes: never a single one where there are others. */
static inline int32_t te_block_pixels(int32_t left, int32_t most)
{
    return left == 4 && most == 3 ? 2 : (left < most ? left : most);
}

/* Words that a run of `n` values takes: its last 1 to 3 values as many as they have pairs of bytes
 * (0, 2) and (1, 3). */
static inline int32_t te_run_words(int32_t n)
{
    return n / 4 * 2 + (n % 4 < 2 ? n % 4 : 2);
}

/* Expands a run of `n` values of each of `pixels` pixels, which start `step` bytes apart, to the
 * tile; returns where the next run belongs. */
int32_t *te_expand_dsp(int32_t *to, const int8_t *from, int32_t step, int32_t n, int32_t pixels);

/* The same for one pixel of a block of `pixels`; `to` is its first word. */
int32_t *te_expand_one_dsp(int32_t *to, const int8_t *from, int32_t n, int32_t pixels);

#endif
