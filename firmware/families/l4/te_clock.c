/* SPDX-License-Identifier: MIT-0 */
/* Clocks of an STM32L4, L4+ or G4: MSI or HSI16 after reset, then HSI16, then the PLL. */
#include "te_family.h"

enum {
    RCC_CR = TE_RCC + 0x00,
    RCC_CFGR = TE_RCC + 0x08,
    RCC_PLLCFGR = TE_RCC + 0x0C,
    RCC_APB1ENR1 = TE_RCC + 0x58,
    PWR_CR1 = TE_PWR + 0x00,
    PWR_CR2 = TE_PWR + 0x04,
    PWR_SR2 = TE_PWR + 0x14,
    PWR_CR5 = TE_PWR + 0x80,
    FLASH_ACR = TE_FLASH + 0x00
};

#define HSION  (1u << 8)
#define HSIRDY (1u << 10)
#define HSEON  (1u << 16)
#define HSERDY (1u << 17)
#define HSEBYP (1u << 18)
#define PLLON  (1u << 24)
#define PLLRDY (1u << 25)

/* Source 2 is HSI16, 3 HSE. PLLREN lets the output through. */
#define PLL(m, n, r, source)                                                                       \
    ((source) | ((m)-1u) << 4 | (n) << 8 | 1u << 24 | ((r) / 2u - 1u) << 25)

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

/* Select a clock of the core: 1 HSI16, 3 PLL. */
static int switch_to(uint32_t source)
{
    te_set_field(RCC_CFGR, 3u, source);
    return te_wait(RCC_CFGR, 3u << 2, source << 2);
}

void te_clock_start(te_clock *clock)
{
    te_clock_is(clock, TE_RESET_HZ);
    TE_REG(RCC_APB1ENR1) |= 1u << 28; /* PWREN */
    (void)TE_REG(RCC_APB1ENR1);
    TE_REG(PWR_CR2) |= TE_PWR_IOSV << 9; /* the supply of port G is there */
    te_set_field(PWR_CR1, 3u << 9, 1u << 9);
    if (!te_wait(PWR_SR2, 1u << 10, 0u)) {
        clock->status |= TE_BOARD_NO_POWER;
    }
#if TE_PWR_BOOST
    TE_REG(PWR_CR5) &= ~(1u << 8); /* boost mode, for the upper range of clocks */
#endif
    /* Prefetch and both caches; wait states before the clock rises. */
    te_set_field(FLASH_ACR, 7u << 8 | 15u, 7u << 8 | TE_WAIT_STATES);
    (void)te_wait(FLASH_ACR, 15u, TE_WAIT_STATES);
    TE_REG(RCC_CR) |= HSION;
    if (!te_wait(RCC_CR, HSIRDY, HSIRDY) || !switch_to(1u)) {
        clock->status |= TE_BOARD_NO_PLL;
        return;
    }
    te_clock_is(clock, TE_INTERNAL_HZ);
    TE_REG(RCC_PLLCFGR) = choose_source(clock);
    TE_REG(RCC_CR) |= PLLON;
    if (!te_wait(RCC_CR, PLLRDY, PLLRDY) || (clock->status & TE_BOARD_NO_POWER) != 0u) {
        TE_REG(RCC_CR) &= ~PLLON;
        clock->status |= TE_BOARD_NO_PLL;
        return;
    }
    /* In two steps: by half of it first, for a microsecond at least. */
    te_set_field(RCC_CFGR, 15u << 4, 8u << 4);
    if (!switch_to(3u)) {
        (void)switch_to(1u);
        clock->status |= TE_BOARD_NO_PLL;
    } else {
        te_clock_is(clock, TE_CORE_HZ);
    }
    for (volatile uint32_t i = 0; i < 100u; i++) {
    }
    te_set_field(RCC_CFGR, 15u << 4, 0u);
}
