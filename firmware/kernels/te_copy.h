/* SPDX-License-Identifier: MIT-0 */
#ifndef TE_COPY_H
#define TE_COPY_H

#include <stddef.h>
#include <stdint.h>

/* `bytes` bytes that do not overlap; the C library knows the fastest way on each core. */
static inline void te_copy(int8_t *to, const int8_t *from, int32_t bytes)
{
    __builtin_memcpy(to, from, (size_t)bytes);
}

/* `size` bytes of each of `pixels` pixels. */
static inline void te_copy_pixels(int8_t *to, int32_t to_pitch, const int8_t *from,
                                  int32_t from_pitch, int32_t size, int32_t pixels)
{
    if (to_pitch == size && from_pitch == size) {
        te_copy(to, from, size * pixels);
        return;
    }
    for (int32_t x = 0; x < pixels; x++) {
        for (int32_t i = 0; i < size; i++) {
            to[i] = from[i];
        }
        to += to_pitch;
        from += from_pitch;
    }
}

#endif
