#include "state/state.h"
#include "base/fs.h"
#include "base/log.h"

#include "impl.h"

#include <stdarg.h>

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS named(name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS about(target TEXT, name TEXT, value BLOB,"
    " PRIMARY KEY(target, name)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS queue(id INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT,"
    " key TEXT, size INT, sha256 BLOB, rank INT, ended INT DEFAULT 0);"
    "CREATE INDEX IF NOT EXISTS queue_key ON queue(key);"
    "CREATE TABLE IF NOT EXISTS pending(pack BLOB PRIMARY KEY, record BLOB,"
    " published INT DEFAULT 0);"
    "CREATE INDEX IF NOT EXISTS pending_new ON pending(published) WHERE published=0;"
    "CREATE TABLE IF NOT EXISTS segments(key TEXT PRIMARY KEY, packs BLOB);"
    "CREATE TABLE IF NOT EXISTS commits(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " snapshot TEXT, target TEXT, packs BLOB, UNIQUE(snapshot, target));"
    "CREATE TABLE IF NOT EXISTS voids(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " snapshot TEXT, target TEXT, UNIQUE(snapshot, target));"
    "CREATE TABLE IF NOT EXISTS bad(id INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT,"
    " key TEXT, UNIQUE(target, key));"
    "CREATE TABLE IF NOT EXISTS lost(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " pack BLOB UNIQUE);"
    "CREATE TABLE IF NOT EXISTS marks(target TEXT, host TEXT, seq INT, snapshot TEXT,"
    " PRIMARY KEY(target, host)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS runs(id INTEGER PRIMARY KEY, kind TEXT, subject TEXT,"
    " ended INT, status INT, detail TEXT);";

int
state_open(const char *dir, bool temporary, struct state **out, struct err *e)
{
    struct state *s = mem_zalloc(sizeof *s);
    AUTOFREE char *path = fs_join(dir, "state.db");
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    pthread_mutex_init(&s->cache_lock, NULL);
    if (sql_open_shared(&s->main, path, temporary ? "OFF" : "FULL", schema, e) < 0) {
        state_close(s);
        return err_in(e, "opening the local state %s", path);
    }
    cache_open(s, dir);
    *out = s;
    return 0;
}

void
state_close(struct state *s)
{
    if (!s)
        return;
    cache_flush(s);
    sql_close(&s->cache);
    sql_close(&s->main);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->cache_lock);
    mem_free(s);
}

