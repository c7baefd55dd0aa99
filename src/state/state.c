#include "state/state.h"
#include "base/fs.h"
#include "base/log.h"

#include "sql.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>

/* Cache entries are gathered into transactions of so many: each costs a write. */
#define CACHE_PUTS 64

struct state {
    struct sql main, cache;
    pthread_mutex_t lock; /* recursive: held from begin to commit */
    pthread_mutex_t cache_lock;
    struct {
        struct buf name, value;
    } puts[CACHE_PUTS]; /* not written yet */
    unsigned put_count;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS named(name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS queue(id INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT,"
    " key TEXT, size INT, sha256 BLOB, rank INT, ended INT DEFAULT 0);"
    "CREATE INDEX IF NOT EXISTS queue_key ON queue(key);"
    "CREATE TABLE IF NOT EXISTS pending(pack BLOB PRIMARY KEY, record BLOB,"
    " published INT DEFAULT 0);"
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

static const char cache_schema[] =
    "CREATE TABLE IF NOT EXISTS objects(name BLOB PRIMARY KEY, value BLOB, used INT);";

/* Opens cache.db; one that is damaged is thrown away. */
static void
open_cache(struct state *s, const char *dir)
{
    AUTOFREE char *path = fs_join(dir, "cache.db");
    struct err ignored = { 0 };

    for (int i = 0; i < 2; i++) {
        if (sql_open(&s->cache, path, "OFF", cache_schema, &ignored) == 0)
            return;
        log_info("the cache is made anew: %s", err_text(&ignored));
        sql_close(&s->cache);
        if (fs_remove_tree(path, &ignored) < 0)
            return;
    }
}

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
    if (sql_open(&s->main, path, temporary ? "OFF" : "FULL", schema, e) < 0) {
        state_close(s);
        return err_in(e, "opening the local state %s", path);
    }
    open_cache(s, dir);
    *out = s;
    return 0;
}

/* Writes what cache_put() gathered; what fails is forgotten. */
static void
flush_cache(struct state *s)
{
    struct err e = { 0 };
    int rc = s->put_count ? sql_run(&s->cache, "BEGIN IMMEDIATE", "", &e) : 0;

    for (unsigned i = 0; i < s->put_count; i++) {
        if (rc == 0)
            rc = sql_run(&s->cache,
                         "INSERT OR REPLACE INTO objects VALUES(?,?,"
                         "CAST(strftime('%s','now') AS INTEGER))",
                         "bb", &e, buf_slice(&s->puts[i].name),
                         buf_slice(&s->puts[i].value));
        buf_release(&s->puts[i].name);
        buf_release(&s->puts[i].value);
    }
    if (rc == 0 && s->put_count)
        rc = sql_run(&s->cache, "COMMIT", "", &e);
    if (rc < 0)
        log_debug("cache: %s", err_text(&e));
    s->put_count = 0;
}

void
state_close(struct state *s)
{
    if (!s)
        return;
    flush_cache(s);
    sql_close(&s->cache);
    sql_close(&s->main);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->cache_lock);
    mem_free(s);
}

/* Runs one statement under the lock. */
static int
run(struct state *s, const char *query, struct err *e, const char *types, ...)
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
    return run(s, "INSERT OR REPLACE INTO named VALUES(?,?)", e, "tb", name, value);
}

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
    return run(s, "UPDATE queue SET ended=? WHERE id=?", e, "ii", (int64_t)how, id);
}

int
state_queue_release(struct state *s, const char *key, struct err *e)
{
    return run(s, "DELETE FROM queue WHERE key=? AND ended<>0", e, "t", key);
}

int
state_queue_ended(struct state *s, struct buf *keys, struct err *e)
{
    int rc;

    pthread_mutex_lock(&s->lock);
    sqlite3_stmt *q = sql_query(&s->main,
                                "SELECT DISTINCT key FROM queue WHERE ended<>0"
                                " ORDER BY key",
                                "", e);
    for (rc = q ? 1 : -1; rc > 0;) {
        rc = sql_step(&s->main, q, e);
        if (rc == 1)
            buf_put(keys, sql_text(q, 0), strlen(sql_text(q, 0)) + 1);
    }
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
    return run(s, "INSERT OR REPLACE INTO pending(pack,record) VALUES(?,?)", e, "bb",
               pack, record);
}

int
state_pending_published(struct state *s, struct slice pack, struct err *e)
{
    return run(s, "UPDATE pending SET published=1 WHERE pack=?", e, "b", pack);
}

