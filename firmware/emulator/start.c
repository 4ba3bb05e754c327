/* SPDX-License-Identifier: MIT-0 */
/* Start-up of a program in an emulated Cortex-M: vectors, .data and .bss, faults, the way out.
 *
 * An emulator that can watch addresses stops where te_emulator_finished begins. QEMU runs it: it
 * writes the memory listed in te_emulator_dump into a file and leaves by semihosting. */
#include <stddef.h>
#include <stdint.h>

#include "te_emulator.h"

int main(void);
void te_emulator_reset(void);
void te_emulator_fault(void);
void te_emulator_report(const uint32_t *frame);

/* From the linker script. */
extern uint32_t te_emulator_stack_top[];
extern uint32_t te_emulator_data_load[];
extern uint32_t te_emulator_data_start[];
extern uint32_t te_emulator_data_end[];
extern uint32_t te_emulator_bss_start[];
extern uint32_t te_emulator_bss_end[];

typedef struct {
    uint32_t *stack_top;
    void (*reset)(void);
    void (*faults[14])(void);
} te_vectors;

extern const te_vectors te_emulator_vectors;
__attribute__((section(".vectors"), used)) const te_vectors te_emulator_vectors = {
    te_emulator_stack_top,
    te_emulator_reset,
    {te_emulator_fault, te_emulator_fault, te_emulator_fault, te_emulator_fault, te_emulator_fault,
     te_emulator_fault, te_emulator_fault, te_emulator_fault, te_emulator_fault, te_emulator_fault,
     te_emulator_fault, te_emulator_fault, te_emulator_fault, te_emulator_fault},
};

te_emulator_record te_emulator_result;
te_emulator_range te_emulator_dump[TE_EMULATOR_RANGES] TE_EMULATOR_NOINIT;

/* Its own function: compilers may use the vector unit for these loops. */
static __attribute__((noinline)) void fill_memory(void)
{
    const uint32_t *from = te_emulator_data_load;
    for (uint32_t *to = te_emulator_data_start; to < te_emulator_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = te_emulator_bss_start; to < te_emulator_bss_end; to++) {
        *to = 0;
    }
}

void te_emulator_reset(void)
{
#ifdef __ARM_FEATURE_MVE
    /* Coprocessors 10 and 11 hold the vector unit: off after reset. */
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm volatile("dsb\n\tisb" ::: "memory");
#endif
    fill_memory();
    te_emulator_result.status = main();
    te_emulator_finished();
}

static uint32_t semihosting(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = argument;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

__attribute__((noinline)) void te_emulator_finished(void)
{
    enum {
        OPEN = 1,
        CLOSE = 2,
        WRITE = 5,
        EXIT = 0x18,
        WRITE_BINARY = 5,
        APPLICATION_EXIT = 0x20026
    };
    static const char name[] = "dump.bin";
    const struct {
        const char *name;
        uint32_t mode;
        uint32_t length;
    } file = {name, WRITE_BINARY, sizeof(name) - 1u};
    const uint32_t handle = semihosting(OPEN, &file);
    for (size_t i = 0; i < TE_EMULATOR_RANGES && te_emulator_dump[i].size_bytes != 0; i++) {
        const struct {
            uint32_t handle;
            te_emulator_range range;
        } block = {handle, te_emulator_dump[i]};
        (void)semihosting(WRITE, &block);
    }
    (void)semihosting(CLOSE, &handle);
    (void)semihosting(EXIT, (const void *)(uintptr_t)APPLICATION_EXIT);
    for (;;) {
    }
}

/* `frame` is what the core pushed: r0-r3, r12, lr, pc, xpsr. */
__attribute__((used)) void te_emulator_report(const uint32_t *frame)
{
    te_emulator_result.faulted = 1;
    te_emulator_result.fault_pc = frame[6];
    te_emulator_result.fault_status = *(volatile uint32_t *)0xE000ED28u;
    te_emulator_result.fault_address = *(volatile uint32_t *)0xE000ED38u;
    te_emulator_finished();
}

__attribute__((naked)) void te_emulator_fault(void)
{
    __asm volatile("mrs r0, msp\n\t"
                   "bl te_emulator_report");
}
