#include "codec/cut.h"

#include <assert.h>

const struct cut_profile cut_files = { 64 << 10, 128 << 10, 512 << 10 };
const struct cut_profile cut_streams = { 8 << 10, 16 << 10, 64 << 10 };
const struct cut_profile cut_blocks = { 16 << 10, 16 << 10, 16 << 10 };

void
gear_init(struct gear *g, const uint8_t random[2048])
{
    for (size_t i = 0; i < 256; i++)
        g->table[i] = get_u64(random + 8 * i);
}

/* The high bits of a gear hash have seen the most bytes. */
static uint64_t
mask_of(unsigned bits)
{
    return ~(uint64_t)0 << (64 - bits);
}

/* From `i` to `end`: the position behind the first byte at which the masked
 * hash is zero, or `end` when there is none. */
static size_t
scan(const struct gear *g, const uint8_t *p, size_t i, size_t end, uint64_t mask,
     uint64_t *hash)
{
    uint64_t h = *hash;

    for (; i + 1 < end; i += 2) {
        h = (h << 1) + g->table[p[i]];
        if (!(h & mask))
            return *hash = h, i + 1;
        h = (h << 1) + g->table[p[i + 1]];
        if (!(h & mask))
            return *hash = h, i + 2;
    }
    if (i < end) {
        h = (h << 1) + g->table[p[i]];
        *hash = h;
        if (!(h & mask))
            return i + 1;
    }
    *hash = h;
    return end + 1; /* no hit */
}

size_t
cut_next(const struct gear *g, const struct cut_profile *p, struct slice data, bool last)
{
    unsigned bits = (unsigned)__builtin_ctz(p->avg);
    size_t end = data.len < p->max ? data.len : p->max;
    size_t middle = end < p->avg ? end : p->avg;
    uint64_t h = 0;

    assert(p->max <= CUT_MAX);
    if (p->min == p->max || end <= p->min)
        return end == p->max || last ? end : 0;
    size_t at = scan(g, data.ptr, p->min, middle, mask_of(bits + 2), &h);
    if (at <= middle)
        return at;
    at = scan(g, data.ptr, middle, end, mask_of(bits - 2), &h);
    if (at <= end)
        return at;
    return end == p->max || last ? end : 0;
}
