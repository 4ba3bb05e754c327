/* SPDX-License-Identifier: MIT-0 */
/* What the parts of a board's support share among themselves; applications need te_board.h only. */
#ifndef TE_FAMILY_H
#define TE_FAMILY_H

#include <stdint.h>

#include "te_board.h"
#include "te_board_config.h"

#define TE_REG(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* The field of a prescaler of APB: 1, 2, 4, 8 or 16. */
#define TE_APB_PRESCALER(divider)                                                                  \
    ((divider) == 1u ? 0u : (divider) == 2u ? 4u : (divider) == 4u ? 5u : (divider) == 8u ? 6u : 7u)

/* Clocks in Hz. apb_hz[0] and [1] are those of the peripherals on APB1 and APB2. */
typedef struct {
    uint32_t core_hz;
    uint32_t apb_hz[2];
    uint32_t status; /* bits of te_board_status */
} te_clock;

/* In the family's folder: bring the core to its highest clock, or as far as it goes. */
void te_clock_start(te_clock *clock);

void te_uart_start(uint32_t clock_hz);
void te_cycles_start(te_clock *clock);

static inline void te_set_field(uint32_t address, uint32_t mask, uint32_t value)
{
    TE_REG(address) = (TE_REG(address) & ~mask) | value;
}

/* Wait until the bits of `mask` read as `value`; 0 where they do not within some 100 ms. */
static inline int te_wait(uint32_t address, uint32_t mask, uint32_t value)
{
    for (uint32_t i = 0; i < TE_WAIT_LOOPS; i++) {
        if ((TE_REG(address) & mask) == value) {
            return 1;
        }
    }
    return 0;
}

/* Clocks of a family whose buses are fixed fractions of the core. */
static inline void te_clock_is(te_clock *clock, uint32_t core_hz)
{
    clock->core_hz = core_hz;
    clock->apb_hz[0] = core_hz / TE_AHB_DIVIDER / TE_APB1_DIVIDER;
    clock->apb_hz[1] = core_hz / TE_AHB_DIVIDER / TE_APB2_DIVIDER;
}

#endif
