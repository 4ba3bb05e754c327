/* SPDX-License-Identifier: MIT-0 */
/* Types that generated models and kernels share.
 *
 * A tensor is a stack of rows; a row is `pixels` pixels of `channels` int8 values (NHWC, batch 1).
 * Kernels are stateless: everything they need comes in through the arguments, and everything
 * they produce goes out through the rows that the caller hands them. */
#ifndef TE_H
#define TE_H

#include <stddef.h>
#include <stdint.h>

/* Raised whenever a signature, a parameter struct or a packing changes. */
#define TE_KERNELS_VERSION 1

/* Every constant array carries this; define it to move weights to a section of your own. */
#ifndef TE_CONST_SECTION
#define TE_CONST_SECTION
#endif

/* form "rows": computes columns [x0, x1) of output rows y ... y + n_rows - 1.
 *
 * in_rows   the input rows that these output rows need, topmost first, one input after another;
 *           a row outside the image is a null pointer.
 * in_x0     the image column of the first pixel that in_rows point at; an input whose columns do
 *           not move with x (a broadcast operand, a flattened map) starts at column 0 all the same.
 * out_rows  point at column x0; output by output, n_rows each.
 * scratch   as many bytes as the plan grants this kernel, aligned to 4; not kept between calls. */
typedef void te_rows_fn(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                        int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                        void *scratch);

/* form "accumulate": begin clears `state`, add_rows is called for all input rows from top to
 * bottom, finish writes the output rows. `state` keeps its content between the calls.
 *
 * in_rows   the columns [x0, x1) of input rows y ... y + n_rows - 1; they point at column x0. */
typedef void te_begin_fn(const void *params, void *state);
typedef void te_add_rows_fn(const void *params, const int8_t *const *in_rows, int32_t n_rows,
                            int32_t y, int32_t x0, int32_t x1, void *state);
typedef void te_finish_fn(const void *params, const void *state, int8_t *const *out_rows);

typedef struct {
    te_begin_fn *begin;
    te_add_rows_fn *add_rows;
    te_finish_fn *finish;
} te_accumulate;

/* form "whole": all of every input, all of every output, both contiguous. */
typedef void te_whole_fn(const void *params, const int8_t *const *in, int8_t *const *out,
                         void *scratch);

#endif
