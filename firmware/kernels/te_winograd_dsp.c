/* SPDX-License-Identifier: MIT-0 */
#include "te_winograd_dsp.h"

#include "te_dsp.h"
#include "te_product_dsp.h"

#if TE_DSP_INSTRUCTIONS

/* Each step needs thirteen or fourteen registers, several of them in ascending order for LDM and
 * STM; compilers spill them. The twins below say in C what is computed here. */

#define PUSH "push {r4, r5, r6, r7, r8, r9, r10, r11, lr}\n"
#define POP  "pop {r4, r5, r6, r7, r8, r9, r10, r11, pc}\n"

/* clang-format off */

/* ---- Columns ------------------------------------------------------------------------------------
 *
 *     r0 to r3 rows, r4 to, r5 offset, r6 high bytes, lr pitch; sp: +0 moves, +16 end
 *     r7 and r8 the row after the first, r9 and r10 the one after that
 *
 * Halving sums of bytes times 256 are exact. */

#define HALVES(r, m, d, even)                                                                      \
    "ldr r11, [sp, #" m "]\n"                                                                      \
    "and r11, r11, r5\n"                                                                           \
    "ldr " d ", [" r ", r11]\n"                                                                    \
    "and " even ", r6, " d ", lsl #8\n"                                                            \
    "and " d ", " d ", r6\n"

WHOLLY_ASSEMBLY void te_winograd_columns(const te_winograd_source *from UNUSED,
                                         int32_t offset UNUSED, int32_t end UNUSED,
                                         uint32_t *to UNUSED)
{
    __asm__(
        PUSH
        "sub sp, sp, #20\n"
        "add r12, r0, #16\n"
        "ldmia r12, {r4, r5, r6, r7, lr}\n"
        "strd r4, r5, [sp, #0]\n"
        "strd r6, r7, [sp, #8]\n"
        "str r2, [sp, #16]\n"
        "mov r4, r3\n"
        "mov r5, r1\n"
        "mov.w r6, #0xFF00FF00\n"
        "ldrd r2, r3, [r0, #8]\n"
        "ldrd r0, r1, [r0, #0]\n"
        "1:\n"
        HALVES("r1", "4", "r8", "r7") HALVES("r2", "8", "r10", "r9")
        "shadd16 r11, r7, r9\n" "shadd16 r12, r8, r10\n" "strd r11, r12, [r4, #8]\n"
        "shsub16 r11, r9, r7\n" "shsub16 r12, r10, r8\n" "strd r11, r12, [r4, #16]\n"
        HALVES("r0", "0", "r12", "r11")
        "shsub16 r11, r11, r9\n" "shsub16 r12, r12, r10\n" "strd r11, r12, [r4, #0]\n"
        HALVES("r3", "12", "r12", "r11")
        "shsub16 r11, r7, r11\n" "shsub16 r12, r8, r12\n" "strd r11, r12, [r4, #24]\n"
        "ldr r11, [sp, #16]\n"
        "add r4, r4, #32\n"
        "add r5, r5, lr\n"
        "cmp r5, r11\n"
        "bne 1b\n"
        "add sp, sp, #20\n"
        POP);
}

/* ---- Inputs -------------------------------------------------------------------------------------
 *
 *     r0 columns, r1 to, lr bytes from place to place; sp: words of a column left
 *     r5 to r12 the columns, r2 to r4 the tiles of a place */

#define SUM(to, a, b)        "shadd16 " to ", " a ", " b "\n"
#define DIFFERENCE(to, a, b) "shsub16 " to ", " a ", " b "\n"
#define COLUMN(r, byte)      "ldr " r ", [r0, #" byte "]\n"
#define NEXT_PLACE           "add r1, r1, lr\n"

