/* SPDX-License-Identifier: MIT-0 */
#include "te_conv_2d_3x3_dsp.h"

#include "te_product_assembly_dsp.h"
#include "te_product_dsp.h"

/* ---- The product with overlapping windows ------------------------------------------------------
 */

#if TE_DSP_INSTRUCTIONS

/* Compilers spill these loops. The twin below says in C what is computed here. */

/* clang-format off */

/* One word of each of the kernel's columns, with one of each column of the tile. */
#define UNIT_OF_3                                                                                  \
    "ldrd r2, lr, [r1], #8\n"                                                                      \
    "ldmia r0!, {r3, r4, r5, r6}\n"                                                                \
    WORD_OF_3("r2", "r3", "r4", "r5")                                                              \
    WORD_OF_3("lr", "r4", "r5", "r6")                                                              \
    "ldr r2, [r1], #4\n"                                                                           \
    "ldr r3, [r0], #4\n"                                                                           \
    WORD_OF_3("r2", "r5", "r6", "r3")
#define WORD_OF_2(w, x0, x1)                                                                       \
    MAC("r10", w, x0) MAC("r11", w, x1)                                                            \
    LOW_BYTES(w)                                                                                   \
    MAC("r8", w, x0) MAC("r9", w, x1)
#define UNIT_OF_2                                                                                  \
    "ldmia r1!, {r2, r7, r12}\n"                                                                   \
    "ldmia r0!, {r3, r4, r5, r6}\n"                                                                \
    WORD_OF_2("r2", "r3", "r4") WORD_OF_2("r7", "r4", "r5") WORD_OF_2("r12", "r5", "r6")

/* sp: +0 tile, +4 bytes of weights of a pair, +8 where they end; else as te_product_assembly_dsp.h
 * says. First *job is read: tile weights out pitch pairs groups rounding. */
#define PROLOGUE(frame, blocks)                                                                    \
    "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"                                                \
    "sub sp, sp, #" frame "\n"                                                                     \
    "ldmia r0, {r2, r3, r4, r5, r6, r7, r12}\n" blocks "mov r1, r3\n"                              \
    "lsl r8, r7, #4\n"                                                                             \
    "strd r2, r8, [sp, #0]\n"                                                                      \
    "add r8, r8, #32\n"                                                                            \
    "mla lr, r8, r6, r3\n" /* bytes of a pair, times pairs */                                      \
    "adr.w r7, 3f\n"                                                                               \
    "cmp r12, #0\n"                                                                                \
    "it ne\n"                                                                                      \
    "adrne.w r7, 4f\n"                                                                             \
    "orr r7, r7, #1\n" /* Thumb */                                                                 \
    "str r7, [sp, #12]\n"                                                                          \
    "strd r4, r5, [sp, #16]\n"                                                                     \
    "str lr, [sp, #24]\n"

#define INNER_LOOP(unit)                                                                           \
    "ldrd r0, r2, [sp, #0]\n"                                                                      \
    "add r2, r2, r1\n"                                                                             \
    "str r2, [sp, #8]\n"                                                                           \
    "2:\n"                                                                                         \
    unit unit unit unit                                                                            \
    "ldr r2, [sp, #8]\n"                                                                           \
    "cmp r1, r2\n"                                                                                 \
    "bne 2b\n"                                                                                     \
    "ldr pc, [sp, #12]\n"

WHOLLY_ASSEMBLY static void overlapping_3(const te_product *job UNUSED)
{
    __asm__(PROLOGUE(BLOCKS_FRAME, BLOCKS_PROLOGUE)
            FIRST_BLOCK INNER_LOOP(UNIT_OF_3) OUTPUTS_3);
}

#ifndef __OPTIMIZE_SIZE__

WHOLLY_ASSEMBLY static void overlapping_2(const te_product *job UNUSED)
{
    __asm__(PROLOGUE("28", "")
            FIRST_OF_2 INNER_LOOP(UNIT_OF_2) OUTPUTS_2);
}

#endif

/* Five columns, `step` bytes apart, of `fours` times four values. */
WHOLLY_ASSEMBLY static void expand_5(int32_t *to UNUSED, const int8_t *from UNUSED,
                                     int32_t step UNUSED, int32_t fours UNUSED)
{
    __asm__(
        "push {r3, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"
        "add r3, r2, r2, lsl #1\n"
        "1:\n"
        "ldr r5, [r1, r2]\n"
        "ldr r6, [r1, r2, lsl #1]\n"
        "ldr r7, [r1, r3]\n"
        "ldr r8, [r1, r2, lsl #2]\n"
        "ldr r4, [r1], #4\n"
        "sxtb16 r10, r5, ror #8\n"
        "sxtb16 r11, r6, ror #8\n"
        "sxtb16 r12, r7, ror #8\n"
        "sxtb16 lr, r8, ror #8\n"
        "sxtb16 r9, r4, ror #8\n"
        "sxtb16 r4, r4\n"
        "sxtb16 r5, r5\n"
        "sxtb16 r6, r6\n"
        "sxtb16 r7, r7\n"
        "sxtb16 r8, r8\n"
        "stmia r0!, {r4, r5, r6, r7, r8, r9, r10, r11, r12, lr}\n"
        "ldr r4, [sp]\n"
        "subs r4, r4, #1\n"
        "str r4, [sp]\n"
        "bne 1b\n"
        "pop {r3, r4, r5, r6, r7, r8, r9, r10, r11, pc}\n");
}

/* clang-format on */

#else

static void expand_5(int32_t *to, const int8_t *from, int32_t step, int32_t fours)
{
    for (int32_t column = 0; column < 5; column++) {
        te_expand_dsp(to + column, from + column * step, 4 * fours, 5);
    }
}

