#include "base/cancel.h"
#include "base/fs.h"
#include "base/log.h"

#include "impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT_KEY_LEN 87
#define SEGMENTS_MAX ((size_t)4 << 20)

int
repo_renew_index(struct repo *r, const struct err *why, struct err *e)
{
    (why->kind == ERR_UNSUPPORTED
         ? log_info
         : log_warn)("the local index is made anew from the targets: %s", err_text(why));
    index_close(TAKE(r->index));
    if (fs_remove_tree(r->index_dir, e) < 0
        || index_open(r->index_dir, true, &r->index, e) < 0)
        return -1;
    /* Its numbers are others now. */
    for (size_t i = 0; i < FLEET_TARGETS_MAX; i++) {
        mem_free(TAKE(r->listed[i].packs));
        r->listed[i].pack_count = 0;
    }
    for (size_t i = 0; i < SPANS; i++)
        buf_clear(&r->spans[i].bytes);
    for (size_t i = 0; i < OPENED_KEYS; i++)
        r->opened[i].used = false;
    mem_free(TAKE(r->usable));
    r->usable_count = 0;
    return 0;
}

/* The segments that the targets list, each once with the target that has it. */
struct found {
    char key[SEGMENT_KEY_LEN + 1];
    struct target *target;
};

struct refilling {
    struct repo *repo;
    struct index_refill *refill;
    struct target *target;
    struct found *found;
    size_t count, cap;
};

static int
segment_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct refilling *x = arg;

    if (strlen(o->key) > SEGMENT_KEY_LEN || o->size > SEGMENT_MAX)
        return 0;
    if (x->count == SEGMENTS_MAX)
        return err_set(e, ERR_UNSUPPORTED, 0, "too many index segments");
    x->found = mem_grow(x->found, &x->cap, x->count + 1, sizeof *x->found);
    struct found *f = &x->found[x->count++];
    snprintf(f->key, sizeof f->key, "%s", o->key);
    f->target = x->target;
    return cancel_check(e);
}

static int
by_key(const void *a, const void *b)
{
    return strcmp(((const struct found *)a)->key, ((const struct found *)b)->key);
}

static int
put_back(void *arg, const struct segment_pack *p, struct err *e)
{
    struct refilling *x = arg;

    return index_refill_pack(x->refill, p->name, &p->directory, e);
}

/* Reads a segment from the first target that has it whole. */
static int
read_anywhere(struct refilling *x, const struct found *f, size_t copies, struct err *e)
{
    for (size_t i = 0; i < copies; i++) {
        struct err bad = { 0 };
        if (cancel_check(e) < 0)
            return -1;
        if (segment_read(x->repo, f[i].target, f->key, put_back, x, &bad) == 0)
            return 0;
        if (bad.kind == ERR_IO || bad.kind == ERR_FULL || bad.kind == ERR_CANCELLED) {
            *e = bad;
            return -1;
        }
        log_warn("target %s: %s is not used: %s", f[i].target->name, f->key,
                 err_text(&bad));
    }
    return 0;
}

static int
read_segments(struct refilling *x, struct err *e)
{
    struct fleet *f = x->repo->fleet;
    unsigned answered = 0;
    int rc = 0;

    for (size_t i = 0; i < fleet_count(f); i++) {
        struct err away = { 0 };
        x->target = fleet_target(f, i);
        if (!target_is_up(f, x->target))
            continue;
        if (storage_list(x->target->store, "index/", segment_listed, x, &away) == 0)
            answered++;
        else
            fleet_fail(f, x->target, &away);
    }
    if (cancel_check(e) < 0)
        return -1;
    if (answered == 0)
        return fleet_nobody(f, e);
    if (x->count > 0)
        qsort(x->found, x->count, sizeof *x->found, by_key);
    for (size_t i = 0, n; i < x->count && rc == 0; i += n) {
        for (n = 1; i + n < x->count; n++)
            if (strcmp(x->found[i].key, x->found[i + n].key) != 0)
                break;
        rc = read_anywhere(x, &x->found[i], n, e);
    }
    return rc;
}

static int
put_back_pending(void *arg, struct slice name, struct slice locked, struct err *e)
{
    struct refilling *x = arg;
    AUTOBUF struct buf plain = BUF(locked.len);
    struct segment_pack p;

    if (pending_open(x->repo, name, locked, &plain, &p, e) < 0)
        return -1;
    return put_back(x, &p, e);
}

int
repo_refill_index(void *arg, struct index_refill *f, struct err *e)
{
    struct refilling x = { .repo = arg, .refill = f };
    int rc = read_segments(&x, e);

    if (rc == 0)
        rc = state_pending_list(x.repo->state, true, put_back_pending, &x, e);
    mem_free(x.found);
    return rc;
}
