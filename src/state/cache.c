#include "base/fs.h"
#include "base/log.h"

#include "impl.h"

/* What is asked for is written again when it has lain there for so long, so that the
 * nodes of a tree that changes little do not become the oldest. */
#define RENEW_S "604800"

static const char cache_schema[] =
    "CREATE TABLE IF NOT EXISTS objects(name BLOB PRIMARY KEY, value BLOB, used INT);";

void
cache_open(struct state *s, const char *dir)
{
    AUTOFREE char *path = fs_join(dir, "cache.db");
    struct err ignored = { 0 };

    for (int i = 0; i < 2; i++) {
        if (sql_open_shared(&s->cache, path, "OFF", cache_schema, &ignored) == 0)
            return;
        log_info("the cache is made anew: %s", err_text(&ignored));
        sql_close(&s->cache);
        if (fs_remove_tree(path, &ignored) < 0)
            return;
    }
}

void
cache_flush(struct state *s)
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
    bool hit = false, old = false;
    size_t before = out->len;

    if (!s->cache.db)
        return false;
    pthread_mutex_lock(&s->cache_lock);
    const struct buf *waiting = gathered(s, name);
    if (waiting) {
        hit = append(out, buf_slice(waiting));
    } else {
        sqlite3_stmt *q = sql_query(&s->cache,
                                    "SELECT value,used<strftime('%s','now')-" RENEW_S
                                    " FROM objects WHERE name=?",
                                    "b", &ignored, name);
        if (q && sql_step(&s->cache, q, &ignored) == 1) {
            hit = append(out, sql_blob(q, 0));
            old = sql_int(q, 1) != 0;
        }
        sql_end(q);
    }
    pthread_mutex_unlock(&s->cache_lock);
    if (hit && old)
        cache_put(s, name, slice_of(out->ptr + before, out->len - before));
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
            cache_flush(s);
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
    /* What is deleted leaves free pages in the file, for what comes next. */
    sqlite3_stmt *q = sql_query(&s->cache,
                                "SELECT (page_count - freelist_count) * page_size"
                                " FROM pragma_page_count(), pragma_freelist_count(),"
                                " pragma_page_size()",
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
