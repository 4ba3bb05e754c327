/* SPDX-License-Identifier: MIT-0 */
/* The assembly that products of packed weights have in common: te_product_dsp.c says in C what is
 * computed, te_product_dsp.h what the words of a pair of channels are.
 *
 * Compilers spill these loops: a block of three pixels needs all fourteen registers, and several
 * values must lie in ascending registers to be loaded by one instruction. r0 is the tile, r1 the
 * weights; of three pixels, r7 to r9 collect S and r10 to r12 A. */
#ifndef TE_PRODUCT_ASSEMBLY_DSP_H
#define TE_PRODUCT_ASSEMBLY_DSP_H

#include "te_dsp.h"

/* The accumulators `s` (bytes S) and `a` (lanes A) of one pixel: from A to the second channel. */
#define SECOND(s, a)       "sub " a ", " a ", " s "\n"
#define SCALE_UP(s)        "lsl " s ", " s ", #8\n"
#define DOUBLE(s, a)       "asr " a ", " a ", #7\nlsl " s ", " s ", #1\n"
#define LOAD_ROUNDING      "ldmia r1!, {r2, r3, r4}\n" /* multiplier constant shift|place */
#define LOAD_OUT           "ldrd r0, r6, [sp, #16]\n"  /* out pitch */
#define PLACE              "add r5, r0, r4, lsr #8\n"
#define MULTIPLY_UP(acc)   "smmla " acc ", " acc ", r2, r3\n"
#define MULTIPLY_AWAY(acc) "add r5, r3, " acc ", asr #31\nsmmlar " acc ", " acc ", r2, r5\n"
#define NARROW(acc)        "asr " acc ", " acc ", r4\nssat " acc ", #8, " acc "\n"
#define MAC(acc, w, x)     "smlad " acc ", " w ", " x ", " acc "\n"
#define LOW_BYTES(w)       "sxtb16 " w ", " w "\n"

/* sp: +24 end of the weights; of one block */
#define NEXT_PAIR                                                                                  \
    "ldr r0, [sp, #24]\n"                                                                          \
    "cmp r1, r0\n"                                                                                 \
    "bne 1b\n"                                                                                     \
    "add sp, sp, #28\n"                                                                            \
    "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n"

/* clang-format off */

/* One word of weights with a word of each of three pixels. */
#define WORD_OF_3(w, x0, x1, x2)                                                                   \
    MAC("r10", w, x0) MAC("r11", w, x1) MAC("r12", w, x2)                                          \
    LOW_BYTES(w)                                                                                   \
    MAC("r7", w, x0) MAC("r8", w, x1) MAC("r9", w, x2)

/* ---- One block of two pixels -------------------------------------------------------------------
 *
 *     sp: +12 rounding, +16 out, +20 pitch, +24 end of the weights */

#define FIRST_OF_2                                                                                 \
    "1:\n"                                                                                         \
    "ldrd r8, r10, [r1], #8\n"                                                                     \
    "mov r9, r8\n" "mov r11, r10\n"

#define STORE_2(p0, p1) PLACE "strb " p0 ", [r5]\nstrb " p1 ", [r5, r6]\n"

#define OUTPUTS_2                                                                                  \
    "3:\n"                                                                                         \
    LOAD_OUT SECOND("r8", "r10") SECOND("r9", "r11")                                               \
    LOAD_ROUNDING MULTIPLY_UP("r10") MULTIPLY_UP("r11")                                            \
    NARROW("r10") NARROW("r11") STORE_2("r10", "r11")                                              \
    LOAD_ROUNDING SCALE_UP("r8") SCALE_UP("r9")                                                    \
    MULTIPLY_UP("r8") MULTIPLY_UP("r9")                                                            \
    NARROW("r8") NARROW("r9")                                                                      \
    "5:\n"                                                                                         \
    STORE_2("r8", "r9") NEXT_PAIR                                                                  \
    "4:\n"                                                                                         \
    LOAD_OUT SECOND("r8", "r10") SECOND("r9", "r11")                                               \
    DOUBLE("r8", "r10") DOUBLE("r9", "r11")                                                        \
    LOAD_ROUNDING MULTIPLY_AWAY("r10") MULTIPLY_AWAY("r11")                                        \
    NARROW("r10") NARROW("r11") STORE_2("r10", "r11")                                              \
    LOAD_ROUNDING MULTIPLY_AWAY("r8") MULTIPLY_AWAY("r9")                                          \
    NARROW("r8") NARROW("r9")                                                                      \
    "b 5b\n"

/* ---- Several blocks of three pixels ------------------------------------------------------------
 *
 * Every pair of channels takes all blocks before the next pair has its turn. Flash is slow to read,
 * so that what a pair reads is copied first if the job has room for it.
 *
 *     sp: +0 tile of the next block, +4 up to the loop, +8 up to the loop, +12 rounding,
 *         +16 out, +20 pitch, +24 end of the weights, +28 end of the tiles, +32 first tile,
 *         +36 first out, +40 what the blocks read, +44 the next pair, +48 copy or null,
 *         +52 fours of words of a pair */

#define BLOCKS_FRAME "56"

