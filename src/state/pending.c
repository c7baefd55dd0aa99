/* What is not done yet: packs in no segment, commits, voids, bad and lost objects. */
#include "impl.h"

/* Lists (name, value) rows of a query with an optional text parameter. */
static int
list_blobs(struct state *s, const char *query, const char *types, const char *param,
           state_blob_fn *fn, void *arg, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main, query, types, e, param);
    int rc = q ? sql_step(&s->main, q, e) : -1;
    while (rc == 1)
        rc = fn(arg, sql_blob(q, 0), sql_blob(q, 1), e) < 0 ? -1
                                                            : sql_step(&s->main, q, e);
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_pending_put(struct state *s, struct slice pack, struct slice record, struct err *e)
{
    return state_run(s, "INSERT OR REPLACE INTO pending(pack,record) VALUES(?,?)", e,
                     "bb", pack, record);
}

int
state_pending_published(struct state *s, struct slice pack, struct err *e)
{
    return state_run(s, "UPDATE pending SET published=1 WHERE pack=?", e, "b", pack);
}

int
state_pending_is_published(struct state *s, struct slice pack, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main,
                                "SELECT 1 FROM pending WHERE pack=? AND published=1", "b",
                                e, pack);
    int rc = q ? sql_step(&s->main, q, e) : -1;
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_pending_drop(struct state *s, struct slice pack, struct err *e)
{
    return state_run(s, "DELETE FROM pending WHERE pack=?", e, "b", pack);
}

int
state_pending_list(struct state *s, bool published_too, state_blob_fn *fn, void *arg,
                   struct err *e)
{
    return list_blobs(s,
                      published_too ? "SELECT pack,record FROM pending ORDER BY rowid"
                                    : "SELECT pack,record FROM pending WHERE published=0"
                                      " ORDER BY rowid",
                      "", NULL, fn, arg, e);
}

int
state_pending_next(struct state *s, int64_t *id, struct buf *pack, struct buf *record,
                   struct err *e)
{
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main,
                                "SELECT rowid,pack,record FROM pending WHERE rowid>?"
                                " ORDER BY rowid LIMIT 1",
                                "i", e, *id);
    int rc = q ? sql_step(&s->main, q, e) : -1;
    if (rc == 1) {
        struct slice name = sql_blob(q, 1), value = sql_blob(q, 2);
        if (name.len > pack->max - pack->len || value.len > record->max - record->len)
            rc = err_set(e, ERR_CORRUPT, 0, "the local state is damaged");
        if (rc == 1) {
            *id = sql_int(q, 0);
            buf_put_slice(pack, name);
            buf_put_slice(record, value);
        }
    }
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_segment_list(struct state *s, state_blob_fn *fn, void *arg, struct err *e)
{
    return list_blobs(s, "SELECT key,packs FROM segments", "", NULL, fn, arg, e);
}

int
state_commit_add(struct state *s, const char *snapshot, const char *target,
                 struct slice packs, struct err *e)
{
    return state_run(
        s, "INSERT OR REPLACE INTO commits(snapshot,target,packs) VALUES(?,?,?)", e,
        "ttb", snapshot, target, packs);
}

int
state_commit_done(struct state *s, const char *snapshot, const char *target,
                  struct err *e)
{
    return state_run(s, "DELETE FROM commits WHERE snapshot=? AND target=?", e, "tt",
                     snapshot, target);
}

int
state_commit_get(struct state *s, const char *snapshot, const char *target,
                 struct buf *packs, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main,
                                "SELECT packs FROM commits WHERE snapshot=? AND target=?",
                                "tt", e, snapshot, target);
    int rc = q ? sql_step(&s->main, q, e) : -1;
    if (rc == 1)
        buf_put_slice(packs, sql_blob(q, 0));
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_commit_next(struct state *s, const char *target, int64_t *id, struct buf *snapshot,
                  struct buf *packs, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main,
                                "SELECT id,snapshot,packs FROM commits"
                                " WHERE target=? AND id>? ORDER BY id LIMIT 1",
                                "ti", e, target, *id);
    int rc = q ? sql_step(&s->main, q, e) : -1;
    if (rc == 1) {
        *id = sql_int(q, 0);
        buf_put_slice(snapshot, sql_blob(q, 1));
        buf_put_slice(packs, sql_blob(q, 2));
    }
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_commit_list(struct state *s, const char *target, state_blob_fn *fn, void *arg,
                  struct err *e)
{
    return list_blobs(s, "SELECT snapshot,packs FROM commits WHERE target=? ORDER BY id",
                      "t", target, fn, arg, e);
}

int
state_void_add(struct state *s, const char *snapshot, const char *target, struct err *e)
{
    return state_run(s, "INSERT OR IGNORE INTO voids(snapshot,target) VALUES(?,?)", e,
                     "tt", snapshot, target);
}

int
state_void_done(struct state *s, const char *snapshot, const char *target, struct err *e)
{
    return state_run(s, "DELETE FROM voids WHERE snapshot=? AND target=?", e, "tt",
                     snapshot, target);
}

int
state_void_first(struct state *s, const char *target, struct buf *snapshot, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main,
                                "SELECT snapshot FROM voids WHERE target=?"
                                " ORDER BY id LIMIT 1",
                                "t", e, target);
    int rc = q ? sql_step(&s->main, q, e) : -1;
    if (rc == 1)
        buf_put_slice(snapshot, sql_blob(q, 0));
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_bad_add(struct state *s, const char *target, const char *key, struct err *e)
{
    return state_run(s, "INSERT OR IGNORE INTO bad(target,key) VALUES(?,?)", e, "tt",
                     target, key);
}

int
state_bad_next(struct state *s, const char *target, int64_t *id, struct buf *key,
               struct err *e)
{
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main,
                                "SELECT id,key FROM bad WHERE target=? AND id>?"
                                " ORDER BY id LIMIT 1",
                                "ti", e, target, *id);
    int rc = q ? sql_step(&s->main, q, e) : -1;
    if (rc == 1) {
        *id = sql_int(q, 0);
        buf_put_str(key, sql_text(q, 1));
    }
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_bad_drop(struct state *s, int64_t id, struct err *e)
{
    return state_run(s, "DELETE FROM bad WHERE id=?", e, "i", id);
}

int
state_lost_put(struct state *s, struct slice pack, struct err *e)
{
    return state_run(s, "INSERT OR REPLACE INTO lost(pack) VALUES(?)", e, "b", pack);
}

int
state_lost_drop(struct state *s, struct slice pack, struct err *e)
{
    return state_run(s, "DELETE FROM lost WHERE pack=?", e, "b", pack);
}

int
state_lost_list(struct state *s, state_blob_fn *fn, void *arg, struct err *e)
{
    return list_blobs(s, "SELECT pack,'' FROM lost ORDER BY id", "", NULL, fn, arg, e);
}
