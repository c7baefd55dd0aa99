/*
 * catalog: what a server tells of its databases, over connections of its own.
 *
 * The owner of a database decides what a name means in it, so nothing is looked for on
 * its search path.
 */
#ifndef SOURCE_POSTGRES_CATALOG_H
#define SOURCE_POSTGRES_CATALOG_H

#include "connection.h"

struct catalog {
    char **names; /* of the databases to dump, in no order */
    size_t count;
    bool passwords; /* the role may read those of the roles */
};

/* Asks in the database `at`. Fills the system's facts, and *identity with its identifier
 * ("" if the role may not know it), which the caller frees. ERR_SOURCE when a configured
 * database is not there. */
MUST_USE int catalog_ask(struct catalog *c, const struct conf_source *conf,
                         const char *at, struct buf *facts, char **identity,
                         struct err *e);
void catalog_release(struct catalog *c);

/* A moment of a database, for a dump and whoever counts beside it. It lasts until the
 * connection is closed; *id is what programs call it, and freed by the caller. */
MUST_USE int moment_begin(struct connection *c, const struct conf_source *conf,
                          const char *database, char **id, struct err *e);
/* A fact for each table of the database: its rows at that moment. What cannot be counted
 * is left out, and that is logged. */
MUST_USE int moment_count_rows(struct connection *c, const char *database,
                               struct buf *facts, struct err *e);

#endif
