/* SPDX-License-Identifier: MIT-0 */
#include "te_depthwise_3x3_rows_dsp.h"

#include "te_depthwise_dsp.h"
#include "te_dsp.h"

enum { COLUMN_WORDS = 8, CHANNEL_WORDS = 10, BLOCK_CHANNELS = 4, TAPS = 3 };

/* Two rows of four channels, columns inside the image only: a word of each channel in a column. The
 * assembly counts on the order. */
typedef struct {
    int32_t *to;
    const int8_t *rows[2];
    int32_t steps[2]; /* bytes from column to column; 0 where a row lies outside */
    const int32_t *end;
} expansion;

/* What is to be computed from expanded columns, channel by channel; likewise in order. */
typedef struct {
    const int32_t *x;
    int8_t *out;
    int32_t pitch;      /* bytes from output to output */
    int32_t row;        /* bytes from the first output row to the second; 0 where there is none */
    const int32_t *end; /* of the columns that pairs of outputs use up, in the first channel */
    int32_t odd;        /* whether an output is left */
    const int32_t *weights_end;
    const int32_t *weights;
} windows;

#if TE_DSP_INSTRUCTIONS

/* Compilers spill these loops. The twins below say in C what is computed here. */

/* clang-format off */

/* r0 to, r1 r2 rows, r3 r12 steps, lr end. Single stores take a cycle each, one of several words a
 * cycle more. */
WHOLLY_ASSEMBLY static void expand(const expansion *e UNUSED)
{
    __asm__(
        "push {r4, r5, r6, r7, r8, r9, lr}\n"
        "ldm r0, {r0, r1, r2, r3, r12, lr}\n"
        "1:\n"
        "ldr r4, [r1]\n"
        "ldr r5, [r2]\n"
        "add r1, r1, r3\n"
        "add r2, r2, r12\n"
        "sxtb16 r6, r4, ror #8\n"
        "sxtb16 r7, r5, ror #8\n"
        "sxtb16 r4, r4\n"
        "sxtb16 r5, r5\n"
        "pkhbt r8, r6, r7, lsl #16\n"
        "pkhtb r7, r7, r6, asr #16\n"
        "pkhbt r9, r4, r5, lsl #16\n"
        "pkhtb r5, r5, r4, asr #16\n"
        "str r8, [r0, #8]\n"
        "str r5, [r0, #16]\n"
        "str r7, [r0, #24]\n"
        "str r9, [r0], #32\n"
        "cmp r0, lr\n"
        "bne 1b\n"
        "pop {r4, r5, r6, r7, r8, r9, pc}\n");
}

/* A column of two outputs above each other: rows (0, 1) in r2, (2, 3) in r3; `sum` and `below` are
 * what the accumulators begin with. */
#define COLUMN_FROM(upper, lower, w01, w12, sum, below)                                            \
    "smlatb " lower ", r2, " w01 ", " below "\n"                                                   \
    "smlad " upper ", r2, " w01 ", " sum "\n"                                                      \
    "smlabt " upper ", r3, " w12 ", " upper "\n"                                                   \
    "smlad " lower ", r3, " w12 ", " lower "\n"
#define COLUMN(upper, lower, w01, w12) COLUMN_FROM(upper, lower, w01, w12, upper, lower)
#define MULTIPLY(acc) "smmla " acc ", " acc ", r2, r3\n"
#define NARROW(acc)   "asr " acc ", " acc ", r2\nssat " acc ", #8, " acc "\n"

/* r0 columns, r1 out, r4 to r9 weights; r10 and r11 are the accumulators of a pair in the first row,
 * r12 and lr those in the second. Of a single row, the second one is written first, to where the
 * first one is. sp:
 *
 *     +0 next weights, +4 multiplier, +8 constant, +12 shift, +16 bias, from +20 on a copy of *w */
