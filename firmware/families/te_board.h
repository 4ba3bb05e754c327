/* SPDX-License-Identifier: MIT-0 */
/* What an application may rely on, on every board.
 *
 * Start-up code sets up memory and the stack limit, then calls main; main calls te_board_start once
 * and may use all the rest from then on. Nothing here uses interrupts. */
#ifndef TE_BOARD_H
#define TE_BOARD_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bits of te_board_status. None is an error: the board works, but not as its file says. */
enum {
    TE_BOARD_NO_CRYSTAL = 1 << 0,     /* the external clock did not start: internal oscillator */
    TE_BOARD_NO_PLL = 1 << 1,         /* the PLL did not lock: the core runs at the oscillator */
    TE_BOARD_NO_POWER = 1 << 2,       /* the regulator did not report the voltage asked for */
    TE_BOARD_SYSTICK_CYCLES = 1 << 3, /* cycles are counted by SysTick: there is no DWT counter */
    TE_BOARD_NO_CYCLES = 1 << 4       /* nothing counts cycles: te_board_cycles returns 0 */
};

/* Bits of te_board_reset_reason; several may be set, 0 where the chip does not say. */
enum {
    TE_BOARD_RESET_PIN = 1 << 0,
    TE_BOARD_RESET_POWER = 1 << 1,
    TE_BOARD_RESET_SOFTWARE = 1 << 2,
    TE_BOARD_RESET_WATCHDOG = 1 << 3,
    TE_BOARD_RESET_WINDOW_WATCHDOG = 1 << 4,
    TE_BOARD_RESET_LOW_POWER = 1 << 5,
    TE_BOARD_RESET_BROWN_OUT = 1 << 6
};

/* Clocks, caches, console, cycle counter. */
void te_board_start(void);

/* The real clock of the core, in Hz. */
uint32_t te_board_clock_hz(void);

uint32_t te_board_status(void);

/* The next byte from the console, 0 to 255, or -1 where none has arrived. */
int te_board_read(void);

/* Waits until the byte is taken. */
void te_board_write(uint8_t byte);

/* Clock cycles of the core; wraps at 2^32. With SysTick, call it at least every 2^24 cycles, or
 * the count is too low by a multiple of 2^24. */
uint32_t te_board_cycles(void);

uint32_t te_board_reset_reason(void);

/* The most bytes of stack that were in use since the start. */
uint32_t te_board_stack_high_water(void);

#ifdef __cplusplus
}
#endif

#endif