/* Two words of a column, `half` words behind each other, at a time. */
#define INPUTS_OF(half, bytes)                                                                     \
    PUSH                                                                                           \
    "sub sp, sp, #4\n"                                                                             \
    "mov lr, r2\n"                                                                                 \
    "movs r4, #8\n"                                                                                \
    "1:\n"                                                                                         \
    "str r4, [sp]\n"                                                                               \
    half                                                                                           \
    "sub r1, r1, lr, lsl #2\n"                                                                     \
    "add r1, r1, #" bytes "\n"                                                                     \
    "add r0, r0, #4\n"                                                                             \
    half                                                                                           \
    "sub r1, r1, #" bytes "\n"                                                                     \
    "add r0, r0, #4\n"                                                                             \
    "ldr r4, [sp]\n"                                                                               \
    "subs r4, r4, #2\n"                                                                            \
    "bne 1b\n"                                                                                     \
    "add sp, sp, #4\n"                                                                             \
    POP

#define STORE_3 "stmia r1, {r2, r3, r4}\n" NEXT_PLACE
#define HALF_3                                                                                     \
    COLUMN("r5", "0") COLUMN("r6", "32") COLUMN("r7", "64") COLUMN("r8", "96")                     \
    COLUMN("r9", "128") COLUMN("r10", "160") COLUMN("r11", "192") COLUMN("r12", "224")             \
    DIFFERENCE("r2", "r5", "r7") DIFFERENCE("r3", "r7", "r9") DIFFERENCE("r4", "r9", "r11")        \
    STORE_3                                                                                        \
    SUM("r2", "r6", "r7") SUM("r3", "r8", "r9") SUM("r4", "r10", "r11")                            \
    STORE_3                                                                                        \
    DIFFERENCE("r2", "r7", "r6") DIFFERENCE("r3", "r9", "r8") DIFFERENCE("r4", "r11", "r10")       \
    STORE_3                                                                                        \
    DIFFERENCE("r2", "r6", "r8") DIFFERENCE("r3", "r8", "r10") DIFFERENCE("r4", "r10", "r12")      \
    STORE_3

WHOLLY_ASSEMBLY static void inputs_3(const uint32_t *columns UNUSED, uint32_t *to UNUSED,
                                     int32_t place_bytes UNUSED)
{
    __asm__(INPUTS_OF(HALF_3, "12"));
}

#define STORE_2 "strd r2, r3, [r1]\n" NEXT_PLACE
#define HALF_2                                                                                     \
    COLUMN("r5", "0") COLUMN("r6", "32") COLUMN("r7", "64") COLUMN("r8", "96")                     \
    COLUMN("r9", "128") COLUMN("r10", "160")                                                       \
    DIFFERENCE("r2", "r5", "r7") DIFFERENCE("r3", "r7", "r9") STORE_2                              \
    SUM("r2", "r6", "r7") SUM("r3", "r8", "r9") STORE_2                                            \
    DIFFERENCE("r2", "r7", "r6") DIFFERENCE("r3", "r9", "r8") STORE_2                              \
    DIFFERENCE("r2", "r6", "r8") DIFFERENCE("r3", "r8", "r10") STORE_2

WHOLLY_ASSEMBLY static void inputs_2(const uint32_t *columns UNUSED, uint32_t *to UNUSED,
                                     int32_t place_bytes UNUSED)
{
    __asm__(INPUTS_OF(HALF_2, "8"));
}

/* ---- Products -----------------------------------------------------------------------------------
 *
 *     r0 inputs, r1 weights
 *     sp: +0 sums, +4 end of the place's weights, +8 their bytes, +12 end of the sums,
 *         +16 where the first round enters the loop
 *
 * The first four input channels of a place start the sums. */

