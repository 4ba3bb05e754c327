/* SPDX-License-Identifier: MIT-0 */
/* The DSP extension of Cortex-M4, M7, M33 and M55, one function per instruction.
 *
 * On these cores each function is the instruction itself; everywhere else it is its twin in plain
 * C, so that a host computes with the very code that the microcontroller runs. Code for a core
 * without the extension stops here: choose another --cpu. Halves of a word are two int16 lanes,
 * the low one first. */
#ifndef TE_DSP_H
#define TE_DSP_H

#include <stdint.h>

#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#if !defined(__ARM_FEATURE_DSP) || !__ARM_FEATURE_DSP
#error "these kernels need the DSP extension (Cortex-M4, M7, M33, M55): compile for such a core"
#endif
#define TE_DSP_INSTRUCTIONS 1
/* Of functions that are one __asm__, which finds its parameters in registers. */
#define WHOLLY_ASSEMBLY __attribute__((naked, noinline, aligned(4)))
#define UNUSED          __attribute__((unused))
#else
#define TE_DSP_INSTRUCTIONS 0
#endif

/* ---- Memory: words at any address --------------------------------------------------------------
 */

static inline uint32_t te_load4(const int8_t *from)
{
    uint32_t word;
    __builtin_memcpy(&word, from, 4);
    return word;
}

static inline void te_store4(int8_t *to, uint32_t word)
{
    __builtin_memcpy(to, &word, 4);
}

/* ---- Lanes of the twins ------------------------------------------------------------------------
 */

static inline int32_t te_low(uint32_t a)
{
    return (int16_t)(uint16_t)a;
}

static inline int32_t te_high(uint32_t a)
{
    return (int16_t)(uint16_t)(a >> 16);
}

static inline uint32_t te_lanes(int32_t low, int32_t high)
{
    return ((uint32_t)high << 16) | (uint16_t)low;
}

/* ---- Unpacking ----------------------------------------------------------------------------------
 */

/* Bytes 0 and 2 as lanes. */
static inline uint32_t te_sxtb16(uint32_t a)
{
#if TE_DSP_INSTRUCTIONS
    uint32_t result;
    __asm__("sxtb16 %0, %1" : "=r"(result) : "r"(a));
    return result;
#else
    return te_lanes((int8_t)(uint8_t)a, (int8_t)(uint8_t)(a >> 16));
#endif
}

/* Bytes 1 and 3 as lanes. */
static inline uint32_t te_sxtb16_ror8(uint32_t a)
{
#if TE_DSP_INSTRUCTIONS
    uint32_t result;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(a));
    return result;
#else
    return te_lanes((int8_t)(uint8_t)(a >> 8), (int8_t)(uint8_t)(a >> 24));
#endif
}

/* The low lanes of a and b. */
static inline uint32_t te_pkhbt(uint32_t a, uint32_t b)
{
#if TE_DSP_INSTRUCTIONS
    uint32_t result;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(a), "r"(b));
    return result;
#else
    return (a & UINT32_C(0xFFFF)) | (b << 16);
#endif
}

/* The high lanes of a and b. */
static inline uint32_t te_pkhtb(uint32_t a, uint32_t b)
{
#if TE_DSP_INSTRUCTIONS
    uint32_t result;
    __asm__("pkhtb %0, %2, %1, asr #16" : "=r"(result) : "r"(a), "r"(b));
    return result;
#else
    return (a >> 16) | (b & UINT32_C(0xFFFF0000));
#endif
}