int
state_pending_drop(struct state *s, struct slice pack, struct err *e)
{
    return run(s, "DELETE FROM pending WHERE pack=?", e, "b", pack);
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
state_segment_put(struct state *s, const char *key, struct slice packs, struct err *e)
{
    return run(s, "INSERT OR REPLACE INTO segments VALUES(?,?)", e, "tb", key, packs);
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
state_commit_add(struct state *s, const char *snapshot, const char *target,
                 struct slice packs, struct err *e)
{
    return run(s, "INSERT OR REPLACE INTO commits(snapshot,target,packs) VALUES(?,?,?)",
               e, "ttb", snapshot, target, packs);
}

int
state_commit_done(struct state *s, const char *snapshot, const char *target,
                  struct err *e)
{
    return run(s, "DELETE FROM commits WHERE snapshot=? AND target=?", e, "tt", snapshot,
               target);
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
    return run(s, "INSERT OR IGNORE INTO voids(snapshot,target) VALUES(?,?)", e, "tt",
               snapshot, target);
}

int
state_void_done(struct state *s, const char *snapshot, const char *target, struct err *e)
{
    return run(s, "DELETE FROM voids WHERE snapshot=? AND target=?", e, "tt", snapshot,
               target);
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
state_forget_target(struct state *s, const char *target, struct err *e)
{
    static const char *const tables[] = {
        "DELETE FROM queue WHERE target=?", "DELETE FROM commits WHERE target=?",
        "DELETE FROM voids WHERE target=?", "DELETE FROM bad WHERE target=?",
        "DELETE FROM marks WHERE target=?",
    };
    static const char *const names[] = { "target", "health", "traffic", "verified" };
    int rc = state_begin(s, e);

    if (rc < 0)
        return -1;
    for (size_t i = 0; i < COUNT_OF(tables) && rc == 0; i++)
        rc = sql_run(&s->main, tables[i], "t", e, target);
    for (size_t i = 0; i < COUNT_OF(names) && rc == 0; i++) {
        AUTOFREE char *name = mem_printf("%s/%s", names[i], target);
        rc = sql_run(&s->main, "DELETE FROM named WHERE name=?", "t", e, name);
    }
    if (rc < 0) {
        state_abort(s);
        return -1;
    }
    return state_commit(s, e);
}

int
state_bad_add(struct state *s, const char *target, const char *key, struct err *e)
{
    return run(s, "INSERT OR IGNORE INTO bad(target,key) VALUES(?,?)", e, "tt", target,
               key);
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
    return run(s, "DELETE FROM bad WHERE id=?", e, "i", id);
}

int
state_lost_put(struct state *s, struct slice pack, struct err *e)
{
    return run(s, "INSERT OR REPLACE INTO lost(pack) VALUES(?)", e, "b", pack);
}

int
state_lost_drop(struct state *s, struct slice pack, struct err *e)
{
    return run(s, "DELETE FROM lost WHERE pack=?", e, "b", pack);
}

int
state_lost_list(struct state *s, state_blob_fn *fn, void *arg, struct err *e)
{
    return list_blobs(s, "SELECT pack,'' FROM lost ORDER BY id", "", NULL, fn, arg, e);
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
state_mark_clear(struct state *s, const char *target, struct err *e)
{
    return run(s, "DELETE FROM marks WHERE target=?", e, "t", target);
}

int
state_mark_put(struct state *s, const char *target, const char *host, uint64_t seq,
               const char *snapshot, struct err *e)
{
    return run(s, "INSERT OR REPLACE INTO marks VALUES(?,?,?,?)", e, "ttit", target, host,
               (int64_t)seq, snapshot);
}

int
state_run_add(struct state *s, const char *kind, const char *subject, int64_t ended_s,
              int status, const char *detail, struct err *e)
{
    return run(s, "INSERT INTO runs(kind,subject,ended,status,detail) VALUES(?,?,?,?,?)",
               e, "ttiit", kind, subject, ended_s, (int64_t)status, detail);
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

/* What is gathered but not written; NULL if it is not among it. */
static const struct buf *
gathered(const struct state *s, struct slice name)
{
    for (unsigned i = 0; i < s->put_count; i++)
        if (slice_equal(buf_slice(&s->puts[i].name), name))
            return &s->puts[i].value;
    return NULL;
}

static bool
append(struct buf *out, struct slice v)
{
    if (v.len > out->max - out->len)
        return false;
    buf_put_slice(out, v);
    return true;
}

bool
cache_get(struct state *s, struct slice name, struct buf *out)
{
    struct err ignored = { 0 };
    bool hit = false;

    if (!s->cache.db)
        return false;
    pthread_mutex_lock(&s->cache_lock);
    const struct buf *waiting = gathered(s, name);
    if (waiting) {
        hit = append(out, buf_slice(waiting));
    } else {
        sqlite3_stmt *q = sql_query(&s->cache, "SELECT value FROM objects WHERE name=?",
                                    "b", &ignored, name);
        if (q && sql_step(&s->cache, q, &ignored) == 1)
            hit = append(out, sql_blob(q, 0));
        sql_end(q);
    }
    pthread_mutex_unlock(&s->cache_lock);
    return hit;
}

void
cache_put(struct state *s, struct slice name, struct slice value)
{
    if (!s->cache.db)
        return;
    pthread_mutex_lock(&s->cache_lock);
    if (!gathered(s, name)) {
        s->puts[s->put_count].name = BUF(name.len);
        s->puts[s->put_count].value = BUF(value.len);
        buf_put_slice(&s->puts[s->put_count].name, name);
        buf_put_slice(&s->puts[s->put_count].value, value);
        if (++s->put_count == CACHE_PUTS)
            flush_cache(s);
    }
    pthread_mutex_unlock(&s->cache_lock);
}

void
cache_trim(struct state *s, uint64_t max_bytes)
{
    struct err e = { 0 };

    if (!s->cache.db)
        return;
    pthread_mutex_lock(&s->cache_lock);
    sqlite3_stmt *q = sql_query(&s->cache,
                                "SELECT page_count * page_size"
                                " FROM pragma_page_count(), pragma_page_size()",
                                "", &e);
    uint64_t size = q && sql_step(&s->cache, q, &e) == 1 ? (uint64_t)sql_int(q, 0) : 0;
    sql_end(q);
    if (size > max_bytes
        && sql_run(&s->cache,
                   "DELETE FROM objects WHERE rowid IN (SELECT rowid FROM objects"
                   " ORDER BY used, rowid LIMIT (SELECT count(*)/2 FROM objects))",
                   "", &e)
               < 0)
        log_debug("cache: %s", err_text(&e));
    pthread_mutex_unlock(&s->cache_lock);
}