#define PLACES_OF(four, sums)                                                                      \
    PUSH                                                                                           \
    "sub sp, sp, #20\n"                                                                            \
    "ldmia r0, {r2, r3, r4, r5, r6, r7, r8}\n"                                                     \
    "adr.w r9, 2f\n"                                                                               \
    "adr.w r10, 3f\n"                                                                              \
    "sub r10, r10, r9\n"                                                                           \
    "mla r9, r8, r10, r9\n"                                                                        \
    "orr r9, r9, #1\n" /* Thumb */                                                                 \
    "strd r4, r5, [sp, #0]\n"                                                                      \
    "strd r6, r7, [sp, #8]\n"                                                                      \
    "str r9, [sp, #16]\n"                                                                          \
    "mov r0, r2\n"                                                                                 \
    "mov r1, r3\n"                                                                                 \
    "1:\n" four(START)                                                                             \
    "ldr pc, [sp, #16]\n"                                                                          \
    "2:\n" four(MAC) "3:\n" four(MAC) four(MAC) four(MAC)                                          \
    "ldr r2, [sp, #4]\n"                                                                           \
    "cmp r1, r2\n"                                                                                 \
    "bne 2b\n"                                                                                     \
    "ldmia sp, {r2, r3, r4, r5}\n"                                                                 \
    "stmia r2, {" sums "}\n"                                                                       \
    "add r2, r2, #24\n" /* TE_WINOGRAD_SUMS words */                                               \
    "add r3, r3, r4\n"                                                                             \
    "strd r2, r3, [sp, #0]\n"                                                                      \
    "cmp r2, r5\n"                                                                                 \
    "bne 1b\n"                                                                                     \
    "add sp, sp, #20\n"                                                                            \
    POP

#define MAC(acc, w, x)   "smlad " acc ", " w ", " x ", " acc "\n"
#define START(acc, w, x) "smuad " acc ", " w ", " x "\n"

#define TWO_3(op)                                                                                  \
    "ldrd r2, r3, [r1], #8\n"                                                                      \
    "ldmia r0!, {r4, r5, r6}\n"                                                                    \
    op("r7", "r2", "r4") op("r8", "r2", "r5") op("r9", "r2", "r6")                                 \
    op("r10", "r3", "r4") op("r11", "r3", "r5") op("r12", "r3", "r6")
#define FOUR_3(op) TWO_3(op) TWO_3(MAC)

WHOLLY_ASSEMBLY static void products_3(const te_winograd_products_job *job UNUSED)
{
    __asm__(PLACES_OF(FOUR_3, "r7, r8, r9, r10, r11, r12"));
}

#define FOUR_2(op)                                                                                 \
    "ldmia r1!, {r2, r3, r4, r5}\n"                                                                \
    "ldmia r0!, {r6, r7, r8, lr}\n"                                                                \
    op("r9", "r2", "r6") op("r10", "r2", "r7") op("r11", "r3", "r6") op("r12", "r3", "r7")         \
    MAC("r9", "r4", "r8") MAC("r10", "r4", "lr") MAC("r11", "r5", "r8") MAC("r12", "r5", "lr")

WHOLLY_ASSEMBLY static void products_2(const te_winograd_products_job *job UNUSED)
{
    __asm__(PLACES_OF(FOUR_2, "r9, r10, r11, r12"));
}

/* ---- Outputs ------------------------------------------------------------------------------------
 *
 *     r0 sums, r1 bias, r2 multiplier, r3 constant, r12 shift, r10 upper row, r11 lower row,
 *     lr bytes to the right pixel; sp: pixels left
 *     r8 upper left, r4 upper right, r9 lower left, r5 lower right
 *
 * What lies outside, a lower row or a right column, is written first to where the other one is. */

#define SUM_OF(r, byte) "ldr " r ", [r0, #" byte "]\n" /* 24 bytes from place to place */
#define ADD(to, a)      "add " to ", " to ", " a "\n"
#define SUB(to, a)      "sub " to ", " to ", " a "\n"

