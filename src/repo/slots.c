/* Which copy of a key slot is right? */
#include "impl.h"

#include <string.h>

enum holding { HOLDS, HOLDS_NOT, SILENT };

/* What each target holds of one slot. What cannot be a slot is an empty copy. */
struct copies {
    enum holding how[FLEET_TARGETS_MAX];
    struct buf bytes[FLEET_TARGETS_MAX];
    size_t count, silent;
    struct err why; /* one is silent */
};

static enum holding
get_copy(struct target *t, const char *key, struct buf *out, struct err *e)
{
    struct range range = { .key = key };
    struct slot_info info;
    struct err bad = { 0 };

    if (storage_get(t->store, &range, out, e) < 0) {
        out->len = 0;
        return e->kind == ERR_NOT_FOUND ? HOLDS_NOT
             : e->kind == ERR_CORRUPT   ? HOLDS
                                        : SILENT;
    }
    if (slot_info(buf_slice(out), &info, &bad) < 0)
        out->len = 0;
    return HOLDS;
}

/* Also of `t` itself when it is no target yet. */
static void
get_copies(struct repo *r, const struct target *t, const char *key, struct copies *c)
{
    *c = (struct copies){ .count = fleet_count(r->fleet) };
    for (size_t i = 0; i < c->count; i++) {
        struct target *from = fleet_target(r->fleet, i);
        struct err one = { 0 };
        c->bytes[i] = BUF(SLOT_MAX);
        if (from == t || target_is_up(r->fleet, from))
            c->how[i] = get_copy(from, key, &c->bytes[i], &one);
        else
            c->how[i] = SILENT;
        if (c->how[i] != SILENT)
            continue;
        if (one.kind == ERR_NONE)
            err_set(&one, ERR_UNAVAIL, 0, "target %s does not answer", from->name);
        c->silent++;
        if (from == t || c->why.kind == ERR_NONE)
            c->why = one;
    }
}

static unsigned
votes(const struct copies *c, size_t copy)
{
    unsigned n = 0;

    for (size_t i = 0; i < c->count; i++)
        n += slice_equal(buf_slice(&c->bytes[i]), buf_slice(&c->bytes[copy]));
    return n;
}

/* The one that this host has opened, or that of the most targets; one alone is only
 * right when all have been asked. NULL: it cannot be told. */
static const struct buf *
right_copy(struct repo *r, const struct copies *c)
{
    AUTOBUF struct buf opened = BUF(SLOT_MAX);
    const struct buf *best = NULL;
    unsigned most = 0;
    bool tie = false;
    struct err none = { 0 };

    if (state_get(r->state, "slot", &opened, &none) < 0)
        opened.len = 0;
    for (size_t i = 0; i < c->count; i++) {
        const struct buf *b = &c->bytes[i];
        if (b->len == 0)
            continue;
        if (slice_equal(buf_slice(b), buf_slice(&opened)))
            return b;
        unsigned n = votes(c, i);
        bool same = best && slice_equal(buf_slice(b), buf_slice(best));
        tie = n > most ? false : tie || (n == most && !same);
        if (n > most) {
            best = b;
            most = n;
        }
    }
    return tie || (most < 2 && c->silent > 0) ? NULL : best;
}

static bool
all_agree(const struct copies *c, const struct buf *mine)
{
    for (size_t i = 0; i < c->count; i++)
        if (c->how[i] == HOLDS && !slice_equal(buf_slice(&c->bytes[i]), buf_slice(mine)))
            return false;
    return mine->len > 0;
}

static enum slot_copy
judge(struct repo *r, const struct copies *c, size_t index, struct buf *good,
      struct err *why)
{
    const struct buf *mine = &c->bytes[index];
    const struct buf *right = right_copy(r, c);

    if (right)
        buf_put_slice(good, buf_slice(right));
    else if (c->silent > 0)
        *why = c->why;
    else
        err_set(why, ERR_CORRUPT, 0,
                "the targets' copies differ, and none is in the "
                "majority");
    if (c->how[index] == HOLDS_NOT)
        return SLOT_MISSING;
    if (right ? slice_equal(buf_slice(mine), buf_slice(right)) : all_agree(c, mine))
        return SLOT_RIGHT;
    return SLOT_WRONG;
}

int
repo_slot_judge(struct repo *r, const struct target *t, const char *key, struct buf *good,
                struct err *why, struct err *e)
{
    struct copies c;
    size_t index = 0;
    int rc = -1;

    while (fleet_target(r->fleet, index) != t)
        index++;
    get_copies(r, t, key, &c);
    if (c.how[index] == SILENT)
        *e = c.why;
    else
        rc = (int)judge(r, &c, index, good, why);
    for (size_t i = 0; i < c.count; i++)
        buf_release(&c.bytes[i]);
    return rc;
}
