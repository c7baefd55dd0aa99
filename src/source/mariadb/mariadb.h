/* mariadb: what the two ways to back up a MariaDB server share. */
#ifndef SOURCE_MARIADB_MARIADB_H
#define SOURCE_MARIADB_MARIADB_H

#include "../driver.h"
#include "server.h"

/* The way by mariadb-dump. */
int mariadb_dump_open(const struct conf_source *c, const struct source_options *o,
                      struct source **out, struct err *e);

/* Whether facts are in a file of that name that mariadb-backup writes; and those of the
 * content of one: binlog, gtid, to-lsn and last-lsn. */
bool mariadb_has_facts(struct slice path);
void mariadb_put_facts(struct buf *facts, const char *text);

/* Where in the binlog a dump was made, as `fact`, if its head says so. */
void mariadb_put_coordinates(struct buf *facts, const char *fact, const char *head);

#endif
