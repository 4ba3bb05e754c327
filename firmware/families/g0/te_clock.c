/* SPDX-License-Identifier: MIT-0 */
/* Clocks of an STM32G0: HSI16 after reset, then the PLL. */
#include "te_family.h"

enum {
    RCC_CR = TE_RCC + 0x00,
    RCC_CFGR = TE_RCC + 0x08,
    RCC_PLLCFGR = TE_RCC + 0x0C,
    FLASH_ACR = TE_FLASH + 0x00
};

#define HSEON  (1u << 16)
#define HSERDY (1u << 17)
#define HSEBYP (1u << 18)
#define PLLON  (1u << 24)
#define PLLRDY (1u << 25)

/* Source 2 is HSI16, 3 HSE. PLLREN lets the output through. The core's voltage is at its highest
 * after reset. */
#define PLL(m, n, r, source) ((source) | ((m)-1u) << 4 | (n) << 8 | 1u << 28 | ((r)-1u) << 29)

static uint32_t choose_source(te_clock *clock)
{
#if TE_EXTERNAL
    TE_REG(RCC_CR) |= TE_EXTERNAL_BYPASS ? HSEBYP : 0u;
    TE_REG(RCC_CR) |= HSEON;
    if (te_wait(RCC_CR, HSERDY, HSERDY)) {
        return PLL(TE_PLL_EXTERNAL_M, TE_PLL_EXTERNAL_N, TE_PLL_EXTERNAL_DIVIDER, 3u);
    }
    TE_REG(RCC_CR) &= ~(HSEON | HSEBYP);
    clock->status |= TE_BOARD_NO_CRYSTAL;
#else
    (void)clock;
#endif
    return PLL(TE_PLL_INTERNAL_M, TE_PLL_INTERNAL_N, TE_PLL_INTERNAL_DIVIDER, 2u);
}

void te_clock_start(te_clock *clock)
{
    te_clock_is(clock, TE_INTERNAL_HZ);
    /* Prefetch and instruction cache; wait states before the clock rises. */
    te_set_field(FLASH_ACR, 3u << 8 | 7u, 3u << 8 | TE_WAIT_STATES);
    (void)te_wait(FLASH_ACR, 7u, TE_WAIT_STATES);
    TE_REG(RCC_PLLCFGR) = choose_source(clock);
    TE_REG(RCC_CR) |= PLLON;
    if (!te_wait(RCC_CR, PLLRDY, PLLRDY)) {
        TE_REG(RCC_CR) &= ~PLLON;
        clock->status |= TE_BOARD_NO_PLL;
        return;
    }
    te_set_field(RCC_CFGR, 7u, 2u);
    if (!te_wait(RCC_CFGR, 7u << 3, 2u << 3)) {
        te_set_field(RCC_CFGR, 7u, 0u);
        clock->status |= TE_BOARD_NO_PLL;
        return;
    }
    te_clock_is(clock, TE_CORE_HZ);
}
