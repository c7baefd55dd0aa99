#include "repo/log.h"

#include "impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX ((size_t)64 << 20) /* bytes, of one target */

/* What one target lists. */
struct listing {
    struct repo *repo;
    const char *prefix;
    struct buf rows[FLEET_TARGETS_MAX];
    struct err why[FLEET_TARGETS_MAX];
    bool asked[FLEET_TARGETS_MAX];
};

static int
take_row(void *arg, const struct object_info *o, struct err *e)
{
    struct buf *rows = arg;
    struct log_name name;

    if (!log_name(&name, o->key))
        return 0;
    if (rows->len + sizeof(struct log_row) > rows->max)
        return err_set(e, ERR_CORRUPT, 0, "there are too many objects for one file");
    struct log_row *row = (struct log_row *)buf_room(rows, sizeof *row);
    *row = (struct log_row){ .name = name, .size = o->size };
    snprintf(row->key, sizeof row->key, "%s", o->key);
    rows->len += sizeof *row;
    return 0;
}

static void
list_target(void *arg, struct target *t, size_t index)
{
    struct listing *l = arg;
    struct err *why = &l->why[index];

    l->asked[index] = storage_list(t->store, l->prefix, take_row, &l->rows[index], why)
                   == 0;
    if (!l->asked[index]) {
        fleet_fail(l->repo->fleet, t, why);
        (void)err_in(why, "target %s", t->name);
    }
}

static int
by_key(const void *a, const void *b)
{
    return strcmp(((const struct log_row *)a)->key, ((const struct log_row *)b)->key);
}

/* One row for each key, of all targets. */
static void
merge(struct listing *l, struct log_list *out)
{
    size_t all = 0, kept = 0;

    for (size_t i = 0; i < fleet_count(l->repo->fleet); i++)
        all += l->rows[i].len / sizeof *out->rows;
    out->rows = mem_alloc((all + 1) * sizeof *out->rows);
    for (size_t i = 0; i < fleet_count(l->repo->fleet); i++) {
        struct log_row *from = (struct log_row *)l->rows[i].ptr;
        for (size_t k = 0; k < l->rows[i].len / sizeof *from; k++) {
            from[k].have = 1u << i;
            out->rows[out->count++] = from[k];
        }
    }
    qsort(out->rows, out->count, sizeof *out->rows, by_key);
    for (size_t i = 0; i < out->count; i++)
        if (kept > 0 && by_key(&out->rows[kept - 1], &out->rows[i]) == 0)
            out->rows[kept - 1].have |= out->rows[i].have;
        else
            out->rows[kept++] = out->rows[i];
    out->count = kept;
}

int
log_list(struct repo *r, const char *prefix, struct log_list *out, struct err *e)
{
    struct listing l = { .repo = r, .prefix = prefix };

    *out = (struct log_list){ 0 };
    for (size_t i = 0; i < FLEET_TARGETS_MAX; i++)
        l.rows[i] = BUF(ROWS_MAX);
    fleet_each(r->fleet, false, list_target, &l);
    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        out->asked |= (uint32_t)l.asked[i] << i;
        if (!l.asked[i] && l.why[i].kind != ERR_NONE)
            out->why = l.why[i];
    }
    merge(&l, out);
    for (size_t i = 0; i < FLEET_TARGETS_MAX; i++)
        buf_release(&l.rows[i]);
    if (out->asked)
        return 0;
    *e = out->why;
    return e->kind == ERR_NONE ? fleet_nobody(r->fleet, e) : -1;
}

void
log_list_release(struct log_list *l)
{
    mem_free(l->rows);
    *l = (struct log_list){ 0 };
}

bool
log_list_proves(struct repo *r, const struct log_list *l)
{
    unsigned asked = (unsigned)__builtin_popcount(l->asked);

    return asked + fleet_quorum(r->fleet, NULL) > fleet_count(r->fleet);
}
