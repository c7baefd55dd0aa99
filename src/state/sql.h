/*
 * sql: SQLite with bound parameters and statements prepared once.
 *
 * Types of parameters: t const char * (NULL is NULL), b struct slice, i int64_t.
 * Not thread-safe: the owner holds a lock.
 */
#ifndef STATE_SQL_H
#define STATE_SQL_H

#include "base/buf.h"

#include <sqlite3.h>
#include <stdarg.h>

#define SQL_STATEMENTS 64

struct sql {
    sqlite3 *db;
    struct {
        const char *query; /* by address: queries are literals */
        sqlite3_stmt *stmt;
    } cached[SQL_STATEMENTS];
};

/* Opens or makes it and runs `setup`. */
MUST_USE int sql_open(struct sql *q, const char *path, const char *setup, struct err *e);
/* The same for one that is kept and may be shared: with a write-ahead log. */
MUST_USE int sql_open_shared(struct sql *q, const char *path, const char *synchronous,
                             const char *schema, struct err *e);
void sql_close(struct sql *q);

MUST_USE int sql_run(struct sql *q, const char *query, const char *types, ...);
MUST_USE int sql_vrun(struct sql *q, const char *query, const char *types, va_list ap,
                      struct err *e);
/* NULL on failure; sql_end() in any case. */
sqlite3_stmt *sql_query(struct sql *q, const char *query, const char *types, ...);
MUST_USE int sql_step(struct sql *q, sqlite3_stmt *st, struct err *e); /* 1 row, 0, -1 */
void sql_end(sqlite3_stmt *st);
int64_t sql_int(sqlite3_stmt *st, int column);
const char *sql_text(sqlite3_stmt *st, int column); /* never NULL */
struct slice sql_blob(sqlite3_stmt *st, int column);
int64_t sql_last_id(struct sql *q);

#endif
