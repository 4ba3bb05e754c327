/* SPDX-License-Identifier: MIT-0 */
/* How a generated model describes its operators: which kernel, and which rows of which memory. */
#ifndef TE_STAGE_H
#define TE_STAGE_H

#include "te.h"

/* A tensor that an operator reads. An output row y needs `count` rows of it, the first being
 * floor((y * step + offset) / divisor). Where `ring_rows` < `rows`, row r lies at r mod ring_rows. */
typedef struct {
    uint32_t start; /* byte of row 0 in its memory */
    uint32_t row_bytes;
    int32_t rows;
    int32_t pixels;
    int32_t ring_rows;
    int32_t count;
    int32_t step;
    int32_t offset;
    int32_t divisor;
    int32_t memory; /* 0 is the arena, then the model's outputs, then the inputs kept outside */
} te_input;

/* A tensor that an operator writes. */
typedef struct {
    uint32_t start;
    uint32_t row_bytes;
    int32_t rows;
    int32_t pixels;
    int32_t ring_rows;
    int32_t memory;
    int32_t tensor; /* number of the tensor, for the trace */
} te_output;

typedef enum { TE_ROWS, TE_ACCUMULATE, TE_WHOLE } te_form;

#define TE_NO_MEMORY UINT32_MAX

typedef struct {
    te_form form;
    union {
        te_rows_fn *rows;
        const te_accumulate *accumulate;
        te_whole_fn *whole;
    } kernel;
    const void *params;
    const te_input *inputs;
    const te_output *outputs;
    int32_t n_inputs;
    int32_t n_outputs;
    int32_t rows_per_call;
    uint32_t scratch; /* byte in the arena, or TE_NO_MEMORY */
    uint32_t state;
} te_stage;

#endif