int
state_run(struct state *s, const char *query, struct err *e, const char *types, ...)
{
    va_list ap;

    pthread_mutex_lock(&s->lock);
    va_start(ap, types);
    int rc = sql_vrun(&s->main, query, types, ap, e);
    va_end(ap);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_begin(struct state *s, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    if (sql_run(&s->main, "BEGIN IMMEDIATE", "", e) == 0)
        return 0;
    pthread_mutex_unlock(&s->lock);
    return -1;
}

int
state_commit(struct state *s, struct err *e)
{
    int rc = sql_run(&s->main, "COMMIT", "", e);

    if (rc < 0) {
        state_abort(s);
        return -1;
    }
    pthread_mutex_unlock(&s->lock);
    return 0;
}

void
state_abort(struct state *s)
{
    struct err ignored = { 0 };

    if (sql_run(&s->main, "ROLLBACK", "", &ignored) < 0)
        log_debug("state: %s", err_text(&ignored));
    pthread_mutex_unlock(&s->lock);
}

int
state_get(struct state *s, const char *name, struct buf *out, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main, "SELECT value FROM named WHERE name=?", "t", e,
                                name);
    int rc = q ? sql_step(&s->main, q, e) : -1;
    if (rc == 1)
        buf_put_slice(out, sql_blob(q, 0));
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_put(struct state *s, const char *name, struct slice value, struct err *e)
{
    return state_run(s, "INSERT OR REPLACE INTO named VALUES(?,?)", e, "tb", name, value);
}

int
state_about_get(struct state *s, const char *target, const char *name, struct buf *out,
                struct err *e)
{
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main,
                                "SELECT value FROM about WHERE target=? AND name=?", "tt",
                                e, target, name);
    int rc = q ? sql_step(&s->main, q, e) : -1;
    if (rc == 1)
        buf_put_slice(out, sql_blob(q, 0));
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_about_put(struct state *s, const char *target, const char *name, struct slice value,
                struct err *e)
{
    return state_run(s, "INSERT OR REPLACE INTO about VALUES(?,?,?)", e, "ttb", target,
                     name, value);
}

/* Runs statements that take a target, as one change. */
static int
run_each(struct state *s, const char *const *queries, size_t count, const char *target,
         struct err *e)
{
    int rc = state_begin(s, e);

    if (rc < 0)
        return -1;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = sql_run(&s->main, queries[i], "t", e, target);
    if (rc < 0) {
        state_abort(s);
        return -1;
    }
    return state_commit(s, e);
}

int
state_target_new(struct state *s, const char *target, struct err *e)
{
    static const char *const queries[] = {
        "DELETE FROM about WHERE target=?",
        "DELETE FROM marks WHERE target=?",
        "DELETE FROM bad WHERE target=?",
        "UPDATE queue SET ended=0 WHERE target=? AND ended<>0",
    };

    return run_each(s, queries, COUNT_OF(queries), target, e);
}

int
state_target_gone(struct state *s, const char *target, struct err *e)
{
    static const char *const queries[] = {
        "DELETE FROM about WHERE target=?",   "DELETE FROM marks WHERE target=?",
        "DELETE FROM bad WHERE target=?",     "DELETE FROM queue WHERE target=?",
        "DELETE FROM commits WHERE target=?", "DELETE FROM voids WHERE target=?",
    };

    return run_each(s, queries, COUNT_OF(queries), target, e);
}

int
state_segment_put(struct state *s, const char *key, struct slice packs, struct err *e)
{
    return state_run(s, "INSERT OR REPLACE INTO segments VALUES(?,?)", e, "tb", key,
                     packs);
}

int
state_segment_get(struct state *s, const char *key, struct buf *packs, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main, "SELECT packs FROM segments WHERE key=?", "t",
                                e, key);
    int rc = q ? sql_step(&s->main, q, e) : -1;
    if (rc == 1)
        buf_put_slice(packs, sql_blob(q, 0));
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_mark_get(struct state *s, const char *target, const char *host, uint64_t *seq,
               struct buf *snapshot, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q =
        sql_query(&s->main, "SELECT seq,snapshot FROM marks WHERE target=? AND host=?",
                  "tt", e, target, host);
    int rc = q ? sql_step(&s->main, q, e) : -1;
    if (rc == 1) {
        *seq = (uint64_t)sql_int(q, 0);
        if (snapshot)
            buf_put_slice(snapshot, sql_blob(q, 1));
    }
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int
state_mark_put(struct state *s, const char *target, const char *host, uint64_t seq,
               const char *snapshot, struct err *e)
{
    return state_run(s, "INSERT OR REPLACE INTO marks VALUES(?,?,?,?)", e, "ttit", target,
                     host, (int64_t)seq, snapshot);
}

int
state_run_add(struct state *s, const char *kind, const char *subject, int64_t ended_s,
              int status, const char *detail, struct err *e)
{
    return state_run(
        s, "INSERT INTO runs(kind,subject,ended,status,detail) VALUES(?,?,?,?,?)", e,
        "ttiit", kind, subject, ended_s, (int64_t)status, detail);
}

int
state_run_list(struct state *s, unsigned limit, state_run_fn *fn, void *arg,
               struct err *e)
{
    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main,
                                "SELECT kind,subject,detail,ended,status FROM runs"
                                " ORDER BY id DESC LIMIT ?",
                                "i", e, (int64_t)limit);
    int rc = q ? sql_step(&s->main, q, e) : -1;
    while (rc == 1) {
        struct run_row row = { sql_text(q, 0), sql_text(q, 1), sql_text(q, 2),
                               sql_int(q, 3), (int)sql_int(q, 4) };
        rc = fn(arg, &row, e) < 0 ? -1 : sql_step(&s->main, q, e);
    }
    sql_end(q);
    pthread_mutex_unlock(&s->lock);
    return rc;
}
