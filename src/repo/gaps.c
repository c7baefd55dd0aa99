#include "codec/record.h"

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
    uint8_t *numbers;   /* a bit per pack: needed, and not named there */
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

/* Has the segment of a pack of this host, which was queued before the snapshot,
 * arrived? 1; 0 the pack has no such segment; -1. */
static int
has_come(struct gaps *g, const uint8_t name[32], struct err *e)
{
    struct repo *r = g->repo;
    const struct target *t = fleet_target(r->fleet, g->target);
    int rc = state_pending_is_published(r->state, slice_of(name, 32), e);

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

/* Marks what is needed and not named by the target's index. */
static int
find(struct gaps *g, struct err *e)
{
    struct repo *r = g->repo;

    g->left = 0;
    for (uint32_t n = 0; n < g->count; n++) {
        uint8_t name[32];
        uint64_t size;
        g->numbers[n / 8] = (uint8_t)(g->numbers[n / 8] & ~(1u << n % 8));
        if (repo_listed(r, g->target, n))
            continue;
        int rc = index_pack(r->index, n, name, &size, e);
        if (rc == 1 && !bsearch(name, g->names.ptr, g->names.len / 32, 32, by_name))
            rc = 0;
        if (rc == 1) {
            rc = has_come(g, name, e);
            rc = rc < 0 ? -1 : !rc;
        }
        if (rc < 0)
            return -1;
        if (rc == 1) {
            g->numbers[n / 8] = (uint8_t)(g->numbers[n / 8] | 1u << n % 8);
            g->left++;
        }
    }
    return 0;
}

/* A segment that names any of them is to be copied. */
static int
take_segment(void *arg, struct slice key, struct slice numbers, struct err *e)
{
    struct gaps *g = arg;
    bool wanted = false;

    (void)e;
    for (size_t i = 0; i + 4 <= numbers.len; i += 4) {
        uint32_t n = get_u32(numbers.ptr + i);
        if (n >= g->count || !has_bit(g->numbers, n))
            continue;
        g->numbers[n / 8] = (uint8_t)(g->numbers[n / 8] & ~(1u << n % 8));
        g->left--;
        wanted = true;
    }
    if (wanted) {
        buf_put_slice(g->keys, key);
        buf_put_u8(g->keys, 0);
    }
    return 0;
}

int
repo_index_gaps(struct repo *r, size_t target, struct slice packs, struct buf *keys,
                struct err *e)
{
    AUTOBUF struct buf sorted = BUF(packs.len);
    struct gaps g = {
        .repo = r, .target = target, .count = index_packs(r->index), .keys = keys
    };

    buf_put_slice(&sorted, packs);
    if (packs.len > 0)
        qsort(sorted.ptr, packs.len / 32, 32, by_name);
    g.names = buf_slice(&sorted);
    AUTOFREE uint8_t *numbers = g.numbers = mem_zalloc(g.count / 8 + 1);
    if (find(&g, e) < 0)
        return -1;
    if (g.left > 0 && (repo_list_index(r, target, e) < 0 || find(&g, e) < 0))
        return -1;
    if (g.left > 0 && index_segment_each(r->index, take_segment, &g, e) < 0)
        return -1;
    (void)numbers;
    return g.left == 0
             ? 0
             : err_set(e, ERR_CORRUPT, 0,
                       "no index names %u of the packs that the snapshot needs; "
                       "back up again",
                       g.left);
}
