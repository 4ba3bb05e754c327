/* SPDX-License-Identifier: MIT-0 */
/* What an emulated program leaves in memory for the emulator to read. */
#ifndef TE_EMULATOR_H
#define TE_EMULATOR_H

#include <stdint.h>

/* Memory that start-up leaves as the emulator filled it. */
#define TE_EMULATOR_NOINIT __attribute__((section(".noinit")))

enum { TE_EMULATOR_RANGES = 32, TE_EMULATOR_LAYERS = 1024 };

typedef struct {
    int32_t status;    /* what main returned */
    uint32_t stack;    /* stack pointer before the model was called */
    uint32_t ticks[2]; /* timer ticks of a call of empty functions, of the model */
    uint32_t faulted;
    uint32_t fault_pc;
    uint32_t fault_status;  /* CFSR */
    uint32_t fault_address; /* BFAR */
} te_emulator_record;

typedef struct {
    uint32_t address;
    uint32_t size_bytes;
} te_emulator_range;

extern te_emulator_record te_emulator_result;
extern te_emulator_range te_emulator_dump[TE_EMULATOR_RANGES]; /* ends at the first empty one */

void te_emulator_finished(void);

/* Ticks by layer, for emulators that cannot watch addresses; ends at the first without calls. */
typedef struct {
    const void *params;
    uint32_t calls;
    uint64_t ticks;
} te_emulator_layer;

extern te_emulator_layer te_emulator_layers[TE_EMULATOR_LAYERS];

#ifdef TE_EMULATOR_COUNT_LAYERS
void te_emulator_layers_begin(void);
void te_emulator_layers_end(void);
#else
static inline void te_emulator_layers_begin(void)
{
}

static inline void te_emulator_layers_end(void)
{
}
#endif

/* A free-running counter of virtual time where the machine has one, else 0. */
static inline void te_emulator_start_timer(void)
{
#if defined(TE_EMULATOR_CMSDK_TIMER)
    volatile uint32_t *timer = (volatile uint32_t *)TE_EMULATOR_CMSDK_TIMER;
    timer[2] = UINT32_MAX; /* reload */
    timer[1] = UINT32_MAX; /* value, counting down */
    timer[0] = 1;          /* enable */
#elif defined(TE_EMULATOR_SSE_COUNTER)
    *(volatile uint32_t *)TE_EMULATOR_SSE_COUNTER = 1;        /* CNTCR: enable */
#endif
}

static inline uint32_t te_emulator_ticks(void)
{
#if defined(TE_EMULATOR_CMSDK_TIMER)
    return ~((volatile uint32_t *)TE_EMULATOR_CMSDK_TIMER)[1];
#elif defined(TE_EMULATOR_SSE_COUNTER)
    return ((volatile uint32_t *)TE_EMULATOR_SSE_COUNTER)[2]; /* CNTCV, low word */
#else
    return 0;
#endif
}

#endif