/* Half the sum, lane by lane. */
static inline uint32_t te_shadd16(uint32_t a, uint32_t b)
{
#if TE_DSP_INSTRUCTIONS
    uint32_t result;
    __asm__("shadd16 %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
    return result;
#else
    return te_lanes((te_low(a) + te_low(b)) >> 1, (te_high(a) + te_high(b)) >> 1);
#endif
}

/* Half the difference, lane by lane. */
static inline uint32_t te_shsub16(uint32_t a, uint32_t b)
{
#if TE_DSP_INSTRUCTIONS
    uint32_t result;
    __asm__("shsub16 %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
    return result;
#else
    return te_lanes((te_low(a) - te_low(b)) >> 1, (te_high(a) - te_high(b)) >> 1);
#endif
}

/* Bytes 0 and 2 added to the lanes of a. */
static inline uint32_t te_sxtab16(uint32_t a, uint32_t b)
{
#if TE_DSP_INSTRUCTIONS
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2" : "=r"(result) : "r"(a), "r"(b));
    return result;
#else
    return te_lanes(te_low(a) + (int8_t)(uint8_t)b, te_high(a) + (int8_t)(uint8_t)(b >> 16));
#endif
}

/* Bytes 1 and 3 added to the lanes of a. */
static inline uint32_t te_sxtab16_ror8(uint32_t a, uint32_t b)
{
#if TE_DSP_INSTRUCTIONS
    uint32_t result;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(a), "r"(b));
    return result;
#else
    return te_lanes(te_low(a) + (int8_t)(uint8_t)(b >> 8), te_high(a) + (int8_t)(uint8_t)(b >> 24));
#endif
}

/* ---- Products; sums wrap around 32 bits --------------------------------------------------------
 */

/* Sum + both products of lanes. */
static inline int32_t te_smlad(uint32_t a, uint32_t b, int32_t sum)
{
#if TE_DSP_INSTRUCTIONS
    int32_t result;
    __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
#else
    const int32_t low = te_low(a) * te_low(b);
    const int32_t high = te_high(a) * te_high(b);
    return (int32_t)((uint32_t)sum + (uint32_t)low + (uint32_t)high);
#endif
}

/* sum + round(a * b / 2^32), halves up. */
static inline int32_t te_smmlar(int32_t a, int32_t b, int32_t sum)
{
#if TE_DSP_INSTRUCTIONS
    int32_t result;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
#else
    const int64_t rounded = ((int64_t)a * b + (INT64_C(1) << 31)) >> 32;
    return (int32_t)((uint32_t)sum + (uint32_t)(rounded));
#endif
}

/* sum + floor(a * b / 2^32). */
static inline int32_t te_smmla(int32_t a, int32_t b, int32_t sum)
{
#if TE_DSP_INSTRUCTIONS
    int32_t result;
    __asm__("smmla %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
#else
    return (int32_t)((uint32_t)sum + (uint32_t)(((int64_t)a * b) >> 32));
#endif
}

/* ---- Clamping -----------------------------------------------------------------------------------
 */

/* Clamped to [-128, 127]. */
static inline int32_t te_ssat8(int32_t a)
{
#if TE_DSP_INSTRUCTIONS
    int32_t result;
    __asm__("ssat %0, #8, %1" : "=r"(result) : "r"(a));
    return result;
#else
    return a < -128 ? -128 : (a > 127 ? 127 : a);
#endif
}

/* The greater of a and b, byte by byte, as signed numbers. */
static inline uint32_t te_greater_s8x4(uint32_t a, uint32_t b)
{
#if TE_DSP_INSTRUCTIONS
    uint32_t result;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b) : "cc");
    return result;
#else
    uint32_t result = 0;
    for (int32_t shift = 0; shift < 32; shift += 8) {
        const int8_t x = (int8_t)(uint8_t)(a >> shift);
        const int8_t y = (int8_t)(uint8_t)(b >> shift);
        result |= (uint32_t)(uint8_t)(x > y ? x : y) << shift;
    }
    return result;
#endif
}

/* The lesser of a and b, byte by byte, as signed numbers. */
static inline uint32_t te_lesser_s8x4(uint32_t a, uint32_t b)
{
#if TE_DSP_INSTRUCTIONS
    uint32_t result;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(result) : "r"(a), "r"(b) : "cc");
    return result;
#else
    uint32_t result = 0;
    for (int32_t shift = 0; shift < 32; shift += 8) {
        const int8_t x = (int8_t)(uint8_t)(a >> shift);
        const int8_t y = (int8_t)(uint8_t)(b >> shift);
        result |= (uint32_t)(uint8_t)(x < y ? x : y) << shift;
    }
    return result;
#endif
}

#endif
