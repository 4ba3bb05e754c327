/* SPDX-License-Identifier: MIT-0 */
/* Clocks of an STM32H7: supply, highest core voltage, external clock or HSI into PLL1. */
#include "te_family.h"

enum {
    RCC_CR = TE_RCC + 0x00,
    RCC_CFGR = TE_RCC + 0x10,
    RCC_D1CFGR = TE_RCC + 0x18,
    RCC_D2CFGR = TE_RCC + 0x1C,
    RCC_D3CFGR = TE_RCC + 0x20,
    RCC_PLLCKSELR = TE_RCC + 0x28,
    RCC_PLLCFGR = TE_RCC + 0x2C,
    RCC_PLL1DIVR = TE_RCC + 0x30,
    PWR_CSR1 = TE_PWR + 0x04,
    PWR_CR3 = TE_PWR + 0x0C,
    PWR_D3CR = TE_PWR + 0x18,
    SYSCFG_PWRCR = TE_SYSCFG + 0x2C,
    FLASH_ACR = TE_FLASH + 0x00
};

#define HSEON     (1u << 16)
#define HSERDY    (1u << 17)
#define HSEBYP    (1u << 18)
#define PLL1ON    (1u << 24)
#define PLL1RDY   (1u << 25)
#define VOSRDY    (1u << 13)
#define ACTVOSRDY (1u << 13)

typedef struct {
    uint32_t source; /* 0 HSI, 2 HSE */
    uint32_t m;
    uint32_t n;
    uint32_t divider;
    uint32_t input_hz;
} pll;

static const pll internal = {0, TE_PLL_INTERNAL_M, TE_PLL_INTERNAL_N, TE_PLL_INTERNAL_DIVIDER,
                             TE_INTERNAL_HZ / TE_PLL_INTERNAL_M};

static const pll *choose_source(te_clock *clock)
{
#if TE_EXTERNAL
    static const pll external = {2, TE_PLL_EXTERNAL_M, TE_PLL_EXTERNAL_N, TE_PLL_EXTERNAL_DIVIDER,
                                 TE_EXTERNAL_HZ / TE_PLL_EXTERNAL_M};
    TE_REG(RCC_CR) |= TE_EXTERNAL_BYPASS ? HSEBYP : 0u;
    TE_REG(RCC_CR) |= HSEON;
    if (te_wait(RCC_CR, HSERDY, HSERDY)) {
        return &external;
    }
    TE_REG(RCC_CR) &= ~(HSEON | HSEBYP);
    clock->status |= TE_BOARD_NO_CRYSTAL;
#else
    (void)clock;
#endif
    return &internal;
}

/* The supply can be chosen once after power-up; then the voltage may rise. */
static void start_power(te_clock *clock)
{
#if TE_POWER_SMPS
    te_set_field(PWR_CR3, 0x3Fu, 4u);
#else
    te_set_field(PWR_CR3, 7u, 2u);
#endif
    int ready = te_wait(PWR_CSR1, ACTVOSRDY, ACTVOSRDY);
    te_set_field(PWR_D3CR, 3u << 14, 3u << 14);
    ready = te_wait(PWR_D3CR, VOSRDY, VOSRDY) && ready;
#if TE_PWR_OVERDRIVE
    TE_REG(TE_SYSCFG_ENABLE) |= 1u << 1;
    (void)TE_REG(TE_SYSCFG_ENABLE);
    TE_REG(SYSCFG_PWRCR) |= 1u;
    ready = te_wait(PWR_D3CR, VOSRDY, VOSRDY) && ready;
#endif
    if (!ready) {
        clock->status |= TE_BOARD_NO_POWER;
    }
}

static int start_pll(const pll *p)
{
    const uint32_t range = p->input_hz >= 8000000u ? 3u : p->input_hz >= 4000000u ? 2u : 1u;
    te_set_field(RCC_PLLCKSELR, 63u << 4 | 3u, p->m << 4 | p->source);
    /* The wide oscillator, output P only. */
    te_set_field(RCC_PLLCFGR, 7u << 16 | 15u, 1u << 16 | range << 2);
    TE_REG(RCC_PLL1DIVR) = 1u << 24 | 1u << 16 | (p->divider - 1u) << 9 | (p->n - 1u);
    TE_REG(RCC_CR) |= PLL1ON;
    return te_wait(RCC_CR, PLL1RDY, PLL1RDY);
}

void te_clock_start(te_clock *clock)
{
    const uint32_t apb1 = TE_APB_PRESCALER(TE_APB1_DIVIDER);
    const uint32_t apb2 = TE_APB_PRESCALER(TE_APB2_DIVIDER);
    start_power(clock);
    te_set_field(FLASH_ACR, 3u << 4 | 15u, TE_FLASH_PROGRAMMING_DELAY << 4 | TE_WAIT_STATES);
    (void)te_wait(FLASH_ACR, 15u, TE_WAIT_STATES);
    te_set_field(RCC_D1CFGR, 15u << 8 | 7u << 4 | 15u, apb2 << 4 | (TE_AHB_DIVIDER == 2 ? 8u : 0u));
    te_set_field(RCC_D2CFGR, 7u << 8 | 7u << 4, apb2 << 8 | apb1 << 4);
    te_set_field(RCC_D3CFGR, 7u << 4, apb1 << 4);
    te_clock_is(clock, TE_INTERNAL_HZ);
    if ((clock->status & TE_BOARD_NO_POWER) != 0u) {
        return; /* without the voltage, the clock stays low */
    }
    if (!start_pll(choose_source(clock))) {
        TE_REG(RCC_CR) &= ~PLL1ON;
        clock->status |= TE_BOARD_NO_PLL;
        return;
    }
    te_set_field(RCC_CFGR, 7u, 3u);
    if (!te_wait(RCC_CFGR, 7u << 3, 3u << 3)) {
        te_set_field(RCC_CFGR, 7u, 0u);
        clock->status |= TE_BOARD_NO_PLL;
        return;
    }
    te_clock_is(clock, TE_CORE_HZ);
}
