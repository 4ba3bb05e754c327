/* SPDX-License-Identifier: MIT-0 */
/* Clocks of an STM32U5: MSIS after reset, then HSI16, then PLL1 with the booster. */
#include "te_family.h"

enum {
    RCC_CR = TE_RCC + 0x00,
    RCC_CFGR1 = TE_RCC + 0x1C,
    RCC_CFGR2 = TE_RCC + 0x20,
    RCC_PLL1CFGR = TE_RCC + 0x28,
    RCC_PLL1DIVR = TE_RCC + 0x34,
    RCC_AHB3ENR = TE_RCC + 0x94,
    PWR_CR3 = TE_PWR + 0x08,
    PWR_VOSR = TE_PWR + 0x0C,
    PWR_SVMSR = TE_PWR + 0x3C,
    FLASH_ACR = TE_FLASH + 0x00,
    ICACHE_CR = TE_ICACHE + 0x00
};

#define HSION    (1u << 8)
#define HSIRDY   (1u << 10)
#define HSEON    (1u << 16)
#define HSERDY   (1u << 17)
#define HSEBYP   (1u << 18)
#define PLL1ON   (1u << 24)
#define PLL1RDY  (1u << 25)
#define BOOSTRDY (1u << 14)
#define VOSRDY   (1u << 15)
#define BOOSTEN  (1u << 18)

/* Source 2 is HSI16, 3 HSE; input of 8 to 16 MHz or less; output R only. The booster takes the
 * source undivided: it needs 4 to 16 MHz. */
#define PLL(m, source, input_hz)                                                                   \
    ((source) | ((input_hz) >= 8000000u ? 3u << 2 : 0u) | ((m)-1u) << 8 | 1u << 18)
#define DIVIDERS(n, r) (((n)-1u) | 1u << 9 | 1u << 16 | ((r)-1u) << 24)

static void choose_source(te_clock *clock)
{
#if TE_EXTERNAL
    TE_REG(RCC_CR) |= TE_EXTERNAL_BYPASS ? HSEBYP : 0u;
    TE_REG(RCC_CR) |= HSEON;
    if (te_wait(RCC_CR, HSERDY, HSERDY)) {
        TE_REG(RCC_PLL1CFGR) = PLL(TE_PLL_EXTERNAL_M, 3u, TE_EXTERNAL_HZ / TE_PLL_EXTERNAL_M);
        TE_REG(RCC_PLL1DIVR) = DIVIDERS(TE_PLL_EXTERNAL_N, TE_PLL_EXTERNAL_DIVIDER);
        return;
    }
    TE_REG(RCC_CR) &= ~(HSEON | HSEBYP);
    clock->status |= TE_BOARD_NO_CRYSTAL;
#else
    (void)clock;
#endif
    TE_REG(RCC_PLL1CFGR) = PLL(TE_PLL_INTERNAL_M, 2u, TE_INTERNAL_HZ / TE_PLL_INTERNAL_M);
    TE_REG(RCC_PLL1DIVR) = DIVIDERS(TE_PLL_INTERNAL_N, TE_PLL_INTERNAL_DIVIDER);
}

/* Select a clock of the core: 1 HSI16, 3 PLL1. */
static int switch_to(uint32_t source)
{
    te_set_field(RCC_CFGR1, 3u, source);
    return te_wait(RCC_CFGR1, 3u << 2, source << 2);
}

static void start_power(te_clock *clock)
{
    int ready = 1;
    TE_REG(RCC_AHB3ENR) |= 1u << 2; /* PWREN */
    (void)TE_REG(RCC_AHB3ENR);
#if TE_POWER_SMPS
    TE_REG(PWR_CR3) |= 1u << 1;
    ready = te_wait(PWR_SVMSR, 1u << 1, 1u << 1);
#endif
    te_set_field(PWR_VOSR, 3u << 16, 3u << 16);
    if (!te_wait(PWR_VOSR, VOSRDY, VOSRDY) || !ready) {
        clock->status |= TE_BOARD_NO_POWER;
    }
}

void te_clock_start(te_clock *clock)
{
    te_clock_is(clock, TE_RESET_HZ);
    TE_REG(ICACHE_CR) |= 1u;
    start_power(clock);
    /* Prefetch; wait states before the clock rises. */
    te_set_field(FLASH_ACR, 1u << 8 | 15u, 1u << 8 | TE_WAIT_STATES);
    (void)te_wait(FLASH_ACR, 15u, TE_WAIT_STATES);
    TE_REG(RCC_CR) |= HSION;
    if (!te_wait(RCC_CR, HSIRDY, HSIRDY) || !switch_to(1u)) {
        clock->status |= TE_BOARD_NO_PLL;
        return;
    }
    te_clock_is(clock, TE_INTERNAL_HZ);
    choose_source(clock);
    TE_REG(PWR_VOSR) |= BOOSTEN;
    if (!te_wait(PWR_VOSR, BOOSTRDY, BOOSTRDY)) {
        clock->status |= TE_BOARD_NO_POWER;
    }
    TE_REG(RCC_CR) |= PLL1ON;
    if (!te_wait(RCC_CR, PLL1RDY, PLL1RDY) || (clock->status & TE_BOARD_NO_POWER) != 0u) {
        TE_REG(RCC_CR) &= ~PLL1ON;
        clock->status |= TE_BOARD_NO_PLL;
        return;
    }
    /* In two steps: by half of it first, for a microsecond at least. */
    te_set_field(RCC_CFGR2, 15u, 8u);
    if (!switch_to(3u)) {
        (void)switch_to(1u);
        clock->status |= TE_BOARD_NO_PLL;
    } else {
        te_clock_is(clock, TE_CORE_HZ);
    }
    for (volatile uint32_t i = 0; i < 100u; i++) {
    }
    te_set_field(RCC_CFGR2, 15u, 0u);
}
