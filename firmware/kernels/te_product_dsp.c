/* SPDX-License-Identifier: MIT-0 */
#include "te_product_dsp.h"

/* ---- From int8 to the tile ---------------------------------------------------------------------
 */

/* The last `n` of a run, 1 to 3 values; the second word is used from two values on. */
static void expand_rest(int32_t *first, int32_t *second, const int8_t *from, int32_t n)
{
    const uint32_t third = n > 2 ? (uint32_t)from[2] << 16 : 0;
    *first = (int32_t)(third | (uint16_t)from[0]);
    if (n > 1) {
        *second = (uint16_t)from[1];
    }
}

int32_t *te_expand_one_dsp(int32_t *to, const int8_t *from, int32_t n, int32_t pixels)
{
    for (; n >= 4; n -= 4) {
        const uint32_t word = te_load4(from);
        from += 4;
        to[0] = (int32_t)te_sxtb16(word);
        to[pixels] = (int32_t)te_sxtb16_ror8(word);
        to += 2 * pixels;
    }
    if (n > 0) {
        expand_rest(to, to + pixels, from, n);
    }
    return to + te_run_words(n) * pixels;
}

int32_t *te_expand_dsp(int32_t *to, const int8_t *from, int32_t step, int32_t n, int32_t pixels)
{
    if (pixels == 3) {
        for (; n >= 4; n -= 4) {
            const uint32_t a = te_load4(from);
            const uint32_t b = te_load4(from + step);
            const uint32_t c = te_load4(from + 2 * step);
            from += 4;
            to[0] = (int32_t)te_sxtb16(a);
            to[1] = (int32_t)te_sxtb16(b);
            to[2] = (int32_t)te_sxtb16(c);
            to[3] = (int32_t)te_sxtb16_ror8(a);
            to[4] = (int32_t)te_sxtb16_ror8(b);
            to[5] = (int32_t)te_sxtb16_ror8(c);
            to += 6;
        }
    } else if (pixels == 2) {
        for (; n >= 4; n -= 4) {
            const uint32_t a = te_load4(from);
            const uint32_t b = te_load4(from + step);
            from += 4;
            to[0] = (int32_t)te_sxtb16(a);
            to[1] = (int32_t)te_sxtb16(b);
            to[2] = (int32_t)te_sxtb16_ror8(a);
            to[3] = (int32_t)te_sxtb16_ror8(b);
            to += 4;
        }
    } else {
        return te_expand_one_dsp(to, from, n, 1);
    }
    for (int32_t p = 0; p < pixels && n > 0; p++) {
        expand_rest(to + p, to + pixels + p, from + p * step, n);
    }
    return to + te_run_words(n) * pixels;
}

/* ---- The product -------------------------------------------------------------------------------
 */

#if TE_DSP_INSTRUCTIONS

/* Compilers spill these loops: a block of three pixels needs all fourteen registers, and several
 * values must lie in ascending registers to be loaded by one instruction. The twin below says in C
 * what is computed here.
 *
 *     r0 tile, r1 weights, lr rounds of the inner loop left
 *     sp: +0 tile, +4 rounds, +8 where the first round enters the loop, +12 rounding,
 *         +16 out, +20 pitch, +24 end of the weights
 *
 * A round of the inner loop takes two groups of four words; where their number is odd the first
 * round enters in the middle. */

#define WHOLLY_ASSEMBLY __attribute__((naked, noinline))
#define UNUSED          __attribute__((unused))

/* Reads *job and leaves the frame described above. */
#define PROLOGUE                                                                                   \
    "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"                                                \
    "sub sp, sp, #28\n"                                                                            \
    "ldmia r0, {r2, r3, r4, r5, r6, r7, r12}\n" /* tile weights out pitch pairs groups rounding */ \
    "mov r1, r3\n"                                                                                 \
    "lsl r8, r7, #4\n"                                                                             \
    "add r8, r8, #32\n"                                                                            \
    "mla lr, r8, r6, r3\n" /* bytes of a pair, times pairs */                                      \
    "add r3, r7, #1\n"                                                                             \
    "lsr r3, r3, #1\n"                                                                             \
    "adr.w r6, 2f\n"                                                                               \
    "tst r7, #1\n"                                                                                 \
    "it ne\n"                                                                                      \
    "adrne.w r6, 6f\n"                                                                             \
    "orr r6, r6, #1\n" /* Thumb */                                                                 \
    "adr.w r7, 3f\n"                                                                               \
    "cmp r12, #0\n"                                                                                \
    "it ne\n"                                                                                      \
    "adrne.w r7, 4f\n"                                                                             \
    "orr r7, r7, #1\n"                                                                             \
    "strd r2, r3, [sp, #0]\n"                                                                      \
    "strd r6, r7, [sp, #8]\n"                                                                      \
    "strd r4, r5, [sp, #16]\n"                                                                     \
    "str lr, [sp, #24]\n"                                                                          \
    "1:\n"

