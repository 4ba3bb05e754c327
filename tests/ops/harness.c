/* SPDX-License-Identifier: MIT */
#include "harness.h"

#ifndef HARNESS_POOL_BYTES
#include <stdlib.h>
#endif

enum {
    MAX_ROWS = 512,
    MAX_BLOCKS = 8192,
    UNTOUCHED = 0x5A,
    ERROR_GAP_WRITTEN = 1, /* the kernel wrote between the pixels of an output row */
    ERROR_TOO_MANY_ROWS = 2
};

/* ---- Memory: blocks that live until the call is over ------------------------------------------
 */

static void *blocks[MAX_BLOCKS];
static int32_t n_blocks;

#ifdef HARNESS_POOL_BYTES /* without an operating system: blocks follow each other in a pool */
static uint32_t pool[HARNESS_POOL_BYTES / 4];
static size_t pool_used;

static void *new_block(size_t bytes)
{
    void *block = &pool[pool_used];
    pool_used += (bytes + 3) / 4;
    return pool_used <= sizeof pool / 4 ? block : NULL;
}

static void release_blocks(void)
{
    pool_used = 0;
    n_blocks = 0;
}
#else
static void *new_block(size_t bytes)
{
    return malloc(bytes);
}

static void release_blocks(void)
{
    while (n_blocks > 0) {
        free(blocks[--n_blocks]);
    }
}
#endif

static void copy_bytes(int8_t *to, const int8_t *from, int32_t bytes)
{
    for (int32_t i = 0; i < bytes; i++) {
        to[i] = from[i];
    }
}

/* `bytes` bytes, `misalign` beyond an aligned address, all UNTOUCHED. */
static int8_t *allocate(int32_t bytes, int32_t misalign)
{
    int8_t *block = new_block((size_t)(bytes + misalign));
    if (block == NULL || n_blocks == MAX_BLOCKS) {
        return NULL;
    }
    blocks[n_blocks++] = block;
    for (int32_t i = 0; i < bytes + misalign; i++) {
        block[i] = UNTOUCHED;
    }
    return block + misalign;
}

/* Scratch memory and state are aligned to 4 bytes and no more; null where there is none. */
static void *allocate_words(int32_t bytes)
{
    return bytes == 0 ? NULL : allocate(bytes, 4);
}

/* ---- Windows ------------------------------------------------------------------------------------
 */

static int32_t first_of(const harness_window *w, int32_t p)
{
    const int32_t scaled = p * w->step + w->offset;
    const int32_t quotient = scaled / w->divisor;
    return quotient * w->divisor > scaled ? quotient - 1 : quotient;
}

static int32_t clip(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : (value > high ? high : value);
}

/* The columns [*begin, *end) of an input that output columns [x0, x1) need, and the slack. An input
 * whose columns do not move with x is always handed in from column 0. */
static void columns_needed(const harness_run *run, const harness_input *in, int32_t x0, int32_t x1,
                           int32_t *begin, int32_t *end)
{
    const harness_window *w = &in->column_window;
    *begin = clip(first_of(w, x0) - run->slack, 0, in->pixels);
    *end = clip(first_of(w, x1 - 1) + w->count + run->slack, *begin, in->pixels);
    if (w->step == 0) {
        *begin = 0;
    }
}

/* ---- Rows ---------------------------------------------------------------------------------------
 */

static int32_t row_bytes(int32_t pixels, int32_t pitch, int32_t channels)
{
    return pixels == 0 ? 0 : (pixels - 1) * pitch + channels;
}

static void fill_row(int8_t *block, const harness_input *in, int32_t row, int32_t begin,
                     int32_t end)
{
    for (int32_t x = begin; x < end; x++) {
        copy_bytes(block + (x - begin) * in->pitch,
                   in->data + (row * in->pixels + x) * in->channels, in->channels);
    }
}

static int8_t *input_row(const harness_run *run, const harness_input *in, int32_t row,
                         int32_t begin, int32_t end)
{
    if (row < 0 || row >= in->rows) {
        return NULL;
    }
    int8_t *block = allocate(row_bytes(end - begin, in->pitch, in->channels), run->misalign);
    fill_row(block, in, row, begin, end);
    return block;
}

