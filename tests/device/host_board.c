/* SPDX-License-Identifier: MIT-0 */
/* A board that is this machine: the console is standard input and output. */
#include "te_board.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void te_board_start(void)
{
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
    int byte;
    (void)fflush(stdout);
    byte = getchar();
    if (byte == EOF) {
        exit(0);
    }
    return byte;
}

void te_board_write(uint8_t byte)
{
    (void)putchar(byte);
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