#define INNER_LOOP(group)                                                                          \
    "ldrd r0, lr, [sp, #0]\n"                                                                      \
    "ldr pc, [sp, #8]\n"                                                                           \
    "2:\n" group "6:\n" group "subs lr, lr, #1\n"                                                  \
    "bne 2b\n"                                                                                     \
    "ldr pc, [sp, #12]\n"

#define NEXT_PAIR                                                                                  \
    "str r5, [sp, #16]\n"                                                                          \
    "ldr r0, [sp, #24]\n"                                                                          \
    "cmp r1, r0\n"                                                                                 \
    "bne 1b\n"                                                                                     \
    "add sp, sp, #28\n"                                                                            \
    "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n"

/* The accumulators `s` (bytes S) and `a` (lanes A) of one pixel: from A to the second channel. */
#define SECOND(s, a)       "sub " a ", " a ", " s "\n"
#define SCALE_UP(s)        "lsl " s ", " s ", #8\n"
#define DOUBLE(s, a)       "asr " a ", " a ", #7\nlsl " s ", " s ", #1\n"
#define LOAD_ROUNDING      "ldmia r1!, {r2, r3, r4}\n" /* multiplier constant shift */
#define MULTIPLY_UP(acc)   "smmla " acc ", " acc ", r2, r3\n"
#define MULTIPLY_AWAY(acc) "add r5, r3, " acc ", asr #31\nsmmlar " acc ", " acc ", r2, r5\n"
#define NARROW(acc)        "asr " acc ", " acc ", r4\nssat " acc ", #8, " acc "\n"
#define MAC(acc, w, x)     "smlad " acc ", " w ", " x ", " acc "\n"
#define LOW_BYTES(w)       "sxtb16 " w ", " w "\n"

/* clang-format off */

#define WORD_3(w)                                                                                  \
    "ldmia r0!, {r4, r5, r6}\n"                                                                    \
    MAC("r10", w, "r4") MAC("r11", w, "r5") MAC("r12", w, "r6")                                    \
    LOW_BYTES(w)                                                                                   \
    MAC("r7", w, "r4") MAC("r8", w, "r5") MAC("r9", w, "r6")
#define GROUP_3                                                                                    \
    "ldrd r2, r3, [r1], #8\n" WORD_3("r2") WORD_3("r3")                                            \
    "ldrd r2, r3, [r1], #8\n" WORD_3("r2") WORD_3("r3")
#define STORE_3                                                                                    \
    "ldrd r5, r6, [sp, #16]\n"                                                                     \
    "strb r8, [r5, r6]\n"                                                                          \
    "strb r9, [r5, r6, lsl #1]\n"                                                                  \
    "strb r7, [r5], #1\n"                                                                          \
    "strb r11, [r5, r6]\n"                                                                         \
    "strb r12, [r5, r6, lsl #1]\n"                                                                 \
    "strb r10, [r5], #1\n"

