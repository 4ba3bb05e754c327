/* SPDX-License-Identifier: MIT-0 */
#include "te_depthwise_3x3_dsp.h"

#include "te_depthwise_dsp.h"
#include "te_dsp.h"

enum { COLUMN_WORDS = 6, CHANNEL_WORDS = 10, BLOCK_CHANNELS = 4 };

/* Three rows of four channels, columns inside the image only. The assembly counts on the order. */
typedef struct {
    int32_t *to;
    const int8_t *rows[3];
    int32_t steps[3]; /* bytes from column to column; 0 where a row lies outside */
    const int32_t *end;
} expansion;

/* What is to be computed from expanded columns, channel by channel; likewise in order. */
typedef struct {
    const int32_t *x;
    int8_t *out;
    const int32_t *weights;
    int32_t next; /* bytes from the channel's words in a column to those of the next */
    int32_t channels;
    int32_t pitch;  /* bytes from output to output */
    int32_t length; /* bytes of the columns that pairs of outputs use up */
    int32_t odd;    /* whether an output is left */
} windows;

#if TE_DSP_INSTRUCTIONS

/* Compilers spill these loops. The twins below say in C what is computed here. */

/* clang-format off */

/* r0 to, r1 to r3 rows, r4 to r9 the column's words, r11 r12 lr steps; sp: end. */
WHOLLY_ASSEMBLY static void expand(const expansion *e UNUSED)
{
    __asm__(
        "ldr r1, [r0, #28]\n"
        "push {r1, r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"
        "ldm r0, {r0, r1, r2, r3, r11, r12, lr}\n"
        "1:\n"
        "ldr r7, [r1]\n"
        "ldr r9, [r2]\n"
        "ldr r8, [r3]\n"
        "add r1, r1, r11\n"
        "add r2, r2, r12\n"
        "add r3, r3, lr\n"
        "sxtb16 r10, r7\n"
        "sxtb16 r6, r9\n"
        "sxtb16 r5, r8\n"
        "sxtb16 r8, r8, ror #8\n"
        "pkhbt r4, r10, r6, lsl #16\n"
        "pkhtb r6, r6, r10, asr #16\n"
        "sxtb16 r10, r7, ror #8\n"
        "sxtb16 r9, r9, ror #8\n"
        "pkhbt r7, r10, r9, lsl #16\n"
        "pkhtb r9, r9, r10, asr #16\n"
        "ldr r10, [sp]\n"
        "stmia r0!, {r4, r5, r6, r7, r8, r9}\n"
        "cmp r0, r10\n"
        "bne 1b\n"
        "pop {r1, r4, r5, r6, r7, r8, r9, r10, r11, pc}\n");
}

#define MAC(acc, w, x) "smlad " acc ", " w ", " x ", " acc "\n"
#define TAPS(acc, w0, w1) MAC(acc, w0, "r2") MAC(acc, w1, "r3")
#define FROM_BIAS "smlad r10, r4, r2, r11\n" MAC("r10", "r5", "r3")
#define COLUMN    "ldrd r2, r3, [r0], #24\n"
#define NARROW(acc) "asr " acc ", " acc ", r2\nssat " acc ", #8, " acc "\n"

/* Two outputs from columns at r0, which ends behind the columns that no later pair needs; r11 is
 * the bias. */
#define PAIR_STRIDE_1                                                                              \
    COLUMN FROM_BIAS                                                                               \
    COLUMN TAPS("r10", "r6", "r7") TAPS("r11", "r4", "r5")                                         \
    "ldrd r2, r3, [r0]\n" TAPS("r10", "r8", "r9") TAPS("r11", "r6", "r7")                          \
    "ldrd r2, r3, [r0, #24]\n" TAPS("r11", "r8", "r9")
#define PAIR_STRIDE_2                                                                              \
    COLUMN FROM_BIAS                                                                               \
    COLUMN TAPS("r10", "r6", "r7")                                                                 \
    COLUMN TAPS("r10", "r8", "r9") TAPS("r11", "r4", "r5")                                         \
    COLUMN TAPS("r11", "r6", "r7")                                                                 \
    "ldrd r2, r3, [r0]\n" TAPS("r11", "r8", "r9")

/* r0 columns, r1 out, r4 to r9 weights, r10 and r11 accumulators, r12 pitch, lr end of the pairs;
 * sp: multiplier, constant, shift, bias, and from +16 on a copy of *w. */
