/* SPDX-License-Identifier: MIT-0 */
/* What portable convolutions and fully connected layers spend their time on: a run of input values
 * by the weights of several output channels, so that each value is loaded once for all of them. */
#ifndef TE_DOTS_H
#define TE_DOTS_H

#include "te.h"

enum { TE_DOTS = 4 }; /* channels that are fast together */

/* Adds the products of `n` values with the weights of `count` channels, 1 to TE_DOTS, to the sum of
 * each; the channels' weights are `step` bytes apart. */
void te_add_dots(const int8_t *values, const int8_t *weights, int32_t step, int32_t n,
                 int32_t *sums, int32_t count);

/* The same where every value is `value`. */
void te_add_dots_of(int32_t value, const int8_t *weights, int32_t step, int32_t n, int32_t *sums,
                    int32_t count);

#endif
