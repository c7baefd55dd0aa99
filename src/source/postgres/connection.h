/*
 * connection: a connection to a PostgreSQL server.
 *
 * Every wait can be cancelled. What the server says no to is ERR_SOURCE, with its
 * words; one that does not answer, or goes away, is ERR_UNAVAIL. One thread.
 */
#ifndef SOURCE_POSTGRES_CONNECTION_H
#define SOURCE_POSTGRES_CONNECTION_H

#include "conf/config.h"

#include <libpq-fe.h>

struct connection {
    PGconn *pg;
    char *block;        /* what connection_copy() gave last */
    struct buf noticed; /* the server's warnings */
};

/* To `database`, or with NULL one for replication. `c->pg` is NULL after a failure. */
MUST_USE int connection_open(struct connection *c, const struct conf_source *conf,
                             const char *database, struct err *e);
void connection_close(struct connection *c);

MUST_USE int connection_send(struct connection *c, const char *query, struct err *e);
/* The next result of what was sent, of the kind that is wanted; it has to be
 * PQclear()ed. NULL: it failed. */
PGresult *connection_result(struct connection *c, ExecStatusType want, struct err *e);
/* The one result of a query that gives rows, if there are any; it has to be PQclear()ed.
 * NULL: it failed, and nothing more may be asked. */
PGresult *connection_rows(struct connection *c, const char *query, struct err *e);
/* The same with at least one row. */
PGresult *connection_query(struct connection *c, const char *query, struct err *e);
/* 1 and the next block of a COPY, which lives until the next call; 0 at its end; -1. */
MUST_USE int connection_copy(struct connection *c, struct slice *block, struct err *e);

#endif
