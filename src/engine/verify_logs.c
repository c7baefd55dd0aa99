#include "base/cancel.h"
#include "base/log.h"
#include "engine/wal_windows.h"
#include "repo/log.h"
#include "source/wal.h"

#include "verify_impl.h"

#include <string.h>

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

/* All that our keys let us see of it. */
static int
check_object(struct log_reader *x, const char *key, struct err *e)
{
    const struct keys *k = repo_keys(x->v->repo);
    struct slice object = buf_slice(&x->object);
    struct log_info info;

    if (!format_hash_fits(key, object))
        return err_set(e, ERR_CORRUPT, 0, "its bytes do not fit its name");
    return keys_can_open(k, CLASS_DATA)
             ? log_open(x->v->repo, object, &x->tools, &info, NULL, NULL, e)
             : log_peek(k, slice_sub(object, 0, HEADER_LEN), object, &info, e);
}

static int
read_log(void *arg, const struct object_info *o, struct err *e)
{
    struct log_reader *x = arg;
    struct verify *v = x->v;
    struct range range = { .key = o->key };
    struct log_name name;
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
    if (one.kind == ERR_NONE && check_object(x, o->key, &one) < 0 && !is_damage(&one)) {
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

/* Is it the newest of its source that is complete? */
static bool
is_last(const struct snapshot_list *l, size_t k)
{
    const struct snapshot_row *row = &l->rows[k];

    if (!row->loaded || !snapshot_committed(row))
        return false;
    for (size_t i = k + 1; i < l->count; i++)
        if (l->rows[i].loaded && snapshot_committed(&l->rows[i])
            && strcmp(l->rows[i].info.source, row->info.source) == 0
            && memcmp(l->rows[i].info.host_id, row->info.host_id, ID_LEN) == 0)
            return false;
    return true;
}

int
verify_windows(struct verify *v, struct err *e)
{
    const struct snapshot_list *l = &v->snapshots;

    for (size_t k = 0; k < l->count; k++) {
        const struct snapshot *s = &l->rows[k].info;
        struct wal_windows w;
        char lsn[20];
        if (!is_last(l, k))
            continue;
        if (engine_wal_windows(v->repo, l, s, &w, e) < 0)
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