WHOLLY_ASSEMBLY void te_product_3_dsp(const te_product *job UNUSED)
{
    __asm__(
        PROLOGUE
        "ldrd r7, r10, [r1], #8\n"
        "mov r8, r7\n" "mov r9, r7\n" "mov r11, r10\n" "mov r12, r10\n"
        INNER_LOOP(GROUP_3)
        "3:\n"
        LOAD_ROUNDING
        SECOND("r7", "r10") SECOND("r8", "r11") SECOND("r9", "r12")
        SCALE_UP("r7") SCALE_UP("r8") SCALE_UP("r9")
        MULTIPLY_UP("r7") MULTIPLY_UP("r8") MULTIPLY_UP("r9")
        NARROW("r7") NARROW("r8") NARROW("r9")
        LOAD_ROUNDING
        MULTIPLY_UP("r10") MULTIPLY_UP("r11") MULTIPLY_UP("r12")
        NARROW("r10") NARROW("r11") NARROW("r12")
        "5:\n"
        STORE_3 NEXT_PAIR
        "4:\n"
        LOAD_ROUNDING
        SECOND("r7", "r10") SECOND("r8", "r11") SECOND("r9", "r12")
        DOUBLE("r7", "r10") DOUBLE("r8", "r11") DOUBLE("r9", "r12")
        MULTIPLY_AWAY("r7") MULTIPLY_AWAY("r8") MULTIPLY_AWAY("r9")
        NARROW("r7") NARROW("r8") NARROW("r9")
        LOAD_ROUNDING
        MULTIPLY_AWAY("r10") MULTIPLY_AWAY("r11") MULTIPLY_AWAY("r12")
        NARROW("r10") NARROW("r11") NARROW("r12")
        "b 5b\n");
}

#define WORDS_2                                                                                    \
    "ldrd r2, r3, [r1], #8\n"                                                                      \
    "ldmia r0!, {r4, r5, r6, r7}\n"                                                                \
    MAC("r10", "r2", "r4") MAC("r11", "r2", "r5")                                                  \
    LOW_BYTES("r2")                                                                                \
    MAC("r8", "r2", "r4") MAC("r9", "r2", "r5")                                                    \
    MAC("r10", "r3", "r6") MAC("r11", "r3", "r7")                                                  \
    LOW_BYTES("r3")                                                                                \
    MAC("r8", "r3", "r6") MAC("r9", "r3", "r7")
#define GROUP_2 WORDS_2 WORDS_2
#define STORE_2                                                                                    \
    "ldrd r5, r6, [sp, #16]\n"                                                                     \
    "strb r9, [r5, r6]\n"                                                                          \
    "strb r8, [r5], #1\n"                                                                          \
    "strb r11, [r5, r6]\n"                                                                         \
    "strb r10, [r5], #1\n"

WHOLLY_ASSEMBLY void te_product_2_dsp(const te_product *job UNUSED)
{
    __asm__(
        PROLOGUE
        "ldrd r8, r10, [r1], #8\n"
        "mov r9, r8\n" "mov r11, r10\n"
        INNER_LOOP(GROUP_2)
        "3:\n"
        LOAD_ROUNDING
        SECOND("r8", "r10") SECOND("r9", "r11")
        SCALE_UP("r8") SCALE_UP("r9")
        MULTIPLY_UP("r8") MULTIPLY_UP("r9")
        NARROW("r8") NARROW("r9")
        LOAD_ROUNDING
        MULTIPLY_UP("r10") MULTIPLY_UP("r11")
        NARROW("r10") NARROW("r11")
        "5:\n"
        STORE_2 NEXT_PAIR
        "4:\n"
        LOAD_ROUNDING
        SECOND("r8", "r10") SECOND("r9", "r11")
        DOUBLE("r8", "r10") DOUBLE("r9", "r11")
        MULTIPLY_AWAY("r8") MULTIPLY_AWAY("r9")
        NARROW("r8") NARROW("r9")
        LOAD_ROUNDING
        MULTIPLY_AWAY("r10") MULTIPLY_AWAY("r11")
        NARROW("r10") NARROW("r11")
        "b 5b\n");
}

#define WORD_1(w, x) MAC("r11", w, x) LOW_BYTES(w) MAC("r10", w, x)
#define GROUP_1                                                                                    \
    "ldmia r1!, {r2, r3, r4, r5}\n"                                                                \
    "ldmia r0!, {r6, r7, r8, r9}\n"                                                                \
    WORD_1("r2", "r6") WORD_1("r3", "r7") WORD_1("r4", "r8") WORD_1("r5", "r9")
#define STORE_1                                                                                    \
    "ldr r5, [sp, #16]\n"                                                                          \
    "strb r10, [r5], #1\n"                                                                         \
    "strb r11, [r5], #1\n"