/* The pixel whose window starts at `x` in a tile of `columns` columns. */
static void pixel_outputs(const te_product *job, const int32_t *weights, const int32_t *x,
                          int32_t columns, int8_t *out)
{
    const int32_t words = 4 * job->groups;
    int32_t s = weights[0];
    int32_t a = weights[1];
    for (int32_t i = 0; i < words; i++) {
        const uint32_t w = (uint32_t)weights[2 + i];
        const uint32_t word = (uint32_t)x[i / 3 * columns + i % 3];
        a = te_smlad(w, word, a);
        s = te_smlad(te_sxtb16(w), word, s);
    }
    te_narrow_pair_dsp(s, a, weights + 2 + words, job->rounding, out);
}

static void overlapping(const te_product *job, int32_t pixels)
{
    const int32_t columns = pixels + 2;
    const int32_t tile_words = 4 * job->groups / 3 * columns;
    const int32_t *end = pixels < 3 ? job->tile + tile_words : job->tiles_end;
    const int32_t *weights = job->weights;
    for (int32_t pair = 0; pair < job->pairs; pair++) {
        const int32_t *read = pixels < 3 ? weights : te_copied_dsp(job, weights);
        int8_t *out = job->out;
        for (const int32_t *tile = job->tile; tile != end; tile += tile_words) {
            for (int32_t x = 0; x < pixels; x++) {
                pixel_outputs(job, read, tile + x, columns, out);
                out += job->out_pitch;
            }
        }
        weights += 4 * job->groups + 8;
    }
}

static void overlapping_3(const te_product *job)
{
    overlapping(job, 3);
}

#ifndef __OPTIMIZE_SIZE__
static void overlapping_2(const te_product *job)
{
    overlapping(job, 2);
}
#endif

#endif

/* ---- From int8 to tiles ------------------------------------------------------------------------
 */

/* Where the windows of a call come from. */
typedef struct {
    const te_conv_2d_3x3_dsp_params *p;
    const int8_t *const *rows;
    int32_t in_x0;
    int32_t zero_points; /* two of them */
} source;

/* Column `x` of a row, to every `step`-th word. */
static void expand_column(const source *s, const int8_t *row, int32_t x, int32_t *to, int32_t step)
{
    const te_conv_2d_3x3_dsp_params *p = s->p;
    if (row == NULL || x < 0 || x >= p->in_width) {
        te_fill(to, s->zero_points, p->in_channels / 2, step);
    } else {
        te_expand_dsp(to, row + (x - s->in_x0) * p->in_pitch, p->in_channels, step);
    }
}

/* The windows of a block of pixels, the first of which starts at column `x`; they cover `columns`
 * columns. Returns where the next tile belongs. */
static int32_t *expand_block(const source *s, int32_t x, int32_t columns, int32_t *to)
{
    const te_conv_2d_3x3_dsp_params *p = s->p;
    const int32_t at_once = columns == 5 && x >= 0 && x + 5 <= p->in_width;
    for (int32_t ky = 0; ky < 3; ky++) {
        const int8_t *row = s->rows[ky * p->dilation_y];
        if (at_once && row != NULL) {
            expand_5(to, row + (x - s->in_x0) * p->in_pitch, p->in_pitch, p->in_channels / 4);
        } else {
            for (int32_t i = 0; i < columns; i++) {
                expand_column(s, row, x + i, to + i, columns);
            }
        }
        to += columns * (p->in_channels / 2);
    }
    return to;
}

/* All computed channels of `pixels` pixels: 1, 2 or a multiple of 3. */
static void product(te_product *job, int32_t pixels, int32_t tile_words)
{
    if (pixels >= 3) {
        te_blocks_dsp(job, pixels / 3, tile_words);
        overlapping_3(job);
#ifndef __OPTIMIZE_SIZE__
    } else if (pixels == 2) {
        overlapping_2(job);
#endif
    } else {
        te_product_1_dsp(job);
    }
}

void te_conv_2d_3x3_dsp(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                        int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0, int32_t x1,
                        void *scratch)
{
    const te_conv_2d_3x3_dsp_params *p = params;
    int32_t *tile = scratch;
    const source from = {.p = p,
                         .rows = in_rows,
                         .in_x0 = in_x0,
                         .zero_points = (int32_t)te_lanes(p->in_zero_point, p->in_zero_point)};
    te_product job = {.tile = tile,
                      .weights = p->weights,
                      .out = out_rows[0],
                      .out_pitch = p->out_pitch,
                      .pairs = p->pairs,
                      .groups = p->groups,
                      .rounding = p->rounding,
                      .constants = p->constants,
                      .channels = p->out_channels,
                      .out_min = p->out_min,
                      .out_max = p->out_max};
    if (p->has_room) {
        job.room = tile + p->block_pixels * 5 * (p->in_channels / 2);
    }
    (void)n_rows;
    (void)y;
    for (int32_t x = x0; x < x1;) {
        const int32_t pixels = te_block_pixels(x1 - x, p->block_pixels);
        const int32_t block = pixels < 3 ? pixels : 3;
        int32_t *to = tile;
        for (int32_t i = 0; i < pixels; i += block) {
            to = expand_block(&from, x + i - p->pad_left, block + 2, to);
        }
        te_constants_dsp(&job, pixels);
        if (p->pairs > 0) {
            product(&job, pixels, 3 * (block + 2) * (p->in_channels / 2));
            te_clamp_pixels_dsp(&job, pixels);
        }
        job.out += pixels * p->out_pitch;
        x += pixels;
    }
}