#define OUTPUTS_OF(narrow)                                                                         \
    PUSH                                                                                           \
    "sub sp, sp, #4\n"                                                                             \
    "ldmia r0, {r10, r11, r12, lr}\n"                                                              \
    "str lr, [sp]\n"                                                                               \
    "mov lr, r12\n"                                                                                \
    "mov r0, r1\n"                                                                                 \
    "ldr r12, [r2, #12]\n"                                                                         \
    "ldr r1, [r2, #0]\n"                                                                           \
    "ldrd r2, r3, [r2, #4]\n"                                                                      \
    "add r10, r10, r12, lsr #8\n"                                                                  \
    "add r11, r11, r12, lsr #8\n"                                                                  \
    "1:\n"                                                                                         \
    SUM_OF("r5", "120") SUM_OF("r4", "24") SUM_OF("r6", "216") SUM_OF("r7", "312")                 \
    ADD("r5", "r1") ADD("r4", "r5") ADD("r4", "r6") SUB("r5", "r6") SUB("r5", "r7")                \
    SUM_OF("r6", "48") SUM_OF("r7", "144") SUM_OF("r8", "240") SUM_OF("r9", "336")                 \
    ADD("r6", "r7") ADD("r6", "r8") SUB("r7", "r8") SUB("r7", "r9")                                \
    "add r8, r4, r6\n" SUB("r4", "r6") "add r9, r5, r7\n" SUB("r5", "r7")                          \
    SUM_OF("r6", "0") SUM_OF("r7", "96") ADD("r8", "r6") ADD("r8", "r7") ADD("r9", "r7")           \
    SUM_OF("r6", "192") SUM_OF("r7", "288") ADD("r8", "r6") SUB("r9", "r6") SUB("r9", "r7")        \
    SUM_OF("r6", "72") SUM_OF("r7", "168") SUB("r4", "r6") SUB("r4", "r7") SUB("r5", "r7")         \
    SUM_OF("r6", "264") SUM_OF("r7", "360") SUB("r4", "r6") ADD("r5", "r6") ADD("r5", "r7")        \
    narrow("r4") narrow("r5") narrow("r8") narrow("r9")                                            \
    "ldr r6, [sp]\n"                                                                               \
    "cmp r6, #1\n"                                                                                 \
    "it eq\n"                                                                                      \
    "moveq lr, #0\n"                                                                               \
    "strb r5, [r11, lr]\n"                                                                         \
    "strb r9, [r11]\n"                                                                             \
    "strb r4, [r10, lr]\n"                                                                         \
    "strb r8, [r10]\n"                                                                             \
    "add r10, r10, lr, lsl #1\n"                                                                   \
    "add r11, r11, lr, lsl #1\n"                                                                   \
    "add r0, r0, #4\n"                                                                             \
    "subs r6, r6, #2\n"                                                                            \
    "str r6, [sp]\n"                                                                               \
    "bgt 1b\n"                                                                                     \
    "add sp, sp, #4\n"                                                                             \
    POP

#define SATURATE(acc) "asr " acc ", " acc ", r12\nssat " acc ", #8, " acc "\n"
#define UP(acc)       "smmla " acc ", " acc ", r2, r3\n" SATURATE(acc)
#define AWAY(acc)                                                                                  \
    "add r6, r3, " acc ", asr #31\n"                                                               \
    "asr " acc ", " acc ", #7\n"                                                                   \
    "smmlar " acc ", " acc ", r2, r6\n" SATURATE(acc)

WHOLLY_ASSEMBLY static void outputs_up(const te_winograd_target *to UNUSED,
                                       const int32_t *sums UNUSED, const int32_t *rounding UNUSED)
{
    __asm__(OUTPUTS_OF(UP));
}

WHOLLY_ASSEMBLY static void outputs_away(const te_winograd_target *to UNUSED,
                                         const int32_t *sums UNUSED, const int32_t *rounding UNUSED)
{
    __asm__(OUTPUTS_OF(AWAY));
}

/* clang-format on */

void te_winograd_inputs(const uint32_t *columns, uint32_t *to, int32_t place_bytes, int32_t tiles)
{
    if (tiles == 3) {
        inputs_3(columns, to, place_bytes);
    } else {
        inputs_2(columns, to, place_bytes);
    }
}

void te_winograd_products(const te_winograd_products_job *job, int32_t tiles)
{
    if (tiles == 3) {
        products_3(job);
    } else {
        products_2(job);
    }
}

void te_winograd_outputs(const te_winograd_target *to, const int32_t *sums, const int32_t *rounding)
{
    if (to->rounding == TE_HALF_UP) {
        outputs_up(to, sums, rounding);
    } else {
        outputs_away(to, sums, rounding);
    }
}

#else

