/*
 * random: unpredictable bytes, or repeatable ones under a seed.
 *
 * Keys always come from the kernel. Choices that shape stored bytes (session
 * keys, which of the open packs) come through `struct random`, so that a test
 * with a fixed seed gets the same bytes every time.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t seed; /* 0: the kernel's generator */
    uint64_t counter;
};

void random_bytes(struct random *r, void *out, size_t len);
uint32_t random_below(struct random *r, uint32_t n); /* 0 to n - 1 */

#endif
