/*
 * A SQLite database, copied by the library's own backup while others write to it.
 *
 * With a write-ahead log the copy is taken within one read transaction, which holds up
 * nobody. Otherwise that would keep writers from committing, so it is taken in steps
 * between which they may; SQLite begins again when one did. Only a database that is
 * written to all the time is held in the end.
 */
#include "../copy.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEP_PAGES 1024
#define STEP_PAUSE_MS 2    /* in which others may commit */
#define AGAIN_MAX 3        /* beginnings, until the database is held */
#define BUSY_MAX_MS 60000  /* for somebody else's transaction to end */
#define BUSY_ONCE_MS 200   /* the same, before it is looked whether to go on */
#define CHECK_OPS 10000000 /* of SQLite's machine, between two looks at the clock */
#define WAL_AT 18          /* of the header: 2 with a write-ahead log */

struct sqlite {
    struct copy copy; /* first */
    const struct conf_source *conf;
    char *path; /* of the database, without links */
};

static struct sqlite *
sqlite_of(struct copy *c)
{
    return (struct sqlite *)c;
}

static int
fail(const struct sqlite *s, sqlite3 *db, const char *what, struct err *e)
{
    return err_set(e, ERR_SOURCE, 0, "%s %s: SQLite: %s", what, s->path,
                   db ? sqlite3_errmsg(db) : "out of memory");
}

static int
exec(const struct sqlite *s, sqlite3 *db, const char *script, const char *what,
     struct err *e)
{
    return sqlite3_exec(db, script, NULL, NULL, NULL) == SQLITE_OK ? 0
                                                                   : fail(s, db, what, e);
}

static void
close_db(sqlite3 **db)
{
    sqlite3_close(*db);
}

static void
end_query(sqlite3_stmt **st)
{
    sqlite3_finalize(*st);
}

/* Looks at the file. *wal: it has a write-ahead log. */
static int
look(struct sqlite *s, bool *wal, struct err *e)
{
    AUTOCLOSE int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    AUTOFREE char *shm = mem_printf("%s-shm", s->path);
    uint8_t version = 0;

    if (fd < 0 || fstat(fd, &s->copy.from) < 0)
        return err_set(e, ERR_SOURCE, errno, "the database %s: %s", s->path,
                       strerror(errno));
    if (!S_ISREG(s->copy.from.st_mode))
        return err_set(e, ERR_SOURCE, 0, "the database %s is no file", s->path);
    if (s->copy.from.st_size == 0 && !s->conf->allow_empty)
        return err_set(e, ERR_SOURCE, 0,
                       "the database %s is empty; set `allow-empty: true` if it may be",
                       s->path);
    *wal = pread(fd, &version, 1, WAL_AT) == 1 && version == 2;
    /* The reader would make a file that the database's owner then cannot write to. */
    if (*wal && geteuid() != 0 && geteuid() != s->copy.from.st_uid
        && access(shm, F_OK) < 0)
        return err_set(e, ERR_SOURCE, 0,
                       "the database %s has a write-ahead log and belongs to another "
                       "user; run drtool as root, as that user, or while it is in use",
                       s->path);
    return 0;
}

static int
open_db(const struct sqlite *s, const char *path, int flags, sqlite3 **out, struct err *e)
{
    if (sqlite3_open_v2(path, out, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return fail(s, *out, "opening", e);
    sqlite3_busy_timeout(*out, BUSY_ONCE_MS);
    return 0;
}

/* Copies step by step. 1 done; 0 others changed it too often; -1. */
static int
run_steps(struct sqlite *s, sqlite3 *from, sqlite3 *to, bool held, struct err *e)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    int64_t until = clock_mono_ms() + BUSY_MAX_MS;
    int rc = b ? SQLITE_OK : SQLITE_ERROR, again = 0, cancelled = 0, left = INT32_MAX;

    while (rc == SQLITE_OK && again < AGAIN_MAX && cancelled == 0) {
        rc = sqlite3_backup_step(b, STEP_PAGES);
        if ((rc == SQLITE_BUSY || rc == SQLITE_LOCKED) && clock_mono_ms() < until)
            rc = SQLITE_OK;
        else
            until = clock_mono_ms() + BUSY_MAX_MS;
        again += sqlite3_backup_remaining(b) > left;
        left = sqlite3_backup_remaining(b);
        if (rc == SQLITE_OK && !held)
            clock_sleep_ms(STEP_PAUSE_MS);
        cancelled = copy_tick(&s->copy, e);
    }
    int end = b ? sqlite3_backup_finish(b) : SQLITE_ERROR;
    if (cancelled < 0)
        return -1;
    if (rc == SQLITE_DONE && end == SQLITE_OK)
        return 1;
    if (rc == SQLITE_OK)
        return 0;
    return err_set(e, ERR_SOURCE, 0, "copying %s: SQLite: %s", s->path,
                   b ? sqlite3_errstr(rc == SQLITE_DONE ? end : rc) : sqlite3_errmsg(to));
}

/* With `held` within one transaction. 1 done; 0 others changed it too often; -1. */
static int
try_copy(struct sqlite *s, const char *path, bool held, struct err *e)
{
    CLEANUP(close_db) sqlite3 *from = NULL;
    CLEANUP(close_db) sqlite3 *to = NULL;

    if (fs_remove_tree(path, e) < 0
        || open_db(s, s->path, SQLITE_OPEN_READONLY, &from, e) < 0
        || open_db(s, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &to, e) < 0
        || exec(s, to, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", "copying", e)
               < 0)
        return -1;
    if (held) {
        sqlite3_busy_timeout(from, BUSY_MAX_MS);
        if (exec(s, from, "BEGIN; SELECT count(*) FROM sqlite_schema", "reading", e) < 0)
            return -1;
    }
    return run_steps(s, from, to, held, e);
}

static int
copy_database(struct sqlite *s, bool wal, const char *path, struct err *e)
{
    int rc = wal ? 0 : try_copy(s, path, false, e);

    if (rc == 0 && !wal)
        log_info("database %s is written to all the time and is held for its copy",
                 s->path);
    if (rc == 0)
        rc = try_copy(s, path, true, e);
    return rc == 0
             ? err_set(e, ERR_SOURCE, 0, "copying %s: it changed all the same", s->path)
         : rc < 0 ? -1
                  : 0;
}

struct watch {
    const struct sqlite *s;
    struct err *e;
};

static int
on_progress(void *arg)
{
    const struct watch *w = arg;

    return copy_tick(&w->s->copy, w->e) < 0;
}

/* The first thing that quick_check says is "ok". */
static int
check(const struct sqlite *s, sqlite3 *db, struct err *e)
{
    CLEANUP(end_query) sqlite3_stmt *st = NULL;

    if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL) != SQLITE_OK
        || sqlite3_step(st) != SQLITE_ROW)
        return e->kind == ERR_CANCELLED ? -1 : fail(s, db, "checking the copy of", e);
    const char *said = (const char *)sqlite3_column_text(st, 0);
    if (said && strcmp(said, "ok") == 0)
        return 0;
    return err_set(e, ERR_SOURCE, 0, "the database %s is damaged: quick_check: %.200s",
                   s->path, said ? said : "nothing");
}

