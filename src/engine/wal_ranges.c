#include "wal_ranges.h"
#include "base/cancel.h"

#include "wal_names.h"

#include <stdlib.h>

struct listing {
    uint64_t unit;
    struct wal_ranges *ranges;
    size_t begun; /* where this target's ranges begin */
};

static void
add(struct wal_ranges *x, uint32_t timeline, uint64_t first, uint64_t last)
{
    x->list = mem_grow(x->list, &x->cap, x->count + 1, sizeof *x->list);
    x->list[x->count++] = (struct wal_range){ timeline, first, last };
}

/* Listings are in order, so that a segment goes on with the last range or begins one. */
static int
take(void *arg, const struct object_info *o, struct err *e)
{
    struct listing *l = arg;
    struct wal_ranges *x = l->ranges;
    struct log_name name;
    struct wal_name n;

    if (cancel_check(e) < 0)
        return -1;
    if (!log_name(&name, o->key) || !wal_of_pos(name.timeline, name.pos, &n))
        return 0;
    x->newest = n.timeline > x->newest ? n.timeline : x->newest;
    if (n.kind != WAL_SEGMENT)
        return 0;
    uint64_t number = wal_number(n.place, l->unit);
    struct wal_range *last = x->count > l->begun ? &x->list[x->count - 1] : NULL;
    if (last && last->timeline == n.timeline && number <= last->last + 1)
        last->last = number > last->last ? number : last->last;
    else
        add(x, n.timeline, number, number);
    return 0;
}

static int
by_place(const void *a, const void *b)
{
    const struct wal_range *x = a, *y = b;

    if (x->timeline != y->timeline)
        return x->timeline < y->timeline ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* What touches becomes one. */
static void
merge(struct wal_ranges *x)
{
    size_t kept = 0;

    if (x->count > 0)
        qsort(x->list, x->count, sizeof *x->list, by_place);
    for (size_t i = 0; i < x->count; i++) {
        struct wal_range *last = kept > 0 ? &x->list[kept - 1] : NULL;
        const struct wal_range *r = &x->list[i];
        if (last && last->timeline == r->timeline && r->first <= last->last + 1)
            last->last = r->last > last->last ? r->last : last->last;
        else
            x->list[kept++] = *r;
    }
    x->count = kept;
}

int
wal_ranges_list(struct repo *r, const char stream[17], uint64_t unit,
                struct wal_ranges *out, struct err *e)
{
    AUTOFREE char *prefix = mem_printf("log/%s/", stream);
    struct fleet *f = repo_fleet(r);
    size_t asked = 0;

    *out = (struct wal_ranges){ 0 };
    for (size_t i = 0; i < fleet_count(f); i++) {
        struct target *t = fleet_target(f, i);
        struct listing l = { unit, out, out->count };
        struct err why = { 0 };
        if (!target_is_up(f, t))
            continue;
        if (storage_list(t->store, prefix, take, &l, &why) == 0) {
            asked++;
            continue;
        }
        if (why.kind == ERR_CANCELLED) {
            *e = why;
            wal_ranges_release(out);
            return -1;
        }
        fleet_fail(f, t, &why);
    }
    merge(out);
    out->proves = asked + fleet_quorum(f, NULL) > fleet_count(f);
    return 0;
}

void
wal_ranges_release(struct wal_ranges *x)
{
    mem_free(x->list);
    *x = (struct wal_ranges){ 0 };
}

const struct wal_range *
wal_ranges_find(const struct wal_ranges *x, uint32_t timeline, uint64_t number)
{
    for (size_t i = 0; i < x->count; i++)
        if (x->list[i].timeline == timeline && number >= x->list[i].first
            && number <= x->list[i].last)
            return &x->list[i];
    return NULL;
}
