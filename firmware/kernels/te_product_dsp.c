/* SPDX-License-Identifier: MIT-0 */
#include "te_product_dsp.h"

#include "te_product_assembly_dsp.h"

/* ---- From int8 to the tile ---------------------------------------------------------------------
 */

/* The last `n` values of a run, 1 to 3, as one word and, from two values on, another one. Lanes
 * without a value may hold anything: their weights are zero. */
static void expand_rest(int32_t *first, int32_t *second, const int8_t *from, int32_t n)
{
    *first = from[0];
    if (n > 1) {
        *second = from[1];
    }
    if (n > 2) {
        *first = (int32_t)te_pkhbt((uint32_t)from[0], (uint32_t)from[2]);
    }
}

int32_t *te_expand_dsp(int32_t *to, const int8_t *from, int32_t n, int32_t pixels)
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
        to += (n < 2 ? 1 : 2) * pixels;
    }
    return to;
}

int32_t *te_expand_3_dsp(int32_t *to, const int8_t *from, int32_t step, int32_t n)
{
    int32_t fours = n / 4;
#if TE_DSP_INSTRUCTIONS
    /* One store of six words, for which compilers do not find ascending registers. */
    if (fours > 0) {
        __asm__ volatile("1:\n"
                         "ldr r5, [%1, %3]\n"
                         "ldr r6, [%1, %3, lsl #1]\n"
                         "ldr r4, [%1], #4\n"
                         "sxtb16 r9, r5, ror #8\n"
                         "sxtb16 r10, r6, ror #8\n"
                         "sxtb16 r8, r4, ror #8\n"
                         "sxtb16 r4, r4\n"
                         "sxtb16 r5, r5\n"
                         "sxtb16 r6, r6\n"
                         "stmia %0!, {r4, r5, r6, r8, r9, r10}\n"
                         "subs %2, %2, #1\n"
                         "bne 1b\n"
                         : "+r"(to), "+r"(from), "+r"(fours)
                         : "r"(step)
                         : "r4", "r5", "r6", "r8", "r9", "r10", "cc", "memory");
    }
#else
    for (; fours > 0; fours--) {
        for (int32_t p = 0; p < 3; p++) {
            const uint32_t word = te_load4(from + p * step);
            to[p] = (int32_t)te_sxtb16(word);
            to[p + 3] = (int32_t)te_sxtb16_ror8(word);
        }
        from += 4;
        to += 6;
    }
#endif
    n &= 3;
    if (n > 0) {
        expand_rest(to, to + 3, from, n);
        expand_rest(to + 1, to + 4, from + step, n);
        expand_rest(to + 2, to + 5, from + 2 * step, n);
        to += n < 2 ? 3 : 6;
    }
    return to;
}

/* ---- The product -------------------------------------------------------------------------------
 */

#if TE_DSP_INSTRUCTIONS

/* The twin below says in C what is computed here.
 *
 *     sp: +0 tile, +4 rounds, +8 where the first round enters the loop, +12 rounding,
 *         +16 out, +20 pitch, +24 end of the weights; of three pixels see the header
 *
 * A round of the inner loop takes four groups of four words; the first round enters where as many
 * are left as their number asks for; lr counts them. */

/* Reads *job (tile weights out pitch pairs groups rounding) and leaves the frame described above.
 */
#define PROLOGUE(frame, blocks, third)                                                             \
    "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"                                                \
    "sub sp, sp, #" frame "\n"                                                                     \
    "ldmia r0, {r2, r3, r4, r5, r6, r7, r12}\n" blocks "mov r1, r3\n"                              \
    "lsl r8, r7, #4\n"                                                                             \
    "add r8, r8, #32\n"                                                                            \
    "mla lr, r8, r6, r3\n" /* bytes of a pair, times pairs */                                      \
    "add r3, r7, #3\n"                                                                             \
    "lsr r3, r3, #2\n"                                                                             \
    "rsb r7, r7, r3, lsl #2\n" /* groups to skip in the first round */                             \
    "adr.w r6, 2f\n"                                                                               \
    "adr.w r8, 6f\n"                                                                               \
    "sub r8, r8, r6\n"                                                                             \
    "mla r6, r7, r8, r6\n"                                                                         \
    "orr r6, r6, #1\n" /* Thumb */                                                                 \
    "adr.w r7, 3f\n"                                                                               \
    "cmp r12, #0\n"                                                                                \
    "it ne\n"                                                                                      \
    "adrne.w r7, 4f\n" third "orr r7, r7, #1\n"                                                    \
    "strd r2, r3, [sp, #0]\n"                                                                      \
    "strd r6, r7, [sp, #8]\n"                                                                      \
    "strd r4, r5, [sp, #16]\n"                                                                     \
    "str lr, [sp, #24]\n"