static int
count_rows(struct sqlite *s, sqlite3 *db, const char *table, struct err *e)
{
    CLEANUP(end_query) sqlite3_stmt *st = NULL;
    char *query = sqlite3_mprintf("SELECT count(*) FROM \"%w\"", table);
    AUTOFREE char *name = mem_printf("rows/%s", table);
    int rc = sqlite3_prepare_v2(db, query, -1, &st, NULL);

    sqlite3_free(query);
    if (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
        facts_put_number(&s->copy.base.facts, name,
                         (uint64_t)sqlite3_column_int64(st, 0));
        return 0;
    }
    if (e->kind == ERR_CANCELLED)
        return -1;
    /* a virtual table whose module is not here */
    log_info("the rows of %s are not counted: %s", table, sqlite3_errmsg(db));
    return 0;
}

static int
tell_facts(struct sqlite *s, sqlite3 *db, struct err *e)
{
    CLEANUP(end_query) sqlite3_stmt *st = NULL;
    uint64_t tables = 0;
    int rc = sqlite3_prepare_v2(db,
                                "SELECT name FROM sqlite_schema WHERE type='table'"
                                " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
                                " ORDER BY name",
                                -1, &st, NULL);

    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        tables++;
        rc = SQLITE_OK;
        if (s->conf->sqlite.count_rows
            && count_rows(s, db, (const char *)sqlite3_column_text(st, 0), e) < 0)
            return -1;
    }
    if (rc != SQLITE_DONE)
        return e->kind == ERR_CANCELLED ? -1 : fail(s, db, "reading the copy of", e);
    facts_put_number(&s->copy.base.facts, "relations", tables);
    return 0;
}

static int
look_at_copy(struct sqlite *s, const char *path, struct err *e)
{
    CLEANUP(close_db) sqlite3 *db = NULL;
    struct watch w = { s, e };

    if (open_db(s, path, SQLITE_OPEN_READONLY, &db, e) < 0)
        return -1;
    sqlite3_progress_handler(db, CHECK_OPS, on_progress, &w);
    return check(s, db, e) < 0 ? -1 : tell_facts(s, db, e);
}

static int
make(struct copy *c, const char *path, struct err *e)
{
    struct sqlite *s = sqlite_of(c);
    bool wal = false;

    return look(s, &wal, e) < 0 || copy_database(s, wal, path, e) < 0
             ? -1
             : look_at_copy(s, path, e);
}

static void
sqlite_close(struct source *base)
{
    struct sqlite *s = (struct sqlite *)base;

    copy_release(&s->copy);
    mem_free(s->path);
    mem_free(s);
}

static const struct source_ops sqlite_ops = {
    .traits = SOURCE_WHOLE | SOURCE_PAGED,
    .moved = "is another database",
    .next = copy_next,
    .describe = copy_describe,
    .read_begin = copy_read_begin,
    .read = copy_read,
    .read_end = copy_read_end,
    .close = sqlite_close,
};

int
sqlite_open(const struct conf_source *c, const struct source_options *o,
            struct source **out, struct err *e)
{
    char path[PATH_MAX];

    if (!realpath(c->sqlite.path, path))
        return err_set(e, ERR_SOURCE, errno, "the database %s: %s", c->sqlite.path,
                       strerror(errno));
    struct sqlite *s = mem_zalloc(sizeof *s);
    copy_init(&s->copy, &sqlite_ops, c, o);
    s->copy.make = make;
    s->copy.base.identity = mem_strdup(path);
    s->conf = c;
    s->path = mem_strdup(path);
    s->copy.as = strrchr(s->path, '/') + 1;
    *out = &s->copy.base;
    return 0;
}
