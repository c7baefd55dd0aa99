/*
 * prepare: what has to be done to a MariaDB server's restored files before a server can
 * start on them.
 *
 * mariadb-backup copied them while they were written to; it makes them one moment by the
 * redo log that came with them. Cut off in the middle, it leaves what cannot be used.
 */
#ifndef SOURCE_PREPARE_H
#define SOURCE_PREPARE_H

#include "base/err.h"

/* ERR_UNSUPPORTED when mariadb-backup is not here. `version` is the server's that was
 * backed up (may be NULL): a tool of another one is warned of. */
MUST_USE int prepare_check(const char *version, struct err *e);

/* Makes `dir` ready. ERR_IO, with the tool's words, when it could not. */
MUST_USE int prepare_run(const char *dir, struct err *e);

#endif
