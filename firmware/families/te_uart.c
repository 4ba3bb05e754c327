/* SPDX-License-Identifier: MIT-0 */
/* The console: one UART, polled, 8 bits, no parity, 1 stop bit. */
#include <stdint.h>

#include "te_family.h"

#if TE_UART_KIND == 1 /* F4: one data register, one status register */
enum { SR = 0x00, DR = 0x04, BRR = 0x08, CR1 = 0x0C, CR2 = 0x10, CR3 = 0x14 };
enum { STATUS = SR, RECEIVE = DR, TRANSMIT = DR };
#define ENABLE (1u << 13 | 1u << 3 | 1u << 2)
#else /* all others */
enum { CR1 = 0x00, CR2 = 0x04, CR3 = 0x08, BRR = 0x0C, ISR = 0x1C, RDR = 0x24, TDR = 0x28 };
enum { STATUS = ISR, RECEIVE = RDR, TRANSMIT = TDR };
#define ENABLE (1u << 3 | 1u << 2 | 1u)
#endif

#define RECEIVED        (1u << 5)
#define OVERRUN         (1u << 3)
#define TRANSMIT_EMPTY  (1u << 7)
#define OVERRUN_DISABLE (1u << 12)
#define FIFO_ENABLE     (1u << 29)

static uint32_t reg(uint32_t offset)
{
    return TE_CONSOLE_UART + offset;
}

/* Alternate function, pulled up: a pin that nobody drives must not look like bytes. */
static void start_pin(uint32_t port, uint32_t pin, uint32_t function)
{
    const uint32_t gpio = TE_GPIO + 0x400u * port;
    const uint32_t alternate = gpio + 0x20u + 4u * (pin / 8u);
    const uint32_t shift = 4u * (pin % 8u);
    TE_REG(TE_GPIO_ENABLE) |= 1u << port;
    (void)TE_REG(TE_GPIO_ENABLE); /* the clock needs two cycles */
    te_set_field(alternate, 15u << shift, function << shift);
    te_set_field(gpio + 0x08u, 3u << 2u * pin, 2u << 2u * pin); /* speed: high */
    te_set_field(gpio + 0x0Cu, 3u << 2u * pin, 1u << 2u * pin); /* pull-up */
    te_set_field(gpio, 3u << 2u * pin, 2u << 2u * pin);         /* mode: alternate function */
}

/* Clocks per bit; a low-power UART counts in 256ths. */
static uint32_t divider(uint32_t clock_hz)
{
#if TE_CONSOLE_LOW_POWER
    const uint32_t whole = clock_hz / TE_CONSOLE_BAUD;
    return (whole << 8) + ((clock_hz % TE_CONSOLE_BAUD) << 8) / TE_CONSOLE_BAUD;
#else
    return (clock_hz + TE_CONSOLE_BAUD / 2u) / TE_CONSOLE_BAUD;
#endif
}

void te_uart_start(uint32_t clock_hz)
{
    start_pin(TE_CONSOLE_TX);
    start_pin(TE_CONSOLE_RX);
    TE_REG(TE_CONSOLE_ENABLE) |= 1u << TE_CONSOLE_ENABLE_BIT;
    (void)TE_REG(TE_CONSOLE_ENABLE);
    TE_REG(reg(CR1)) = 0;
    TE_REG(reg(CR2)) = 0;
    TE_REG(reg(BRR)) = divider(clock_hz);
#if TE_UART_KIND == 1
    TE_REG(reg(CR3)) = 0;
    TE_REG(reg(CR1)) = ENABLE;
#else
    TE_REG(reg(CR3)) = OVERRUN_DISABLE;
    TE_REG(reg(CR1)) = TE_UART_FIFO ? FIFO_ENABLE : 0u;
    TE_REG(reg(CR1)) |= ENABLE;
#endif
}

int te_board_read(void)
{
    /* With an overrun, the byte that is there is still good; reading it clears the flag. */
    const uint32_t status = TE_REG(reg(STATUS));
    if ((status & (RECEIVED | (TE_UART_KIND == 1 ? OVERRUN : 0u))) == 0u) {
        return -1;
    }
    return (int)(TE_REG(reg(RECEIVE)) & 0xFFu);
}

void te_board_write(uint8_t byte)
{
    while ((TE_REG(reg(STATUS)) & TRANSMIT_EMPTY) == 0u) {
    }
    TE_REG(reg(TRANSMIT)) = byte;
}