WHOLLY_ASSEMBLY void te_product_1_dsp(const te_product *job UNUSED)
{
    __asm__(
        PROLOGUE
        "ldrd r10, r11, [r1], #8\n"
        INNER_LOOP(GROUP_1)
        "3:\n"
        LOAD_ROUNDING
        SECOND("r10", "r11")
        SCALE_UP("r10")
        MULTIPLY_UP("r10") NARROW("r10")
        LOAD_ROUNDING
        MULTIPLY_UP("r11") NARROW("r11")
        "5:\n"
        STORE_1 NEXT_PAIR
        "4:\n"
        LOAD_ROUNDING
        SECOND("r10", "r11")
        DOUBLE("r10", "r11")
        MULTIPLY_AWAY("r10") NARROW("r10")
        LOAD_ROUNDING
        MULTIPLY_AWAY("r11") NARROW("r11")
        "b 5b\n");
}

/* clang-format on */

#else

/* One accumulator to one output; `rounding` points at multiplier, constant and shift. */
static int8_t narrowed(int32_t acc, const int32_t *rounding, int32_t how)
{
    int32_t t;
    if (how == TE_HALF_UP) {
        t = te_smmla((int32_t)((uint32_t)acc << 8), rounding[0], rounding[1]);
    } else {
        t = te_smmlar((int32_t)((uint32_t)acc << 1), rounding[0], rounding[1] + (acc < 0 ? -1 : 0));
    }
    return (int8_t)te_ssat8(t >> rounding[2]);
}

static void product(const te_product *job, int32_t pixels)
{
    const int32_t words = 4 * job->groups;
    const int32_t *weights = job->weights;
    for (int32_t pair = 0; pair < job->pairs; pair++) {
        const int32_t *rounding = weights + 2 + words;
        for (int32_t p = 0; p < pixels; p++) {
            int32_t s = weights[0];
            int32_t a = weights[1];
            for (int32_t i = 0; i < words; i++) {
                const uint32_t w = (uint32_t)weights[2 + i];
                const uint32_t x = (uint32_t)job->tile[i * pixels + p];
                a = te_smlad(w, x, a);
                s = te_smlad(te_sxtb16(w), x, s);
            }
            int8_t *out = job->out + p * job->out_pitch + 2 * pair;
            const int32_t second = (int32_t)((uint32_t)a - (uint32_t)s) >> 8;
            out[0] = narrowed(s, rounding, job->rounding);
            out[1] = narrowed(second, rounding + 3, job->rounding);
        }
        weights = rounding + 6;
    }
}

void te_product_1_dsp(const te_product *job)
{
    product(job, 1);
}

void te_product_2_dsp(const te_product *job)
{
    product(job, 2);
}

void te_product_3_dsp(const te_product *job)
{
    product(job, 3);
}

#endif

static void run(const te_product *job, int32_t pixels)
{
    if (pixels == 3) {
        te_product_3_dsp(job);
    } else if (pixels == 2) {
        te_product_2_dsp(job);
    } else {
        te_product_1_dsp(job);
    }
}

/* The last of an odd number of channels: its pair must not touch the byte behind it. */
static void last_channel(const te_product *job, int32_t pixels, int32_t before)
{
    int8_t both[2 * TE_PRODUCT_PIXELS];
    te_product last = *job;
    last.weights += before * (8 + 4 * job->groups);
    last.pairs = 1;
    last.out = both;
    last.out_pitch = 2;
    run(&last, pixels);
    for (int32_t p = 0; p < pixels; p++) {
        job->out[p * job->out_pitch + 2 * before] = both[2 * p];
    }
}

static void clamp(int8_t *values, int32_t n, int32_t low, int32_t high)
{
    const uint32_t lows = UINT32_C(0x01010101) * (uint8_t)low;
    const uint32_t highs = UINT32_C(0x01010101) * (uint8_t)high;
    for (; n >= 4; n -= 4) {
        te_store4(values, te_lesser_s8x4(te_greater_s8x4(te_load4(values), lows), highs));
        values += 4;
    }
    for (; n > 0; n--) {
        *values = (int8_t)(*values < low ? low : (*values > high ? high : *values));
        values++;
    }
}

void te_product_dsp(te_product *job, int32_t pixels, int32_t channels, int32_t out_min,
                    int32_t out_max)
{
    job->pairs = channels / 2;
    if (job->pairs > 0) {
        run(job, pixels);
    }
    if (channels % 2 != 0) {
        last_channel(job, pixels, job->pairs);
    }
    for (int32_t p = 0; p < pixels && (out_min > -128 || out_max < 127); p++) {
        clamp(job->out + p * job->out_pitch, channels, out_min, out_max);
    }
}