/* Copies columns [x0, x1) of a row to the result; complains where bytes between pixels changed. */
static int take_row(const harness_output *out, const int8_t *block, int32_t y, int32_t x0,
                    int32_t x1)
{
    for (int32_t x = x0; x < x1; x++) {
        const int8_t *pixel = block + (x - x0) * out->pitch;
        copy_bytes(out->data + (y * out->pixels + x) * out->channels, pixel, out->channels);
        for (int32_t gap = out->channels; x < x1 - 1 && gap < out->pitch; gap++) {
            if (pixel[gap] != UNTOUCHED) {
                return ERROR_GAP_WRITTEN;
            }
        }
    }
    return 0;
}

/* ---- Form "rows" --------------------------------------------------------------------------------
 */

/* One block for input `over` and output 0, as close as `consumes` allows: out pixel p may lie over
 * input pixels up to p. Returns where the output starts. */
static int8_t *overlapping_rows(const harness_run *run, const int8_t **in_row, int32_t y)
{
    const harness_input *in = &run->inputs[run->over];
    const harness_output *out = &run->outputs[0];
    const int32_t growth = out->channels - in->channels;
    const int32_t below = growth > 0 ? growth * out->pixels : growth;
    const int32_t in_start = below > 0 ? below : 0;
    const int32_t out_start = in_start - below;
    const int32_t in_end = in_start + in->pixels * in->channels;
    const int32_t out_end = out_start + out->pixels * out->channels;
    int8_t *block = allocate(in_end > out_end ? in_end : out_end, run->misalign);
    fill_row(block + in_start, in, y, 0, in->pixels);
    *in_row = block + in_start;
    return block + out_start;
}

/* The input rows of one call; returns how many, or -1 where there are too many. */
static int32_t gather_inputs(const harness_run *run, const int8_t **in_rows, int32_t y,
                             int32_t n_rows, int32_t x0, int32_t x1, int32_t *in_x0)
{
    int32_t n = 0;
    int moving = 0;
    int32_t begin[8], end[8];
    *in_x0 = 0;
    for (int32_t i = 0; i < run->n_inputs; i++) {
        const harness_input *in = &run->inputs[i];
        columns_needed(run, in, x0, x1, &begin[i], &end[i]);
        if (in->column_window.step != 0) {
            *in_x0 = moving && *in_x0 < begin[i] ? *in_x0 : begin[i];
            moving = 1;
        }
    }
    for (int32_t i = 0; i < run->n_inputs; i++) {
        const harness_input *in = &run->inputs[i];
        const int32_t from = in->column_window.step != 0 ? *in_x0 : begin[i];
        const int32_t last = first_of(&in->row_window, y + n_rows - 1) + in->row_window.count;
        for (int32_t row = first_of(&in->row_window, y); row < last; row++) {
            if (n == MAX_ROWS) {
                return -1;
            }
            in_rows[n++] = input_row(run, in, row, from, end[i]);
        }
    }
    return n;
}

static int call_rows(const harness_run *run, int32_t y, int32_t n_rows, int32_t x0, int32_t x1)
{
    static const int8_t *in_rows[MAX_ROWS];
    static int8_t *out_rows[MAX_ROWS];
    int32_t in_x0, n = 0;
    if (gather_inputs(run, in_rows, y, n_rows, x0, x1, &in_x0) < 0) {
        return ERROR_TOO_MANY_ROWS;
    }
    for (int32_t i = 0; i < run->n_outputs; i++) {
        const harness_output *out = &run->outputs[i];
        for (int32_t r = 0; r < n_rows; r++) {
            out_rows[n++] = allocate(row_bytes(x1 - x0, out->pitch, out->channels), run->misalign);
        }
    }
    if (run->over >= 0) { /* one row per call, whole rows, no gaps; before it one row per input */
        int32_t position = 0;
        for (int32_t i = 0; i < run->over; i++) {
            position += run->inputs[i].row_window.count;
        }
        out_rows[0] = overlapping_rows(run, &in_rows[position], y);
        for (int32_t i = 0, p = 0; i < run->n_inputs; i++) {
            if (run->inputs[i].data == run->inputs[run->over].data) {
                in_rows[p] = in_rows[position]; /* the same tensor twice */
            }
            p += run->inputs[i].row_window.count;
        }
    }
    run->rows(run->params, in_rows, in_x0, out_rows, n_rows, y, x0, x1,
              allocate_words(run->scratch_bytes));
    for (int32_t i = 0; i < n; i++) {
        const int error = take_row(&run->outputs[i / n_rows], out_rows[i], y + i % n_rows, x0, x1);
        if (error != 0) {
            return error;
        }
    }
    release_blocks();
    return 0;
}

