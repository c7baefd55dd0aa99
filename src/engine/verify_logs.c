#include "base/cancel.h"
#include "base/log.h"
#include "engine/wal_windows.h"
#include "repo/log.h"
#include "source/wal.h"

#include "verify_impl.h"

/* Level 3: every file of a log that the target has. */

struct log_reader {
    struct verify *v;
    struct chunk_tools tools;
    struct buf object;
};

static bool
is_damage(const struct err *e)
{
    return e->kind == ERR_CORRUPT || e->kind == ERR_FORGED || e->kind == ERR_UNSUPPORTED;
}

static int
read_log(void *arg, const struct object_info *o, struct err *e)
{
    struct log_reader *x = arg;
    struct verify *v = x->v;
    struct range range = { .key = o->key };
    struct log_name name;
    struct log_info info;
    struct err one = { 0 };

    if (cancel_check(e) < 0)
        return -1;
    if (!log_name(&name, o->key))
        return 0;
    buf_clear(&x->object);
    if (storage_get(v->target->store, &range, &x->object, &one) < 0 && !is_damage(&one)) {
        if (one.kind == ERR_NOT_FOUND) /* removed since it was listed */
            return 0;
        *e = one;
        return -1;
    }
    v->told->bytes_read += x->object.len;
    atomic_fetch_add(&v->progress.bytes, x->object.len);
    if (one.kind == ERR_NONE
        && log_check(v->repo, o->key, buf_slice(&x->object), &x->tools, &info, &one) < 0
        && !is_damage(&one)) {
        *e = one;
        return -1;
    }
    if (one.kind != ERR_NONE)
        (void)verify_bad(v, o->key, 0, false, err_text(&one));
    verify_tick(v);
    return 0;
}

int
verify_logs(struct verify *v, struct err *e)
{
    struct log_reader x = { .v = v, .object = BUF(LOG_OBJECT_MAX) };

    chunk_tools_init(&x.tools, 1);
    int rc = storage_list(v->target->store, "log/", read_log, &x, e);
    chunk_tools_release(&x.tools);
    buf_release(&x.object);
    return rc;
}

int
verify_windows(struct verify *v, struct err *e)
{
    const struct snapshot_list *l = &v->snapshots;

    for (size_t k = 0; k < l->count; k++) {
        const struct snapshot *s = &l->rows[k].info;
        struct wal_windows w;
        char lsn[20];
        if (!snapshot_is_newest(l, k))
            continue;
        if (engine_wal_windows(v->repo, l, &l->rows[k], &w, e) < 0)
            return -1;
        if (!w.broken)
            continue;
        log_warn("source %s: a file of its log is missing at %s of timeline %u: what is "
                 "stored behind it needs a new backup",
                 s->source, wal_lsn_text(w.hole, lsn), w.hole_timeline);
        v->result->holes++;
    }
    return 0;
}