void te_winograd_columns(const te_winograd_source *from, int32_t offset, int32_t end, uint32_t *to)
{
    const uint32_t high_bytes = UINT32_C(0xFF00FF00);
    for (; offset != end; offset += from->pitch) {
        uint32_t d[TE_WINOGRAD_ROWS][2];
        for (int32_t r = 0; r < TE_WINOGRAD_ROWS; r++) {
            const uint32_t moved = (uint32_t)offset & from->moves[r];
            const uint32_t word = te_load4(from->rows[r] + (int32_t)moved);
            d[r][0] = word << 8 & high_bytes;
            d[r][1] = word & high_bytes;
        }
        for (int32_t i = 0; i < 2; i++) {
            to[0 + i] = te_shsub16(d[0][i], d[2][i]);
            to[2 + i] = te_shadd16(d[1][i], d[2][i]);
            to[4 + i] = te_shsub16(d[2][i], d[1][i]);
            to[6 + i] = te_shsub16(d[1][i], d[3][i]);
        }
        to += TE_WINOGRAD_COLUMN;
    }
}

void te_winograd_inputs(const uint32_t *columns, uint32_t *to, int32_t place_bytes, int32_t tiles)
{
    const int32_t step = place_bytes / 4;
    for (int32_t i = 0; i < TE_WINOGRAD_COLUMN; i++) {
        const uint32_t *c = columns + i;
        uint32_t *place = to + (i >> 1) * 4 * step + (i & 1) * tiles;
        for (int32_t t = 0; t < tiles; t++) {
            place[0] = te_shsub16(c[0], c[16]);
            place[step] = te_shadd16(c[8], c[16]);
            place[2 * step] = te_shsub16(c[16], c[8]);
            place[3 * step] = te_shsub16(c[8], c[24]);
            c += 2 * TE_WINOGRAD_COLUMN;
            place++;
        }
    }
}

void te_winograd_products(const te_winograd_products_job *job, int32_t tiles)
{
    const uint32_t *x = job->inputs;
    const int32_t *w = job->weights;
    for (int32_t *sums = job->sums; sums != job->sums_end; sums += TE_WINOGRAD_SUMS) {
        te_fill(sums, 0, TE_WINOGRAD_SUMS, 1);
        for (int32_t bytes = job->place_bytes; bytes > 0; bytes -= 8) {
            for (int32_t t = 0; t < tiles; t++) {
                sums[t] = te_smlad((uint32_t)w[0], x[t], sums[t]);
                sums[tiles + t] = te_smlad((uint32_t)w[1], x[t], sums[tiles + t]);
            }
            w += 2;
            x += tiles;
        }
    }
}

/* One output for 256 times an accumulator. */
static int8_t narrow(uint32_t acc, const int32_t *row, int32_t rounding)
{
    const int32_t a = (int32_t)acc;
    const int32_t scaled = rounding == TE_HALF_UP ? te_smmla(a, row[1], row[2])
                                                  : te_smmlar(a >> 7, row[1], row[2] + (a >> 31));
    return (int8_t)te_ssat8(scaled >> (row[3] & 0xFF));
}

void te_winograd_outputs(const te_winograd_target *to, const int32_t *sums, const int32_t *rounding)
{
    int32_t offset = rounding[3] >> 8;
    for (int32_t left = to->pixels; left > 0; left -= 2) {
        const int32_t right = left > 1 ? to->pitch : 0;
        uint32_t z[2][4];
        for (int32_t i = 0; i < 4; i++) {
            const uint32_t m0 = (uint32_t)sums[i * TE_WINOGRAD_SUMS];
            const uint32_t m1 = (uint32_t)sums[(i + 4) * TE_WINOGRAD_SUMS];
            const uint32_t m2 = (uint32_t)sums[(i + 8) * TE_WINOGRAD_SUMS];
            const uint32_t m3 = (uint32_t)sums[(i + 12) * TE_WINOGRAD_SUMS];
            z[0][i] = m0 + m1 + m2;
            z[1][i] = m1 - m2 - m3;
        }
        for (int32_t r = 1; r >= 0; r--) {
            int8_t *out = to->rows[r] + offset;
            const uint32_t bias = (uint32_t)rounding[0];
            out[right] = narrow(bias + z[r][1] - z[r][2] - z[r][3], rounding, to->rounding);
            out[0] = narrow(bias + z[r][0] + z[r][1] + z[r][2], rounding, to->rounding);
        }
        offset += 2 * to->pitch;
        sums++;
    }
}

#endif