#define WINDOWS(PAIR)                                                                              \
    "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"                                                \
    "ldm r0, {r0, r1, r2, r3, r4, r5, r6, r7}\n"                                                   \
    "push {r0, r1, r2, r3, r4, r5, r6, r7}\n"                                                      \
    "sub sp, sp, #16\n"                                                                            \
    "mov r3, r2\n"                                                                                 \
    "0:\n"                                                                                         \
    "ldm r3!, {r2, r4, r5, r6, r7, r8, r9}\n" /* bias, weights */                                  \
    "ldm r3!, {r10, r11, r12}\n" /* multiplier constant shift */                                   \
    "str r2, [sp, #12]\n"                                                                          \
    "str r3, [sp, #24]\n"                                                                          \
    "stm sp, {r10, r11, r12}\n"                                                                    \
    "ldrd r12, lr, [sp, #36]\n" /* pitch length */                                                 \
    "add lr, lr, r0\n"                                                                             \
    "cmp r0, lr\n"                                                                                 \
    "beq 2f\n"                                                                                     \
    "1:\n"                                                                                         \
    "ldr r11, [sp, #12]\n"                                                                         \
    PAIR                                                                                           \
    "ldrd r2, r3, [sp]\n"                                                                          \
    "smmla r10, r10, r2, r3\n"                                                                     \
    "smmla r11, r11, r2, r3\n"                                                                     \
    "ldr r2, [sp, #8]\n"                                                                           \
    NARROW("r10") NARROW("r11")                                                                    \
    "strb r10, [r1]\n"                                                                             \
    "strb r11, [r1, r12]\n"                                                                        \
    "add r1, r1, r12, lsl #1\n"                                                                    \
    "cmp r0, lr\n"                                                                                 \
    "bne 1b\n"                                                                                     \
    "2:\n"                                                                                         \
    "ldr r2, [sp, #44]\n" /* odd */                                                                \
    "cbz r2, 3f\n"                                                                                 \
    "ldr r11, [sp, #12]\n"                                                                         \
    COLUMN FROM_BIAS                                                                               \
    COLUMN TAPS("r10", "r6", "r7")                                                                 \
    "ldrd r2, r3, [r0]\n" TAPS("r10", "r8", "r9")                                                  \
    "ldrd r2, r3, [sp]\n"                                                                          \
    "smmla r10, r10, r2, r3\n"                                                                     \
    "ldr r2, [sp, #8]\n"                                                                           \
    NARROW("r10")                                                                                  \
    "strb r10, [r1]\n"                                                                             \
    "3:\n"                                                                                         \
    "add r2, sp, #16\n"                                                                            \
    "ldm r2, {r0, r1, r3, r4, r5}\n" /* x out weights next channels */                             \
    "add r0, r0, r4\n"                                                                             \
    "add r1, r1, #1\n"                                                                             \
    "rsb r4, r4, #4\n"                                                                             \
    "subs r5, r5, #1\n"                                                                            \
    "stm r2, {r0, r1, r3, r4, r5}\n"                                                               \
    "bne 0b\n"                                                                                     \
    "add sp, sp, #48\n"                                                                            \
    "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n"

WHOLLY_ASSEMBLY static void windows_stride_1(const windows *w UNUSED)
{
    __asm__(WINDOWS(PAIR_STRIDE_1));
}

WHOLLY_ASSEMBLY static void windows_stride_2(const windows *w UNUSED)
{
    __asm__(WINDOWS(PAIR_STRIDE_2));
}

/* clang-format on */

#else

static void expand(const expansion *e)
{
    const int8_t *a = e->rows[0];
    const int8_t *b = e->rows[1];
    const int8_t *c = e->rows[2];
    for (int32_t *to = e->to; to != e->end; to += COLUMN_WORDS) {
        const uint32_t even_a = te_sxtb16(te_load4(a));
        const uint32_t even_b = te_sxtb16(te_load4(b));
        const uint32_t odd_a = te_sxtb16_ror8(te_load4(a));
        const uint32_t odd_b = te_sxtb16_ror8(te_load4(b));
        to[0] = (int32_t)te_pkhbt(even_a, even_b);
        to[1] = (int32_t)te_sxtb16(te_load4(c));
        to[2] = (int32_t)te_pkhtb(even_a, even_b);
        to[3] = (int32_t)te_pkhbt(odd_a, odd_b);
        to[4] = (int32_t)te_sxtb16_ror8(te_load4(c));
        to[5] = (int32_t)te_pkhtb(odd_a, odd_b);
        a += e->steps[0];
        b += e->steps[1];
        c += e->steps[2];
    }
}

static int8_t window(const int32_t *x, const int32_t *weights)
{
    int32_t acc = weights[0];
    for (int32_t kx = 0; kx < 3; kx++) {
        const int32_t *column = x + kx * COLUMN_WORDS;
        acc = te_smlad((uint32_t)column[0], (uint32_t)weights[1 + 2 * kx], acc);
        acc = te_smlad((uint32_t)column[1], (uint32_t)weights[2 + 2 * kx], acc);
    }
    return (int8_t)te_ssat8(te_smmla(acc, weights[7], weights[8]) >> weights[9]);
}