/* With *job in r0, and after its first words have been read to r2 (tile), r4 (out), r7 (groups). */
#define BLOCKS_PROLOGUE                                                                            \
    "ldrd r9, r10, [r0, #28]\n" /* end of the tiles, copy */                                       \
    "add r11, r7, #2\n"                                                                            \
    "str r9, [sp, #28]\n"                                                                          \
    "strd r2, r4, [sp, #32]\n"                                                                     \
    "strd r10, r11, [sp, #48]\n"

/* From a pair of channels at r1 to its first block; then r7 to r12 are the biases. */
#define FIRST_BLOCK                                                                                \
    "1:\n"                                                                                         \
    "ldrd r0, r2, [sp, #48]\n"                                                                     \
    "add r3, r1, r2, lsl #4\n"                                                                     \
    "str r3, [sp, #44]\n"                                                                          \
    "cbz r0, 12f\n"                                                                                \
    "str r0, [sp, #40]\n"                                                                          \
    "lsrs r3, r2, #1\n"                                                                            \
    "bcc 11f\n"                                                                                    \
    "ldmia r1!, {r4, r5, r6, r7}\n"                                                                \
    "stmia r0!, {r4, r5, r6, r7}\n"                                                                \
    "11:\n"                                                                                        \
    "ldmia r1!, {r4, r5, r6, r7, r8, r9, r10, r11}\n"                                              \
    "stmia r0!, {r4, r5, r6, r7, r8, r9, r10, r11}\n"                                              \
    "subs r3, r3, #1\n"                                                                            \
    "bne 11b\n"                                                                                    \
    "ldr r1, [sp, #40]\n"                                                                          \
    "b 13f\n"                                                                                      \
    "12:\n"                                                                                        \
    "str r1, [sp, #40]\n"                                                                          \
    "13:\n"                                                                                        \
    "ldrd r2, r3, [sp, #32]\n"                                                                     \
    "str r2, [sp, #0]\n"                                                                           \
    "str r3, [sp, #16]\n"                                                                          \
    "14:\n"                                                                                        \
    "ldrd r7, r10, [r1], #8\n"                                                                     \
    "mov r8, r7\n" "mov r9, r7\n" "mov r11, r10\n" "mov r12, r10\n"

#define STORE_3(p0, p1, p2)                                                                        \
    PLACE "strb " p0 ", [r5]\nstrb " p1 ", [r5, r6]\nstrb " p2 ", [r5, r6, lsl #1]\n"

/* The outputs of a block whose tile ends at r0, and the way to the next one: labels 3 and 4 for the
 * two kinds of rounding. */
#define OUTPUTS_3                                                                                  \
    "3:\n"                                                                                         \
    "str r0, [sp, #0]\n"                                                                           \
    LOAD_OUT SECOND("r7", "r10") SECOND("r8", "r11") SECOND("r9", "r12")                           \
    LOAD_ROUNDING MULTIPLY_UP("r10") MULTIPLY_UP("r11") MULTIPLY_UP("r12")                         \
    NARROW("r10") NARROW("r11") NARROW("r12") STORE_3("r10", "r11", "r12")                         \
    LOAD_ROUNDING SCALE_UP("r7") SCALE_UP("r8") SCALE_UP("r9")                                     \
    MULTIPLY_UP("r7") MULTIPLY_UP("r8") MULTIPLY_UP("r9")                                          \
    NARROW("r7") NARROW("r8") NARROW("r9")                                                         \
    "5:\n"                                                                                         \
    STORE_3("r7", "r8", "r9")                                                                      \
    "ldr r2, [sp, #0]\n"                                                                           \
    "ldr r3, [sp, #28]\n"                                                                          \
    "cmp r2, r3\n"                                                                                 \
    "beq 15f\n"                                                                                    \
    "ldr r1, [sp, #40]\n"                                                                          \
    "add r0, r0, r6\n"                                                                             \
    "add r0, r0, r6, lsl #1\n"                                                                     \
    "str r0, [sp, #16]\n"                                                                          \
    "b 14b\n"                                                                                      \
    "15:\n"                                                                                        \
    "ldr r1, [sp, #44]\n"                                                                          \
    "ldr r0, [sp, #24]\n"                                                                          \
    "cmp r1, r0\n"                                                                                 \
    "bne 1b\n"                                                                                     \
    "add sp, sp, #" BLOCKS_FRAME "\n"                                                              \
    "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n"                                                 \
    "4:\n"                                                                                         \
    "str r0, [sp, #0]\n"                                                                           \
    LOAD_OUT SECOND("r7", "r10") SECOND("r8", "r11") SECOND("r9", "r12")                           \
    DOUBLE("r7", "r10") DOUBLE("r8", "r11") DOUBLE("r9", "r12")                                    \
    LOAD_ROUNDING MULTIPLY_AWAY("r10") MULTIPLY_AWAY("r11") MULTIPLY_AWAY("r12")                   \
    NARROW("r10") NARROW("r11") NARROW("r12") STORE_3("r10", "r11", "r12")                         \
    LOAD_ROUNDING MULTIPLY_AWAY("r7") MULTIPLY_AWAY("r8") MULTIPLY_AWAY("r9")                      \
    NARROW("r7") NARROW("r8") NARROW("r9")                                                         \
    "b 5b\n"

/* clang-format on */

#endif
