/* SPDX-License-Identifier: MIT-0 */
/* The parts of te_board.h that are the same on all chips. */
#include "te_board.h"

#include <stdint.h>

#include "te_family.h"

void SysTick_Handler(void);

#define SYST_CSR   0xE000E010u
#define SYST_RVR   0xE000E014u
#define SYST_CVR   0xE000E018u
#define CCR        0xE000ED14u
#define CCSIDR     0xE000ED80u
#define CSSELR     0xE000ED84u
#define DEMCR      0xE000EDFCu
#define ICIALLU    0xE000EF50u
#define DCISW      0xE000EF60u
#define DWT_CTRL   0xE0001000u
#define DWT_CYCCNT 0xE0001004u
#define DWT_LAR    0xE0001FB0u

static te_clock board_clock;
static uint32_t reset_reason;
static volatile uint32_t systick_wraps;

/* Nothing here uses DMA, so that nobody sees memory behind the back of the data cache. */
static void start_caches(void)
{
#if TE_CORE_CACHES
    TE_REG(ICIALLU) = 0;
    __asm volatile("dsb\n\tisb" ::: "memory");
    TE_REG(CCR) |= 1u << 17;
    if ((TE_REG(CCR) & 1u << 16) == 0u) {
        TE_REG(CSSELR) = 0;
        __asm volatile("dsb" ::: "memory");
        const uint32_t sets = TE_REG(CCSIDR) >> 13 & 0x7FFFu;
        const uint32_t ways = TE_REG(CCSIDR) >> 3 & 0x3FFu;
        for (uint32_t set = 0; set <= sets; set++) {
            for (uint32_t way = 0; way <= ways; way++) {
                TE_REG(DCISW) = way << 30 | set << 5;
            }
        }
        __asm volatile("dsb" ::: "memory");
        TE_REG(CCR) |= 1u << 16;
    }
    __asm volatile("dsb\n\tisb" ::: "memory");
#endif
}

static void read_reset_reason(void)
{
    static const struct {
        uint32_t bit;
        uint32_t reason;
    } reasons[] = TE_RESET_BITS;
    const uint32_t status = TE_REG(TE_RESET_STATUS);
    for (uint32_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if ((status >> reasons[i].bit & 1u) != 0u) {
            reset_reason |= reasons[i].reason;
        }
    }
    TE_REG(TE_RESET_STATUS) = status | 1u << TE_RESET_CLEAR_BIT;
}

/* Whether a register changes by itself; a counter in an emulator may take its time. */
static int counts(uint32_t address)
{
    const uint32_t before = TE_REG(address);
    for (uint32_t i = 0; i < TE_WAIT_LOOPS; i++) {
        if (TE_REG(address) != before) {
            return 1;
        }
    }
    return 0;
}

/* The counter of the debug unit where there is one and it counts, else the system timer, whose 24
 * bits an interrupt extends. */
void te_cycles_start(te_clock *clock)
{
#if !defined(__ARM_ARCH_6M__)
    TE_REG(DEMCR) |= 1u << 24;
    TE_REG(DWT_LAR) = 0xC5ACCE55u;
    TE_REG(DWT_CYCCNT) = 0;
    TE_REG(DWT_CTRL) |= 1u;
    if (counts(DWT_CYCCNT)) {
        return;
    }
#endif
    clock->status |= TE_BOARD_SYSTICK_CYCLES;
    TE_REG(SYST_RVR) = 0xFFFFFFu;
    TE_REG(SYST_CVR) = 0;
    TE_REG(SYST_CSR) = 7;
    if (!counts(SYST_CVR)) {
        clock->status = (clock->status & ~(uint32_t)TE_BOARD_SYSTICK_CYCLES) | TE_BOARD_NO_CYCLES;
    }
}

void SysTick_Handler(void)
{
    systick_wraps++;
}

void te_board_start(void)
{
    read_reset_reason();
    te_clock_start(&board_clock);
    start_caches();
    te_uart_start(board_clock.apb_hz[TE_CONSOLE_BUS - 1]);
    te_cycles_start(&board_clock);
}

uint32_t te_board_clock_hz(void)
{
    return board_clock.core_hz;
}

uint32_t te_board_status(void)
{
    return board_clock.status;
}

uint32_t te_board_reset_reason(void)
{
    return reset_reason;
}

uint32_t te_board_cycles(void)
{
    uint32_t wraps;
    uint32_t value;
    if ((board_clock.status & TE_BOARD_NO_CYCLES) != 0u) {
        return 0;
    }
    if ((board_clock.status & TE_BOARD_SYSTICK_CYCLES) == 0u) {
        return TE_REG(DWT_CYCCNT);
    }
    do {
        wraps = systick_wraps;
        value = TE_REG(SYST_CVR);
    } while (wraps != systick_wraps);
    return (wraps << 24) + (0xFFFFFFu - value);
}