#define INNER_LOOP(group)                                                                          \
    "ldrd r0, lr, [sp, #0]\n"                                                                      \
    "ldr pc, [sp, #8]\n"                                                                           \
    "2:\n" group "6:\n" group group group "subs lr, lr, #1\n"                                      \
    "bne 2b\n"                                                                                     \
    "ldr pc, [sp, #12]\n"

/* clang-format off */

#define WORD_3(w) "ldmia r0!, {r4, r5, r6}\n" WORD_OF_3(w, "r4", "r5", "r6")
#define GROUP_3                                                                                    \
    "ldrd r2, r3, [r1], #8\n" WORD_3("r2") WORD_3("r3")                                            \
    "ldrd r2, r3, [r1], #8\n" WORD_3("r2") WORD_3("r3")

WHOLLY_ASSEMBLY static void product_3(const te_product *job UNUSED)
{
    __asm__(PROLOGUE(BLOCKS_FRAME, BLOCKS_PROLOGUE, "")
            FIRST_BLOCK INNER_LOOP(GROUP_3) OUTPUTS_3);
}

#ifndef __OPTIMIZE_SIZE__

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

WHOLLY_ASSEMBLY static void product_2(const te_product *job UNUSED)
{
    __asm__(PROLOGUE("28", "", "")
            FIRST_OF_2 INNER_LOOP(GROUP_2) OUTPUTS_2);
}

#endif

#define WORD_1(w, x) MAC("r11", w, x) LOW_BYTES(w) MAC("r10", w, x)
#define GROUP_1                                                                                    \
    "ldmia r1!, {r2, r3, r4, r5}\n"                                                                \
    "ldmia r0!, {r6, r7, r8, r9}\n"                                                                \
    WORD_1("r2", "r6") WORD_1("r3", "r7") WORD_1("r4", "r8") WORD_1("r5", "r9")
#define STORE_1(p0)     PLACE "strb " p0 ", [r5]\n"

WHOLLY_ASSEMBLY void te_product_1_dsp(const te_product *job UNUSED)
{
    __asm__(
        PROLOGUE("28", "", "cmp r12, #2\n" "it eq\n" "adreq.w r7, 7f\n")
        "1:\n"
        "ldrd r10, r11, [r1], #8\n"
        INNER_LOOP(GROUP_1)
        "3:\n"
        LOAD_OUT SECOND("r10", "r11")
        LOAD_ROUNDING MULTIPLY_UP("r11")
        NARROW("r11") STORE_1("r11")
        LOAD_ROUNDING SCALE_UP("r10")
        MULTIPLY_UP("r10")
        NARROW("r10")
        "5:\n"
        STORE_1("r10") NEXT_PAIR
        "4:\n"
        LOAD_OUT SECOND("r10", "r11")
        DOUBLE("r10", "r11")
        LOAD_ROUNDING MULTIPLY_AWAY("r11")
        NARROW("r11") STORE_1("r11")
        LOAD_ROUNDING MULTIPLY_AWAY("r10")
        NARROW("r10")
        "b 5b\n"
        "7:\n"
        SECOND("r10", "r11")
        "asr r11, r11, #8\n"
        "ldr r5, [sp, #16]\n"
        "add r1, r1, #24\n"
        "ldrd r2, r3, [r5]\n"
        "add r2, r2, r10\n"
        "add r3, r3, r11\n"
        "strd r2, r3, [r5], #8\n"
        "str r5, [sp, #16]\n"
        NEXT_PAIR);
}

/* clang-format on */

#else

/* Both channels of a pair in one pixel, whose words come every `step` words. */
static void pixel_outputs(const te_product *job, int32_t pair, const int32_t *weights,
                          const int32_t *x, int32_t step, int8_t *out)
{
    const int32_t words = 4 * job->groups;
    int32_t s = weights[0];
    int32_t a = weights[1];
    for (int32_t i = 0; i < words; i++) {
        const uint32_t w = (uint32_t)weights[2 + i];
        a = te_smlad(w, (uint32_t)x[i * step], a);
        s = te_smlad(te_sxtb16(w), (uint32_t)x[i * step], s);
    }
    if (job->rounding == TE_SUMS) {
        int32_t *sums = (int32_t *)(void *)out + 2 * pair;
        sums[0] += s;
        sums[1] += te_second_dsp(s, a);
    } else {
        te_narrow_pair_dsp(s, a, weights + 2 + words, job->rounding, out);
    }
}

