/* SPDX-License-Identifier: MIT-0 */
/* How a generated model describes its operators and the order in which they run.
 *
 * A stage is one operator. Stages of one group are computed together, tile by tile. Groups of one
 * segment take turns row by row, each holding only the rows that the others still need; a segment
 * may do this once for each of several stripes of columns. Segments run one after the other. Layer
 * by layer, every operator is a segment of its own. */
#ifndef TE_STAGE_H
#define TE_STAGE_H

#include "te.h"

/* A tensor that an operator reads. An output row y needs `count` rows of it, the first being
 * floor((y * step + offset) / divisor); for columns likewise with x_count, x_step and x_offset,
 * which are used only where `producer` is a stage of the same group. Where `ring_rows` < `rows`,
 * row r lies at r mod ring_rows. */
typedef struct {
    uint32_t start; /* byte of row 0 in its memory */
    uint32_t row_bytes;
    int32_t rows;
    int32_t pixels;
    int32_t ring_rows;
    uint16_t pixel_bytes;
    int16_t count;
    int16_t step;
    int16_t offset;
    int16_t divisor;
    int16_t x_count;
    int16_t x_step;
    int16_t x_offset;
    int16_t memory;   /* 0 is the arena, then the model's outputs, then the inputs kept outside */
    int16_t producer; /* stage of this group that computes it tile by tile; -1: all is held; else
                         -2 - g, where group g of the segment computes it stripe by stripe */
} te_input;

/* A tensor that an operator writes. `inner` is 1 where only the columns of the present tile are
 * held, -2 - g where those of the present stripe of group g of the segment are, 0 where all are. */
typedef struct {
    uint32_t start;
    uint32_t row_bytes;
    int32_t rows;
    int32_t pixels;
    int32_t ring_rows;
    uint16_t pixel_bytes;
    int16_t memory;
    int16_t inner;
    int16_t tensor; /* number of the tensor, for the trace */
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
    int16_t n_inputs;
    int16_t n_outputs;
    int32_t rows_per_call;
    uint32_t scratch; /* byte in the arena, or TE_NO_MEMORY */
    uint32_t state;
} te_stage;

/* Rows of another group of the segment that must be there before this group's rows [y, end):
 * all up to floor(((end - 1) * step + offset) / divisor) + count. */
typedef struct {
    int16_t group;
    int16_t count;
    int16_t step;
    int16_t offset;
    int16_t divisor;
} te_need;

/* Stages that run together: in tiles of tile_rows x tile_pixels of the map that the last of them
 * writes or, where that one accumulates, reads. Where it `slides`, columns that two neighbouring
 * tiles need are kept, not computed twice. All rows of a group that is `complete` are computed,
 * of another only those that some group needs. */
typedef struct {
    const te_stage *stages;
    const te_need *needs;
    int16_t n_stages;
    int16_t n_needs;
    int32_t rows;
    int32_t pixels;
    int32_t tile_rows;
    int32_t tile_pixels;
    int16_t slides;
    int16_t complete;
} te_group;

/* Columns [x0, x1) of a group's map. */
typedef struct {
    int32_t x0;
    int32_t x1;
} te_stripe;

/* Groups [first, end) of the model. The last of them pulls rows out of those before it. Where
 * n_stripes > 1 they do so once for each stripe; a te_stripe per group says which columns. */
typedef struct {
    int16_t first;
    int16_t end;
    uint32_t progress; /* byte in the arena of an int32_t per group: its rows done */
    int16_t n_stripes;
    int16_t first_stripe; /* number of the te_stripe of the first group in the first stripe */
} te_segment;

static inline int32_t te_least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static inline int32_t te_most(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

#endif
