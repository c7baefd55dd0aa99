/*
 * memory: how much a run takes.
 *
 * Everything large is taken at the start: buffers of one size, or threads that have
 * some each. A person's limit says how many.
 */
#ifndef ENGINE_MEMORY_H
#define ENGINE_MEMORY_H

#include <stdint.h>

#define MEMORY_MIN ((uint64_t)48 << 20)
/* Code, keys, what is known of packs and targets, and packs that are being written. */
#define MEMORY_BASE ((uint64_t)32 << 20)

/* How many of `unit` bytes; without a limit (0) the usual number. */
static inline unsigned
memory_units(uint64_t limit, uint64_t unit, unsigned usual)
{
    if (limit == 0)
        return usual;
    uint64_t n = limit > MEMORY_BASE ? (limit - MEMORY_BASE) / unit : 0;
    return n < 1 ? 1 : n < 1024 ? (unsigned)n : 1024;
}

#endif