/* All blocks of `pixels` pixels, of 1 or 2 just one. */
static void product(const te_product *job, int32_t pixels)
{
    const int32_t words = 4 * job->groups;
    const int32_t *end = pixels < 3 ? job->tile + words * pixels : job->tiles_end;
    const int32_t *weights = job->weights;
    for (int32_t pair = 0; pair < job->pairs; pair++) {
        const int32_t *read = pixels < 3 ? weights : te_copied_dsp(job, weights);
        int8_t *out = job->out;
        for (const int32_t *tile = job->tile; tile != end; tile += words * pixels) {
            for (int32_t p = 0; p < pixels; p++) {
                pixel_outputs(job, pair, read, tile + p, pixels, out);
                out += job->out_pitch;
            }
        }
        weights += words + 8;
    }
}

void te_product_1_dsp(const te_product *job)
{
    product(job, 1);
}

#ifndef __OPTIMIZE_SIZE__
static void product_2(const te_product *job)
{
    product(job, 2);
}
#endif

static void product_3(const te_product *job)
{
    product(job, 3);
}

#endif

void te_copy_dsp(int8_t *to, const int8_t *from, int32_t n)
{
#ifndef __OPTIMIZE_SIZE__
    for (; n >= 16; n -= 16) {
        const uint32_t words[4] = {te_load4(from), te_load4(from + 4), te_load4(from + 8),
                                   te_load4(from + 12)};
        te_store4(to, words[0]);
        te_store4(to + 4, words[1]);
        te_store4(to + 8, words[2]);
        te_store4(to + 12, words[3]);
        to += 16;
        from += 16;
    }
#endif
    for (; n >= 4; n -= 4) {
        te_store4(to, te_load4(from));
        to += 4;
        from += 4;
    }
    for (; n > 0; n--) {
        *to++ = *from++;
    }
}

void te_clamp_dsp(int8_t *values, int32_t n, int32_t low, int32_t high)
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

/* Whole blocks of three while there are any; never a single pixel at the end of them, since a block
 * of one reads all weights for itself. Compiled for size, there are no blocks of two. */
int32_t te_block_pixels(int32_t left, int32_t most)
{
    const int32_t threes = (left < most ? left : most) / 3 * 3;
#ifdef __OPTIMIZE_SIZE__
    return threes > 0 ? threes : 1;
#else
    if (threes == 0) {
        return left < most ? left : most;
    }
    if (left - threes != 1) {
        return threes;
    }
    return threes > 3 ? threes - 3 : 2;
#endif
}

void te_constants_dsp(const te_product *job, int32_t pixels)
{
    for (int32_t p = 0; p < pixels && job->constants != NULL; p++) {
        te_copy_dsp(job->out + p * job->out_pitch, job->constants, job->channels);
    }
}

void te_clamp_pixels_dsp(const te_product *job, int32_t pixels)
{
    for (int32_t p = 0; p < pixels && (job->out_min > INT8_MIN || job->out_max < INT8_MAX); p++) {
        te_clamp_dsp(job->out + p * job->out_pitch, job->channels, job->out_min, job->out_max);
    }
}

/* How many blocks it takes until a copy of the weights in faster memory pays. */
enum { LEAST_BLOCKS = 3 };

void te_blocks_dsp(te_product *job, int32_t blocks, int32_t tile_words)
{
    job->tiles_end = job->tile + blocks * tile_words;
    job->copy = blocks < LEAST_BLOCKS ? NULL : job->room;
}

void te_product_dsp(te_product *job, int32_t pixels)
{
    te_constants_dsp(job, pixels);
    if (job->pairs == 0) {
        return;
    }
    if (pixels >= 3) {
        te_blocks_dsp(job, pixels / 3, 12 * job->groups);
        product_3(job);
#ifndef __OPTIMIZE_SIZE__
    } else if (pixels == 2) {
        product_2(job);
#endif
    } else {
        te_product_1_dsp(job);
    }
    te_clamp_pixels_dsp(job, pixels);
}
