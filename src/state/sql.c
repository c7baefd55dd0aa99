#include "sql.h"

#include <assert.h>
#include <string.h>

static int
fail(struct sql *q, struct err *e)
{
    int code = q->db ? sqlite3_errcode(q->db) : SQLITE_NOMEM;
    enum err_kind kind = code == SQLITE_FULL                             ? ERR_FULL
                       : code == SQLITE_CORRUPT || code == SQLITE_NOTADB ? ERR_CORRUPT
                                                                         : ERR_IO;
    return err_set(e, kind, code, "SQLite: %s",
                   q->db ? sqlite3_errmsg(q->db) : "out of memory");
}

int
sql_open(struct sql *q, const char *path, const char *setup, struct err *e)
{
    if (sqlite3_open_v2(path, &q->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL)
        != SQLITE_OK)
        return fail(q, e);
    sqlite3_busy_timeout(q->db, 30000);
    if (sqlite3_exec(q->db, setup, NULL, NULL, NULL) != SQLITE_OK)
        return fail(q, e);
    return 0;
}

int
sql_open_shared(struct sql *q, const char *path, const char *synchronous,
                const char *schema, struct err *e)
{
    AUTOFREE char *setup = mem_printf("PRAGMA journal_mode=WAL; PRAGMA synchronous=%s;"
                                      "PRAGMA cache_size=-2048;%s",
                                      synchronous, schema);

    return sql_open(q, path, setup, e);
}

void
sql_close(struct sql *q)
{
    for (size_t i = 0; i < SQL_STATEMENTS; i++)
        sqlite3_finalize(q->cached[i].stmt);
    sqlite3_close(q->db);
    memset(q, 0, sizeof *q);
}

static sqlite3_stmt *
prepare(struct sql *q, const char *query, struct err *e)
{
    size_t i = 0;

    while (i < SQL_STATEMENTS && q->cached[i].query && q->cached[i].query != query)
        i++;
    assert(i < SQL_STATEMENTS);
    if (!q->cached[i].stmt
        && sqlite3_prepare_v3(q->db, query, -1, SQLITE_PREPARE_PERSISTENT,
                              &q->cached[i].stmt, NULL)
               != SQLITE_OK) {
        fail(q, e);
        return NULL;
    }
    q->cached[i].query = query;
    return q->cached[i].stmt;
}

static int
bind(sqlite3_stmt *st, const char *types, va_list ap)
{
    int rc = SQLITE_OK;

    for (int i = 0; types[i] && rc == SQLITE_OK; i++) {
        struct slice s;
        switch (types[i]) {
        case 't':
            rc = sqlite3_bind_text(st, i + 1, va_arg(ap, const char *), -1,
                                   SQLITE_TRANSIENT);
            break;
        case 'b':
            s = va_arg(ap, struct slice);
            rc = sqlite3_bind_blob64(st, i + 1, s.len ? (const void *)s.ptr : "", s.len,
                                     SQLITE_TRANSIENT);
            break;
        default:
            rc = sqlite3_bind_int64(st, i + 1, va_arg(ap, int64_t));
        }
    }
    return rc;
}

static sqlite3_stmt *
start(struct sql *q, const char *query, const char *types, va_list ap, struct err *e)
{
    sqlite3_stmt *st = prepare(q, query, e);

    if (st && bind(st, types, ap) != SQLITE_OK) {
        fail(q, e);
        sql_end(st);
        return NULL;
    }
    return st;
}

int
sql_vrun(struct sql *q, const char *query, const char *types, va_list ap, struct err *e)
{
    sqlite3_stmt *st = start(q, query, types, ap, e);
    int rc = st ? sql_step(q, st, e) : -1;

    sql_end(st);
    return rc < 0 ? -1 : 0;
}

int
sql_run(struct sql *q, const char *query, const char *types, ...)
{
    va_list ap;

    va_start(ap, types);
    struct err *e = va_arg(ap, struct err *);
    int rc = sql_vrun(q, query, types, ap, e);
    va_end(ap);
    return rc;
}

sqlite3_stmt *
sql_query(struct sql *q, const char *query, const char *types, ...)
{
    va_list ap;

    va_start(ap, types);
    struct err *e = va_arg(ap, struct err *);
    sqlite3_stmt *st = start(q, query, types, ap, e);
    va_end(ap);
    return st;
}

int
sql_step(struct sql *q, sqlite3_stmt *st, struct err *e)
{
    switch (sqlite3_step(st)) {
    case SQLITE_ROW:
        return 1;
    case SQLITE_DONE:
        return 0;
    default:
        return fail(q, e);
    }
}

void
sql_end(sqlite3_stmt *st)
{
    if (!st)
        return;
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
}

int64_t
sql_int(sqlite3_stmt *st, int column)
{
    return sqlite3_column_int64(st, column);
}

const char *
sql_text(sqlite3_stmt *st, int column)
{
    const char *s = (const char *)sqlite3_column_text(st, column);

    return s ? s : "";
}

struct slice
sql_blob(sqlite3_stmt *st, int column)
{
    const void *p = sqlite3_column_blob(st, column);
    int len = sqlite3_column_bytes(st, column);

    return slice_of(len ? p : "", len > 0 ? (size_t)len : 0);
}

int64_t
sql_last_id(struct sql *q)
{
    return sqlite3_last_insert_rowid(q->db);
}
