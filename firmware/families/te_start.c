/* SPDX-License-Identifier: MIT-0 */
/* From reset to main, and what happens when the core faults. */
#include <stddef.h>
#include <stdint.h>

#include "te_family.h"

int main(void);
void te_reset(void);
void te_fault(const uint32_t *frame, uint32_t exception);
void te_fault_entry(void);

/* From the linker script. */
extern uint32_t te_stack_bottom[];
extern uint32_t te_stack_top[];
extern uint32_t te_data_load[];
extern uint32_t te_data_start[];
extern uint32_t te_data_end[];
extern uint32_t te_bss_start[];
extern uint32_t te_bss_end[];
extern const uint32_t te_vector_table[];

#define VTOR     0xE000ED08u
#define SHCSR    0xE000ED24u
#define CFSR     0xE000ED28u
#define HFSR     0xE000ED2Cu
#define MMFAR    0xE000ED34u
#define BFAR     0xE000ED38u
#define MPU_TYPE 0xE000ED90u
#define MPU_CTRL 0xE000ED94u
#define MPU_RNR  0xE000ED98u
#define MPU_RBAR 0xE000ED9Cu
#define MPU_RASR 0xE000EDA0u

#define PAINT 0x5AC3A53Cu

/* Polls of the console that take longer than a byte does. */
#define QUIET_POLLS 10000u

/* The lowest 32 bytes of the stack must never be touched. Where the core has a stack limit register
 * that says so, else a region of the memory protection unit: the first 32 of 256 bytes, without any
 * access (the smallest region of an Armv6-M has 256). */
static void guard_stack(void)
{
#if defined(__ARM_ARCH_8M_MAIN__) || defined(__ARM_ARCH_8_1M_MAIN__)
    __asm volatile("msr msplim, %0" ::"r"((uint32_t)(uintptr_t)te_stack_bottom + 32u));
#else
    if ((TE_REG(MPU_TYPE) & 0xFF00u) != 0u) {
        TE_REG(MPU_RNR) = 0;
        TE_REG(MPU_RBAR) = (uint32_t)(uintptr_t)te_stack_bottom;
        TE_REG(MPU_RASR) = 1u << 28 | 0xFEu << 8 | 7u << 1 | 1u;
        TE_REG(MPU_CTRL) = 1u << 2 | 1u; /* everything else as without it */
        __asm volatile("dsb\n\tisb" ::: "memory");
    }
#endif
}

void te_reset(void)
{
    const uint32_t *from = te_data_load;
    uint32_t *stack_pointer;

    TE_REG(VTOR) = (uint32_t)(uintptr_t)te_vector_table;
    for (uint32_t *to = te_data_start; to < te_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = te_bss_start; to < te_bss_end; to++) {
        *to = 0;
    }
    __asm volatile("mov %0, sp" : "=r"(stack_pointer));
    for (uint32_t *to = te_stack_bottom; to < stack_pointer - 16; to++) {
        *to = PAINT;
    }
    guard_stack();
#if !defined(__ARM_ARCH_6M__)
    TE_REG(SHCSR) |= 7u << 16; /* memory, bus and usage faults have handlers of their own */
#endif
    (void)main();
    for (;;) {
    }
}

uint32_t te_board_stack_high_water(void)
{
    const uint32_t *lowest = te_stack_bottom + 8; /* above the guard */
    while (lowest < te_stack_top && *lowest == PAINT) {
        lowest++;
    }
    return (uint32_t)((uintptr_t)te_stack_top - (uintptr_t)lowest);
}

static void write_text(const char *text)
{
    while (*text != '\0') {
        te_board_write((uint8_t)*text++);
    }
}

static void write_value(const char *name, uint32_t value)
{
    write_text(name);
    for (int shift = 28; shift >= 0; shift -= 4) {
        te_board_write((uint8_t) "0123456789abcdef"[value >> shift & 15u]);
    }
}

static void report(const uint32_t *frame, uint32_t exception)
{
    static const char *const names[8] = {
        " r0=", " r1=", " r2=", " r3=", " r12=", " lr=", " pc=", " xpsr="};
    const uintptr_t sp = (uintptr_t)frame;
    const uintptr_t bottom = (uintptr_t)te_stack_bottom;
    int overflow = sp < bottom + 96u;
    const int readable = sp >= bottom && sp + 32u <= (uintptr_t)te_stack_top;
    write_value("\r\ntinyeff fault: exception=", exception);
    if (readable) {
        for (int i = 0; i < 8; i++) {
            write_value(names[i], frame[i]);
        }
    }
    write_value(" sp=", (uint32_t)sp);
#if !defined(__ARM_ARCH_6M__)
    overflow = overflow || (TE_REG(CFSR) & 1u << 20) != 0u; /* below the stack limit register */
    write_value(" cfsr=", TE_REG(CFSR));
    write_value(" hfsr=", TE_REG(HFSR));
    write_value(" mmfar=", TE_REG(MMFAR));
    write_value(" bfar=", TE_REG(BFAR));
#endif
    write_text(!readable || overflow ? " stack overflow\r\n" : "\r\n");
}

/* Reports once, and again whenever the host has sent something and then waits. */
__attribute__((used)) void te_fault(const uint32_t *frame, uint32_t exception)
{
    uint32_t quiet = 0;
    for (;;) {
        report(frame, exception);
        while (te_board_read() < 0) {
        }
        for (quiet = 0; quiet < QUIET_POLLS; quiet++) {
            if (te_board_read() >= 0) {
                quiet = 0;
            }
        }
    }
}

/* The report runs below the frame, or from the top where the stack is what is broken or too full:
 * then it overwrites the oldest part of it. */
__attribute__((naked, used)) void te_fault_entry(void)
{
#if !defined(__ARM_ARCH_6M__) && !defined(__ARM_ARCH_8M_MAIN__) && !defined(__ARM_ARCH_8_1M_MAIN__)
    __asm volatile("ldr r2, =0xE000ED94\n\t" /* the guard is no longer needed */
                   "movs r3, #0\n\t"
                   "str r3, [r2]\n\t"
                   "dsb\n\t"
                   "isb" ::);
#endif
    __asm volatile("mrs r0, msp\n\t"
                   "mrs r1, ipsr\n\t"
                   "ldr r3, =te_stack_top\n\t"
                   "ldr r2, =te_stack_bottom + 512\n\t"
                   "cmp r0, r2\n\t"
                   "blo 1f\n\t"
                   "cmp r0, r3\n\t"
                   "bls 2f\n\t"
                   "1:\n\t"
                   "msr msp, r3\n\t"
                   "2:\n\t"
                   "ldr r2, =te_fault\n\t"
                   "bx r2\n\t"
                   ".ltorg" ::);
}
