/* SPDX-License-Identifier: MIT-0 */
/* Runs each case on memory of exactly its size, and writes all outputs one after the other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"

static void *reserve(size_t bytes)
{
    void *memory = malloc(bytes);
    if (memory == NULL) {
        exit(3);
    }
    memset(memory, 0x5a, bytes);
    return memory;
}

int main(void)
{
    for (int32_t n = 0; n < batch_count; n++) {
        const batch_case *c = &batch_cases[n];
        void *outputs[BATCH_MOST_OUTPUTS];
        void *arena = reserve((size_t)c->arena_bytes);
        int status;
        if (((uintptr_t)arena & 15u) != 0) {
            return 4;
        }
        for (int32_t i = 0; i < c->n_outputs; i++) {
            outputs[i] = reserve((size_t)c->output_bytes[i]);
        }
        fprintf(stderr, "case %d\n", (int)n);
        status = c->run(arena, outputs);
        if (status != 0) {
            return 5;
        }
        for (int32_t i = 0; i < c->n_outputs; i++) {
            (void)fwrite(outputs[i], 1, (size_t)c->output_bytes[i], stdout);
            free(outputs[i]);
        }
        free(arena);
    }
    return 0;
}
