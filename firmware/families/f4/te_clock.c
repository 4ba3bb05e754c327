/* SPDX-License-Identifier: MIT-0 */
/* Clocks of an STM32F4 or F7: external clock or HSI into the PLL, PLL to the core. */
#include "te_family.h"

enum {
    RCC_CR = TE_RCC + 0x00,
    RCC_PLLCFGR = TE_RCC + 0x04,
    RCC_CFGR = TE_RCC + 0x08,
    RCC_APB1ENR = TE_RCC + 0x40,
    PWR_CR = TE_PWR + 0x00,
    PWR_CSR = TE_PWR + 0x04,
    FLASH_ACR = TE_FLASH + 0x00
};

#define HSEON  (1u << 16)
#define HSERDY (1u << 17)
#define HSEBYP (1u << 18)
#define PLLON  (1u << 24)
#define PLLRDY (1u << 25)

/* m, n, divider to the core; a main output for USB is left at 4 (unused). */
#define PLL(m, n, p, source) ((m) | (n) << 6 | ((p) / 2u - 1u) << 16 | (source) << 22 | 4u << 24)

static uint32_t choose_source(te_clock *clock)
{
    const uint32_t internal =
        PLL(TE_PLL_INTERNAL_M, TE_PLL_INTERNAL_N, TE_PLL_INTERNAL_DIVIDER, 0u);
#if TE_EXTERNAL
    TE_REG(RCC_CR) |= TE_EXTERNAL_BYPASS ? HSEBYP : 0u;
    TE_REG(RCC_CR) |= HSEON;
    if (te_wait(RCC_CR, HSERDY, HSERDY)) {
        return PLL(TE_PLL_EXTERNAL_M, TE_PLL_EXTERNAL_N, TE_PLL_EXTERNAL_DIVIDER, 1u);
    }
    TE_REG(RCC_CR) &= ~(HSEON | HSEBYP);
    clock->status |= TE_BOARD_NO_CRYSTAL;
#else
    (void)clock;
#endif
    return internal;
}

#if TE_PWR_OVERDRIVE
/* The last MHz need a higher voltage, which is switched while the PLL runs. */
static void start_overdrive(te_clock *clock)
{
    for (uint32_t bit = 16; bit <= 17u; bit++) { /* ODEN, ODSWEN */
        TE_REG(PWR_CR) |= 1u << bit;
        if (!te_wait(PWR_CSR, 1u << bit, 1u << bit)) {
            clock->status |= TE_BOARD_NO_POWER;
        }
    }
}
#endif

void te_clock_start(te_clock *clock)
{
    te_clock_is(clock, TE_INTERNAL_HZ);
    TE_REG(RCC_APB1ENR) |= 1u << 28; /* PWREN */
    (void)TE_REG(RCC_APB1ENR);
    te_set_field(PWR_CR, 3u << 14, (uint32_t)TE_PWR_VOS << 14);
    /* Prefetch and caches; wait states before the clock rises. */
    te_set_field(FLASH_ACR, TE_FLASH_CACHES << 8 | 15u, TE_FLASH_CACHES << 8 | TE_WAIT_STATES);
    (void)te_wait(FLASH_ACR, 15u, TE_WAIT_STATES);
    TE_REG(RCC_PLLCFGR) = choose_source(clock);
    te_set_field(RCC_CFGR, 7u << 13 | 7u << 10 | 15u << 4,
                 TE_APB_PRESCALER(TE_APB2_DIVIDER) << 13 | TE_APB_PRESCALER(TE_APB1_DIVIDER) << 10);
    TE_REG(RCC_CR) |= PLLON;
    if (!te_wait(RCC_CR, PLLRDY, PLLRDY)) {
        TE_REG(RCC_CR) &= ~PLLON;
        clock->status |= TE_BOARD_NO_PLL;
        return;
    }
#if TE_PWR_OVERDRIVE
    start_overdrive(clock);
#endif
    if (!te_wait(PWR_CSR, 1u << 14, 1u << 14)) { /* VOSRDY */
        clock->status |= TE_BOARD_NO_POWER;
    }
    if ((clock->status & TE_BOARD_NO_POWER) != 0u) {
        return; /* without the voltage, the clock stays low */
    }
    te_set_field(RCC_CFGR, 3u, 2u);
    if (!te_wait(RCC_CFGR, 3u << 2, 2u << 2)) {
        te_set_field(RCC_CFGR, 3u, 0u);
        clock->status |= TE_BOARD_NO_PLL;
        return;
    }
    te_clock_is(clock, TE_CORE_HZ);
}