static int execute_rows(const harness_run *run)
{
    const harness_output *out = &run->outputs[0];
    const int32_t tile = run->tile == 0 ? out->pixels : run->tile;
    for (int32_t y = 0; y < out->rows; y += run->rows_per_call) {
        const int32_t n_rows = clip(out->rows - y, 1, run->rows_per_call);
        for (int32_t x = 0; x < out->pixels; x += tile) {
            const int error = call_rows(run, y, n_rows, x, clip(x + tile, x, out->pixels));
            if (error != 0) {
                return error;
            }
        }
    }
    return 0;
}

/* ---- Forms "accumulate" and "whole" -------------------------------------------------------------
 */

static void add_rows(const harness_run *run, int32_t y, int32_t n_rows, void *state)
{
    static const int8_t *in_rows[MAX_ROWS];
    const harness_input *in = &run->inputs[0];
    const int32_t tile = run->tile == 0 ? in->pixels : run->tile;
    for (int32_t x0 = 0; x0 < in->pixels; x0 += tile) {
        const int32_t x1 = clip(x0 + tile, x0, in->pixels);
        for (int32_t r = 0; r < n_rows; r++) {
            in_rows[r] = input_row(run, in, y + r, x0, x1);
        }
        run->accumulate->add_rows(run->params, in_rows, n_rows, y, x0, x1, state);
    }
}

static int execute_accumulate(const harness_run *run)
{
    static int8_t *out_rows[MAX_ROWS];
    const harness_input *in = &run->inputs[0];
    const harness_output *out = &run->outputs[0];
    void *state = allocate_words(run->state_bytes);
    if (in->rows > MAX_ROWS || out->rows > MAX_ROWS) {
        return ERROR_TOO_MANY_ROWS;
    }
    run->accumulate->begin(run->params, state);
    for (int32_t y = 0; y < in->rows; y += run->rows_per_call) {
        add_rows(run, y, clip(in->rows - y, 1, run->rows_per_call), state);
    }
    for (int32_t y = 0; y < out->rows; y++) {
        out_rows[y] = allocate(row_bytes(out->pixels, out->pitch, out->channels), run->misalign);
    }
    run->accumulate->finish(run->params, state, out_rows);
    for (int32_t y = 0; y < out->rows; y++) {
        const int error = take_row(out, out_rows[y], y, 0, out->pixels);
        if (error != 0) {
            return error;
        }
    }
    release_blocks();
    return 0;
}

static int execute_whole(const harness_run *run)
{
    static const int8_t *in[MAX_ROWS];
    static int8_t *out[MAX_ROWS];
    for (int32_t i = 0; i < run->n_inputs; i++) {
        const harness_input *input = &run->inputs[i];
        const int32_t bytes = input->rows * input->pixels * input->channels;
        int8_t *block = allocate(bytes, run->misalign);
        copy_bytes(block, input->data, bytes);
        in[i] = block;
    }
    for (int32_t i = 0; i < run->n_outputs; i++) {
        const harness_output *output = &run->outputs[i];
        out[i] = allocate(output->rows * output->pixels * output->channels, run->misalign);
    }
    run->whole(run->params, in, out, allocate_words(run->scratch_bytes));
    for (int32_t i = 0; i < run->n_outputs; i++) {
        const harness_output *output = &run->outputs[i];
        copy_bytes(output->data, out[i], output->rows * output->pixels * output->channels);
    }
    release_blocks();
    return 0;
}

int harness_execute(const harness_run *run)
{
    switch (run->form) {
    case HARNESS_ROWS:
        return execute_rows(run);
    case HARNESS_ACCUMULATE:
        return execute_accumulate(run);
    default:
        return execute_whole(run);
    }
}
