/* SPDX-License-Identifier: MIT-0 */
/* The four functions that compilers call on their own, for targets without a C library.
 * Built with -fno-builtin, or the loops would be turned into calls of themselves. */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);

static int words(const void *a, const void *b)
{
    return (((uintptr_t)a | (uintptr_t)b) & 3u) == 0;
}

void *memcpy(void *to, const void *from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    if (words(to, from)) {
        for (; n >= 4; n -= 4, t += 4, f += 4) {
            *(uint32_t *)(void *)t = *(const uint32_t *)(const void *)f;
        }
    }
    for (; n > 0; n--) {
        *t++ = *f++;
    }
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    uint8_t *t = to;
    const uint8_t *f = from;
    if ((uintptr_t)t <= (uintptr_t)f) {
        return memcpy(to, from, n);
    }
    while (n > 0) {
        n--;
        t[n] = f[n];
    }
    return to;
}

void *memset(void *to, int value, size_t n)
{
    uint8_t *t = to;
    if (words(to, to)) {
        const uint32_t word = (uint8_t)value * UINT32_C(0x01010101);
        for (; n >= 4; n -= 4, t += 4) {
            *(uint32_t *)(void *)t = word;
        }
    }
    for (; n > 0; n--) {
        *t++ = (uint8_t)value;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a;
    const uint8_t *y = b;
    for (; n > 0; n--, x++, y++) {
        if (*x != *y) {
            return *x - *y;
        }
    }
    return 0;
}
