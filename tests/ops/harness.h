/* SPDX-License-Identifier: MIT */
/* Calls one kernel for a whole tensor through its contract (te.h), window by window.
 *
 * Every row that a kernel is handed is a memory block of its own that holds the columns it may read
 * or write and nothing else, so that AddressSanitizer sees each access beyond them. */
#ifndef HARNESS_H
#define HARNESS_H

#include "te.h"

enum { HARNESS_ROWS, HARNESS_ACCUMULATE, HARNESS_WHOLE };

/* Along one axis an output at p needs inputs [first, first + count),
 * first = floor((p * step + offset) / divisor). */
typedef struct {
    int32_t count, step, offset, divisor;
} harness_window;

typedef struct {
    const int8_t *data; /* [rows][pixels][channels] */
    int32_t rows, pixels, channels;
    int32_t pitch; /* bytes from pixel to pixel in the rows that the kernel sees */
    harness_window row_window, column_window;
} harness_input;

typedef struct {
    int8_t *data; /* [rows][pixels][channels] */
    int32_t rows, pixels, channels;
    int32_t pitch;
} harness_output;

typedef struct {
    int32_t form;
    te_rows_fn *rows;
    const te_accumulate *accumulate;
    te_whole_fn *whole;
    const void *params;
    const harness_input *inputs;
    const harness_output *outputs;
    int32_t n_inputs, n_outputs;
    int32_t rows_per_call;
    int32_t tile;     /* columns per call, 0 for all */
    int32_t slack;    /* columns that the rows hold on either side beyond those needed */
    int32_t misalign; /* bytes by which rows miss the alignment of an allocation */
    int32_t over;     /* output 0 lies over this input as far as `consumes` allows; -1: apart */
    int32_t scratch_bytes, state_bytes;
} harness_run;

/* 0, or the number of the harness's own complaint: see harness.c. */
int harness_execute(const harness_run *run);

/* In the generated file: runs everything into harness_results, which host and emulator read out. */
int harness_run_all(void);
extern int8_t harness_results[];
extern const int32_t harness_results_bytes;

#endif
