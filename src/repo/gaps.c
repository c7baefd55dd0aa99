#include "impl.h"

#include <stdlib.h>
#include <string.h>

/* A target restores alone, so its own index has to name every pack that a snapshot
 * there needs. New data may rely on a pack that another target's index names: when
 * the pack was copied, or lay there already, the segment that names it has to come
 * as well. */

struct gaps {
    struct repo *repo;
    size_t target;
    struct slice names; /* of the snapshot's packs, sorted */
    bool *named;        /* for each: the target's index names it, or will */
    uint8_t *numbers;   /* a bit per pack: needed, and its number is not named there */
    uint32_t count, left;
    bool all_came; /* no segment waits for the target */
    struct buf *keys;
};

static int
by_name(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

static bool
has_bit(const uint8_t *bits, uint32_t i)
{
    return bits[i / 8] >> i % 8 & 1;
}

/* Is the pack needed, and which of the names is its? 1, 0, -1. */
static int
is_needed(const struct gaps *g, uint32_t n, size_t *which, struct err *e)
{
    uint8_t name[32];
    uint64_t size;
    int rc = index_pack(g->repo->index, n, name, &size, e);
    const uint8_t *hit = rc == 1
                           ? bsearch(name, g->names.ptr, g->names.len / 32, 32, by_name)
                           : NULL;

    if (hit)
        *which = (size_t)(hit - g->names.ptr) / 32;
    return rc < 0 ? -1 : hit != NULL;
}

/* Has the segment of a pack of this host, which was queued before the snapshot,
 * arrived? 1; 0 the pack has no such segment; -1. */
static int
has_come(struct gaps *g, size_t which, struct err *e)
{
    struct repo *r = g->repo;
    const struct target *t = fleet_target(r->fleet, g->target);
    int rc = state_pending_is_published(r->state, slice_sub(g->names, which * 32, 32), e);

    if (rc == 1 && !g->all_came) {
        int lacks = state_queue_lacks(r->state, t->name, RANK_INDEX, e);
        if (lacks == 1)
            err_set(e, ERR_UNAVAIL, 0,
                    "index segments of the snapshot still wait for it");
        if (lacks != 0)
            return -1;
        g->all_came = true;
    }
    return rc;
}

/* Marks the numbers that are needed and not named by the target's index. */
static int
find(struct gaps *g, struct err *e)
{
    memset(g->numbers, 0, g->count / 8 + 1);
    g->left = 0;
    for (uint32_t n = 0; n < g->count; n++) {
        size_t which = 0;
        if (repo_listed(g->repo, g->target, n))
            continue;
        int rc = is_needed(g, n, &which, e), come = rc == 1 ? has_come(g, which, e) : 0;
        if (rc < 0 || come < 0)
            return -1;
        if (rc == 0 || come == 1)
            continue;
        g->numbers[n / 8] = (uint8_t)(g->numbers[n / 8] | 1u << n % 8);
        g->left++;
    }
    return 0;
}

/* A pack may have two numbers after a kill; one that is named is enough. */
static int
find_named(struct gaps *g, struct err *e)
{
    for (uint32_t n = 0; n < g->count; n++) {
        size_t which = 0;
        int rc = repo_listed(g->repo, g->target, n) ? is_needed(g, n, &which, e) : 0;
        if (rc < 0)
            return -1;
        if (rc == 1)
            g->named[which] = true;
    }
    return 0;
}

/* A segment that names any of them is to be copied. */
static int
take_segment(void *arg, struct slice key, struct slice numbers, struct err *e)
{
    struct gaps *g = arg;
    bool wanted = false;

    for (size_t i = 0; i + 4 <= numbers.len; i += 4) {
        uint32_t n = get_u32(numbers.ptr + i);
        size_t which = 0;
        int rc = n < g->count && has_bit(g->numbers, n) ? is_needed(g, n, &which, e) : 0;
        if (rc < 0)
            return -1;
        if (rc == 1 && !g->named[which])
            wanted = g->named[which] = true;
    }
    if (wanted) {
        buf_put_slice(g->keys, key);
        buf_put_u8(g->keys, 0);
    }
    return 0;
}

/* Which of the marked ones no segment names. */
static int
count_unnamed(struct gaps *g, struct err *e)
{
    g->left = 0;
    for (uint32_t n = 0; n < g->count; n++) {
        size_t which = 0;
        int rc = has_bit(g->numbers, n) ? is_needed(g, n, &which, e) : 0;
        if (rc < 0)
            return -1;
        g->left += rc == 1 && !g->named[which];
    }
    if (g->left == 0)
        return 0;
    return err_set(
        e, ERR_CORRUPT, 0,
        "no index names %u of the packs that the snapshot needs; back up again", g->left);
}

int
repo_index_gaps(struct repo *r, size_t target, struct slice packs, struct buf *keys,
                struct err *e)
{
    AUTOBUF struct buf sorted = BUF(packs.len);
    uint32_t count = index_packs(r->index);
    AUTOFREE bool *named = mem_zalloc(packs.len / 32 + 1);
    AUTOFREE uint8_t *numbers = mem_zalloc(count / 8 + 1);

    buf_put_slice(&sorted, packs);
    if (packs.len > 0)
        qsort(sorted.ptr, packs.len / 32, 32, by_name);
    struct gaps g = { .repo = r,
                      .target = target,
                      .names = buf_slice(&sorted),
                      .named = named,
                      .numbers = numbers,
                      .count = count,
                      .keys = keys };
    if (packs.len == 0)
        return 0;
    if (find(&g, e) < 0)
        return -1;
    if (g.left > 0 && (repo_list_index(r, target, e) < 0 || find(&g, e) < 0))
        return -1;
    if (g.left == 0)
        return 0;
    if (find_named(&g, e) < 0 || index_segment_each(r->index, take_segment, &g, e) < 0)
        return -1;
    return count_unnamed(&g, e);
}