WHOLLY_ASSEMBLY static void compute(const windows *w UNUSED)
{
    __asm__(
        "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"
        "ldm r0, {r0, r1, r2, r3, r4, r5, r6, r7}\n"
        "sub sp, sp, #48\n"
        "add r8, sp, #20\n"
        "stm r8, {r0, r1, r2, r3, r4, r5, r6}\n"
        "mov r2, r7\n"
        "0:\n"
        "ldm r2!, {r4, r5, r6, r7, r8, r9}\n"
        "ldm r2!, {r3, r10, r11, r12}\n" /* multiplier constant shift bias */
        "stm sp, {r2, r3, r10, r11, r12}\n"
        "ldr r2, [sp, #36]\n" /* end */
        "cmp r0, r2\n"
        "beq 2f\n"
        "1:\n"
        "ldr r11, [sp, #16]\n"
        "ldrd r2, r3, [r0], #32\n"
        COLUMN_FROM("r10", "r12", "r4", "r5", "r11", "r11")
        "ldrd r2, r3, [r0], #32\n"
        COLUMN_FROM("r11", "lr", "r4", "r5", "r11", "r11") COLUMN("r10", "r12", "r6", "r7")
        "ldrd r2, r3, [r0]\n"
        COLUMN("r11", "lr", "r6", "r7") COLUMN("r10", "r12", "r8", "r9")
        "ldrd r2, r3, [r0, #32]\n"
        COLUMN("r11", "lr", "r8", "r9")
        "ldrd r2, r3, [sp, #4]\n"
        MULTIPLY("r12") MULTIPLY("lr") MULTIPLY("r10") MULTIPLY("r11")
        "ldr r2, [sp, #12]\n"
        NARROW("r12") NARROW("lr") NARROW("r10") NARROW("r11")
        "ldrd r2, r3, [sp, #28]\n" /* pitch row */
        "strb r12, [r1, r3]\n"
        "strb r10, [r1]\n"
        "add r1, r1, r2\n"
        "strb lr, [r1, r3]\n"
        "strb r11, [r1]\n"
        "ldr r3, [sp, #36]\n"
        "add r1, r1, r2\n"
        "cmp r0, r3\n"
        "bne 1b\n"
        "2:\n"
        "ldr r2, [sp, #40]\n" /* odd */
        "cbz r2, 3f\n"
        "ldr r11, [sp, #16]\n"
        "ldrd r2, r3, [r0]\n"
        COLUMN_FROM("r10", "r12", "r4", "r5", "r11", "r11")
        "ldrd r2, r3, [r0, #32]\n"
        COLUMN("r10", "r12", "r6", "r7")
        "ldrd r2, r3, [r0, #64]\n"
        COLUMN("r10", "r12", "r8", "r9")
        "ldrd r2, r3, [sp, #4]\n"
        MULTIPLY("r12") MULTIPLY("r10")
        "ldr r2, [sp, #12]\n"
        NARROW("r12") NARROW("r10")
        "ldr r3, [sp, #32]\n"
        "strb r12, [r1, r3]\n"
        "strb r10, [r1]\n"
        "3:\n"
        "ldrd r0, r1, [sp, #20]\n" /* x out */
        "ldr r3, [sp, #36]\n"
        "ldr r12, [sp, #44]\n" /* end of the weights */
        "ldr r2, [sp]\n"
        "add r0, r0, #8\n"
        "add r1, r1, #1\n"
        "add r3, r3, #8\n"
        "strd r0, r1, [sp, #20]\n"
        "str r3, [sp, #36]\n"
        "cmp r2, r12\n"
        "bne 0b\n"
        "add sp, sp, #48\n"
        "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n");
}

/* clang-format on */

#else

static void expand(const expansion *e)
{
    const int8_t *a = e->rows[0];
    const int8_t *b = e->rows[1];
    for (int32_t *to = e->to; to != e->end; to += COLUMN_WORDS) {
        const uint32_t even_a = te_sxtb16(te_load4(a));
        const uint32_t even_b = te_sxtb16(te_load4(b));
        const uint32_t odd_a = te_sxtb16_ror8(te_load4(a));
        const uint32_t odd_b = te_sxtb16_ror8(te_load4(b));
        to[0] = (int32_t)te_pkhbt(even_a, even_b);
        to[2] = (int32_t)te_pkhbt(odd_a, odd_b);
        to[4] = (int32_t)te_pkhtb(even_a, even_b);
        to[6] = (int32_t)te_pkhtb(odd_a, odd_b);
        a += e->steps[0];
        b += e->steps[1];
    }
}

static int8_t rounded(int32_t acc, const int32_t *words)
{
    return (int8_t)te_ssat8(te_smmla(acc, words[0], words[1]) >> words[2]);
}

