#include "impl.h"

#include <string.h>

int
state_queue_add(struct state *s, const struct queue_row *row, int64_t *id, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    int rc = sql_run(&s->main,
                     "INSERT INTO queue(target,key,size,sha256,rank) VALUES(?,?,?,?,?)",
                     "ttibi", e, row->target, row->key, (int64_t)row->size,
                     slice_of(row->sha256, 32), (int64_t)row->rank);
    if (rc == 0)
        *id = sql_last_id(&s->main);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_queue_end(struct state *s, int64_t id, enum queue_end how, struct err *e)
{
    return state_run(s, "UPDATE queue SET ended=? WHERE id=?", e, "ii", (int64_t)how, id);
}

int
state_queue_release(struct state *s, const char *key, struct err *e)
{
    return state_run(s, "DELETE FROM queue WHERE key=? AND ended<>0", e, "t", key);
}

int
state_queue_ended(struct state *s, const char *after, struct buf *key, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main,
                                "SELECT key FROM queue WHERE ended<>0 AND key>?"
                                " ORDER BY key LIMIT 1",
                                "t", e, after);
    int rc = q ? sql_step(&s->main, q, e) : -1;
    if (rc == 1)
        buf_put_str(key, sql_text(q, 0));
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_queue_holders(struct state *s, const char *key, state_queue_holder_fn *fn,
                    void *arg, struct err *e)
{
    int rc;

    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main, "SELECT target,ended FROM queue WHERE key=?",
                                "t", e, key);
    for (rc = q ? 1 : -1; rc > 0;) {
        rc = sql_step(&s->main, q, e);
        if (rc == 1)
            fn(arg, sql_text(q, 0), (enum queue_end)sql_int(q, 1));
    }
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_queue_list(struct state *s, const char *target, int64_t after, unsigned limit,
                 state_queue_fn *fn, void *arg, struct err *e)
{
    int rc;

    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main,
                                "SELECT id,target,key,size,sha256,rank FROM queue"
                                " WHERE (target=?1 OR ?1 IS NULL) AND id>?2 AND ended=0"
                                " ORDER BY id LIMIT ?3",
                                "tii", e, target, after, (int64_t)limit);
    rc = q ? sql_step(&s->main, q, e) : -1;
    while (rc == 1) {
        struct queue_row row = { .id = sql_int(q, 0),
                                 .target = sql_text(q, 1),
                                 .key = sql_text(q, 2),
                                 .size = (uint64_t)sql_int(q, 3),
                                 .rank = (enum queue_rank)sql_int(q, 5) };
        struct slice sha = sql_blob(q, 4);
        if (sha.len == sizeof row.sha256)
            memcpy(row.sha256, sha.ptr, sha.len);
        rc = fn(arg, &row, e) < 0 ? -1 : sql_step(&s->main, q, e);
    }
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_queue_last(struct state *s, int64_t *id, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main,
                                "SELECT seq FROM sqlite_sequence WHERE name='queue'", "",
                                e);
    int rc = q ? sql_step(&s->main, q, e) : -1;
    *id = rc == 1 ? sql_int(q, 0) : 0;
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc < 0 ? -1 : 0;
}

int
state_queue_lacks(struct state *s, const char *target, enum queue_rank rank,
                  struct err *e)
{
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(
        &s->main, "SELECT 1 FROM queue WHERE target=? AND rank=? AND ended<>? LIMIT 1",
        "tii", e, target, (int64_t)rank, (int64_t)QUEUE_DELIVERED);
    int rc = q ? sql_step(&s->main, q, e) : -1;
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_queue_sum(struct state *s, const char *target, uint64_t *rows, uint64_t *bytes,
                struct err *e)
{
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main,
                                "SELECT count(*),total(size) FROM queue WHERE target=?"
                                " AND ended=0",
                                "t", e, target);
    int rc = q ? sql_step(&s->main, q, e) : -1;
    if (rc == 1) {
        *rows = (uint64_t)sql_int(q, 0);
        *bytes = (uint64_t)sql_int(q, 1);
    }
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc < 0 ? -1 : 0;
}
