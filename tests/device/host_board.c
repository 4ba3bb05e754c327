/* SPDX-License-Identifier: MIT-0 */
/* A board that is this machine: the console is standard input and output.
 *
 * With TE_HALF_DUPLEX in the environment it is slow and deaf as a polled UART is: a byte takes its
 * time to leave, and of the bytes that arrive meanwhile only the first is kept. */
#define _DEFAULT_SOURCE
#include "te_board.h"

#include <poll.h>
#include <unistd.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int half_duplex;
static int held = -1; /* the byte in the receive register */

/* Sends a byte as a UART of 115,200 baud does, and loses what it has no room for. */
static void send_slowly(uint8_t byte)
{
    uint8_t lost;
    struct pollfd in = {0, POLLIN, 0};
    (void)putchar(byte);
    (void)fflush(stdout);
    (void)usleep(87);
    while (poll(&in, 1, 0) > 0 && read(0, &lost, 1) == 1) {
        held = held < 0 ? lost : held;
    }
}

void te_board_start(void)
{
    half_duplex = getenv("TE_HALF_DUPLEX") != NULL;
    (void)setvbuf(stdout, NULL, _IOFBF, 4096);
    (void)setvbuf(stdin, NULL, _IONBF, 0);
}

uint32_t te_board_clock_hz(void)
{
    return (uint32_t)CLOCKS_PER_SEC;
}

uint32_t te_board_status(void)
{
    return 0;
}

int te_board_read(void)
{
    int byte = held;
    if (held >= 0) {
        held = -1;
        return byte;
    }
    (void)fflush(stdout);
    byte = getchar();
    if (byte == EOF) {
        exit(0);
    }
    return byte;
}

void te_board_write(uint8_t byte)
{
    if (half_duplex) {
        send_slowly(byte);
    } else {
        (void)putchar(byte);
    }
}

uint32_t te_board_cycles(void)
{
    return (uint32_t)clock();
}

uint32_t te_board_reset_reason(void)
{
    return TE_BOARD_RESET_PIN;
}

uint32_t te_board_stack_high_water(void)
{
    return 1234;
}