/* The sum, which wraps around 32 bits. */
static int32_t plus(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

/* Two outputs above each other, in one channel. */
static void window(const int32_t *x, const int32_t *weights, int8_t *out, int32_t row)
{
    const int32_t *rounding = weights + 2 * TAPS;
    int32_t upper = rounding[3];
    int32_t lower = rounding[3];
    for (int32_t kx = 0; kx < TAPS; kx++) {
        const uint32_t rows_01 = (uint32_t)x[kx * COLUMN_WORDS];
        const uint32_t rows_23 = (uint32_t)x[kx * COLUMN_WORDS + 1];
        const uint32_t w01 = (uint32_t)weights[2 * kx];
        const uint32_t w12 = (uint32_t)weights[2 * kx + 1];
        upper = plus(te_smlad(rows_01, w01, upper), te_low(rows_23) * te_high(w12));
        lower = plus(te_smlad(rows_23, w12, lower), te_high(rows_01) * te_low(w01));
    }
    out[row] = rounded(lower, rounding);
    out[0] = rounded(upper, rounding);
}

static void compute(const windows *w)
{
    const int32_t n = (int32_t)(w->end - w->x) / COLUMN_WORDS + w->odd;
    const int32_t *x = w->x;
    int8_t *out = w->out;
    for (const int32_t *weights = w->weights; weights != w->weights_end; weights += CHANNEL_WORDS) {
        for (int32_t i = 0; i < n; i++) {
            window(x + i * COLUMN_WORDS, weights, out + i * w->pitch, w->row);
        }
        x += 2;
        out++;
    }
}

#endif

/* The last `n` channels of every column, 1 to 3: there is no whole word to read. */
static void expand_rest(const expansion *e, int32_t n)
{
    const int8_t *rows[2] = {e->rows[0], e->rows[1]};
    int8_t words[2][BLOCK_CHANNELS] = {{0}};
    expansion column = {.rows = {words[0], words[1]}, .steps = {0}};
    for (int32_t *to = e->to; to != e->end; to += COLUMN_WORDS) {
        for (int32_t r = 0; r < 2; r++) {
            for (int32_t c = 0; c < n; c++) {
                words[r][c] = rows[r][c];
            }
            rows[r] += e->steps[r];
        }
        column.to = to;
        column.end = to + COLUMN_WORDS;
        expand(&column);
    }
}

/* `n` output pixels of all channels in one row or two, from input column `x` on; the rows of the
 * input start with column `in_x0`. */
static void block(const te_depthwise_3x3_rows_dsp_params *p, const int8_t *const *in_rows,
                  int32_t n_rows, int32_t in_x0, int32_t x, int32_t n, windows *w, int32_t *columns)
{
    const int32_t zero = (int32_t)te_lanes(p->in_zero_point, p->in_zero_point);
    const int8_t z = p->in_zero_point;
    const int8_t outside[BLOCK_CHANNELS] = {z, z, z, z};
    const int32_t all = n + TAPS - 1;
    const int32_t left = te_within(-x, 0, all); /* columns [left, right) lie inside the image */
    const int32_t right = te_within(p->in_width - x, left, all);
    expansion halves[2];
    int32_t advance[4];
    te_fill_columns(columns, columns + COLUMN_WORDS * left, zero);
    te_fill_columns(columns + COLUMN_WORDS * right, columns + COLUMN_WORDS * all, zero);
    for (int32_t r = 0; r < 4; r++) {
        const int8_t *row = r < n_rows + TAPS - 1 ? in_rows[r] : NULL;
        expansion *e = &halves[r / 2];
        e->to = columns + COLUMN_WORDS * left + r / 2;
        e->end = columns + COLUMN_WORDS * right + r / 2;
        e->rows[r % 2] = row == NULL ? outside : row + (x + left - in_x0) * p->in_pitch;
        e->steps[r % 2] = row == NULL ? 0 : p->in_pitch;
        advance[r] = row == NULL ? 0 : BLOCK_CHANNELS;
    }
    w->x = columns;
    w->end = columns + n / 2 * 2 * COLUMN_WORDS;
    w->odd = n & 1;
    w->weights = p->weights;
    for (int32_t rest = p->channels; rest > 0; rest -= BLOCK_CHANNELS) {
        const int32_t channels = rest < BLOCK_CHANNELS ? rest : BLOCK_CHANNELS;
        if (channels < BLOCK_CHANNELS) {
            for (int32_t half = 0; half < 2; half++) {
                expand_rest(&halves[half], channels);
            }
        } else if (left < right) {
            expand(&halves[0]);
            expand(&halves[1]);
        }
        w->weights_end = w->weights + channels * CHANNEL_WORDS;
        compute(w);
        w->weights = w->weights_end;
        w->out += BLOCK_CHANNELS;
        halves[0].rows[0] += advance[0];
        halves[0].rows[1] += advance[1];
        halves[1].rows[0] += advance[2];
        halves[1].rows[1] += advance[3];
    }
}

void te_depthwise_3x3_rows_dsp(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                               int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0,
                               int32_t x1, void *scratch)
{
    const te_depthwise_3x3_rows_dsp_params *p = params;
    windows w = {.pitch = p->out_pitch, .row = (int32_t)(out_rows[n_rows - 1] - out_rows[0])};
    (void)y;
    for (int32_t x = x0; x < x1; x += p->block_pixels) {
        const int32_t n = te_within(x1 - x, 1, p->block_pixels);
        int8_t *out = out_rows[0] + (x - x0) * p->out_pitch;
        w.out = out;
        block(p, in_rows, n_rows, in_x0, x - p->pad_left, n, &w, scratch);
        for (int32_t r = 0; r < n_rows && (p->out_min > INT8_MIN || p->out_max < INT8_MAX); r++) {
            te_clamp_columns(out + r * w.row, n, p->channels, p->out_pitch, p->out_min, p->out_max);
        }
    }
}
