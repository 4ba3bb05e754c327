/* SPDX-License-Identifier: MIT-0 */
#ifndef BATCH_H
#define BATCH_H

#include <stdint.h>

enum { BATCH_MOST_OUTPUTS = 12 };

/* `run` brings its own inputs. */
typedef struct {
    int (*run)(void *arena, void *const *outputs);
    int32_t arena_bytes;
    int32_t n_outputs;
    int32_t output_bytes[BATCH_MOST_OUTPUTS];
} batch_case;

extern const batch_case batch_cases[];
extern const int32_t batch_count;

#endif
