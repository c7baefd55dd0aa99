/*
 * conninfo: what a configuration says of a server, for the arguments of programs.
 *
 * Arguments are for all to see: no password ever stands in what is made here. It goes
 * to a program as a password file on its standard input, which is a file in memory.
 */
#ifndef SOURCE_POSTGRES_CONNINFO_H
#define SOURCE_POSTGRES_CONNINFO_H

#include "base/buf.h"

/* The database that `dsn` names, or "postgres", which every server has; the caller frees
 * it. Like libpq, it takes a dsn without = and :// for the name of a database. */
MUST_USE int conninfo_database(const char *dsn, char **out, struct err *e);

/* `dsn` (NULL: libpq's defaults) with another database, as a connection string; the
 * caller frees it. With `on_stdin` the password is in the file that is standard input,
 * whatever the environment or a service say. ERR_USAGE when libpq does not understand
 * `dsn`. */
MUST_USE int conninfo_make(const char *dsn, const char *database, bool on_stdin,
                           char **out, struct err *e);

/* Appends the line of a password file that gives `password` to every server. ERR_DENIED
 * when such a file cannot hold it. */
MUST_USE int conninfo_put_password(struct buf *out, struct slice password, struct err *e);

#endif
