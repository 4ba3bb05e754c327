/* SPDX-License-Identifier: MIT-0 */
/* The smallest program that runs shapes: zeros in, results in `output`. */
#include "shapes.h"

static _Alignas(SHAPES_ARENA_ALIGN) uint8_t arena[SHAPES_ARENA_BYTES];
static int8_t output[SHAPES_OUTPUT_BYTES / sizeof(int8_t)];

int main(void)
{
    int8_t *input = shapes_input(arena);
    for (int32_t i = 0; i < 1024; i++) {
        input[i] = 0;
    }
    return shapes_run(arena, output);
}