static void all_windows(const windows *w, int32_t stride)
{
    const int32_t step = stride * COLUMN_WORDS;
    const int32_t n = w->length / 4 / step + w->odd;
    const int32_t *x = w->x;
    int32_t next = w->next / 4;
    for (int32_t c = 0; c < w->channels; c++) {
        for (int32_t i = 0; i < n; i++) {
            w->out[i * w->pitch + c] = window(x + i * step, w->weights + c * CHANNEL_WORDS);
        }
        x += next;
        next = 1 - next;
    }
}

static void windows_stride_1(const windows *w)
{
    all_windows(w, 1);
}

static void windows_stride_2(const windows *w)
{
    all_windows(w, 2);
}

#endif

/* The last `n` channels of every column, 1 to 3: there is no whole word to read. */
static void expand_rest(const expansion *e, int32_t n)
{
    const int8_t *rows[3] = {e->rows[0], e->rows[1], e->rows[2]};
    int8_t words[3][BLOCK_CHANNELS] = {{0}};
    expansion column = {.rows = {words[0], words[1], words[2]}, .steps = {0}};
    for (int32_t *to = e->to; to != e->end; to += COLUMN_WORDS) {
        for (int32_t r = 0; r < 3; r++) {
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

/* `n` output pixels of all channels, from input column `x` on. */
static void block(const te_depthwise_3x3_dsp_params *p, const int8_t *const *in_rows, int32_t in_x0,
                  int32_t x, int32_t n, int8_t *out, int32_t *columns)
{
    const int32_t zero = (int32_t)te_lanes(p->in_zero_point, p->in_zero_point);
    const int8_t z = p->in_zero_point;
    const int8_t outside[BLOCK_CHANNELS] = {z, z, z, z};
    const int32_t all = (n - 1) * p->stride_x + 3;
    const int32_t left = te_within(-x, 0, all); /* columns [left, right) lie inside the image */
    const int32_t right = te_within(p->in_width - x, left, all);
    const int32_t skip = (x + left - in_x0) * p->in_pitch;
    expansion e = {.to = columns + COLUMN_WORDS * left, .end = columns + COLUMN_WORDS * right};
    windows w = {.x = columns,
                 .out = out,
                 .weights = p->weights,
                 .next = 12,
                 .pitch = p->out_pitch,
                 .length = n / 2 * p->stride_x * 2 * COLUMN_WORDS * 4,
                 .odd = n & 1};
    int32_t advance[3];
    te_fill_columns(columns, e.to, zero);
    te_fill_columns(columns + COLUMN_WORDS * right, columns + COLUMN_WORDS * all, zero);
    for (int32_t r = 0; r < 3; r++) {
        const int8_t *row = in_rows[r * p->dilation_y];
        e.rows[r] = row == NULL ? outside : row + skip;
        e.steps[r] = row == NULL ? 0 : p->in_pitch;
        advance[r] = row == NULL ? 0 : BLOCK_CHANNELS;
    }
    for (int32_t channels = p->channels; channels > 0; channels -= BLOCK_CHANNELS) {
        w.channels = channels < BLOCK_CHANNELS ? channels : BLOCK_CHANNELS;
        if (channels < BLOCK_CHANNELS) {
            expand_rest(&e, channels);
        } else if (left < right) {
            expand(&e);
        }
        if (p->stride_x == 1) {
            windows_stride_1(&w);
        } else {
            windows_stride_2(&w);
        }
        w.out += BLOCK_CHANNELS;
        w.weights += BLOCK_CHANNELS * CHANNEL_WORDS;
        e.rows[0] += advance[0];
        e.rows[1] += advance[1];
        e.rows[2] += advance[2];
    }
}

void te_depthwise_3x3_dsp(const void *params, const int8_t *const *in_rows, int32_t in_x0,
                          int8_t *const *out_rows, int32_t n_rows, int32_t y, int32_t x0,
                          int32_t x1, void *scratch)
{
    const te_depthwise_3x3_dsp_params *p = params;
    (void)y;
    (void)n_rows; /* one row per call */
    for (int32_t x = x0; x < x1; x += p->block_pixels) {
        const int32_t n = x1 - x < p->block_pixels ? x1 - x : p->block_pixels;
        int8_t *out = out_rows[0] + (x - x0) * p->out_pitch;
        block(p, in_rows, in_x0, x * p->stride_x - p->pad_left, n, out, scratch);
        if (p->out_min > INT8_MIN || p->out_max < INT8_MAX) {
            te_clamp_columns(out, n, p->channels, p->out_pitch, p->out_min, p->out_max);
        }
    }
}
