/* SPDX-License-Identifier: Apache-2.0 */
/* arena.h - memory for what one datagram decodes into: taken in order, given back all at once,
 * or from a mark on.
 *
 * Not shared between threads. The memory is the caller's; an exhausted arena says no, and whoever
 * asked drops its message and counts it. */
#ifndef VR_WIRE_ARENA_H
#define VR_WIRE_ARENA_H

#include <stddef.h>
#include <stdint.h>

enum { ARENA_ALIGNMENT = 16 };

struct arena {
    uint8_t *memory; /* aligned to ARENA_ALIGNMENT */
    size_t size;     /* bytes */
    size_t used;     /* <= size */
};

static inline void arena_init(struct arena *arena, void *memory, size_t size)
{
    *arena = (struct arena){.memory = memory, .size = size, .used = 0};
}

/* Everything taken so far becomes invalid. */
static inline void arena_reset(struct arena *arena)
{
    arena->used = 0;
}

/* Aligned to ARENA_ALIGNMENT, not zeroed; NULL if there is not that much left. */
static inline void *arena_take(struct arena *arena, size_t size)
{
    const size_t padded = (size + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    if (padded < size || padded > arena->size - arena->used) {
        return NULL;
    }
    void *taken = arena->memory + arena->used;
    arena->used += padded;
    return taken;
}

/* Where it is now, for arena_rewind(). */
static inline size_t arena_mark(const struct arena *arena)
{
    return arena->used;
}

/* What was taken since arena_mark() said `mark` becomes invalid; the rest stays. */
static inline void arena_rewind(struct arena *arena, size_t mark)
{
    arena->used = mark;
}

#endif
