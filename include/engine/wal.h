/*
 * wal: a PostgreSQL server's log, to the targets as it is written, and back.
 *
 * Push is the server's archive_command: what it has said 0 to once is safe, and is never
 * stored as something else under the same name. Fetch is its restore_command: that a
 * file is not there is said only when it cannot be on a target that was not asked, since
 * a server takes it for the end of the log. The repository is opened with `log`. One
 * thread.
 */
#ifndef ENGINE_WAL_H
#define ENGINE_WAL_H

#include "repo/repo.h"

struct wal_push_options {
    const char *const *paths; /* files of one server, NULL-terminated */
    bool ack_spool;           /* the spool is enough */
};

struct wal_push_result {
    unsigned stored;  /* objects made */
    unsigned known;   /* files that were there already */
    unsigned waiting; /* of those named: not on the quorum, safe in the spool */
    uint64_t bytes;   /* of the files stored */
};

/* Is the file known as safe from an earlier call? Asks only this host's memory, without
 * keys. 1, 0, -1 (ERR_SOURCE: another file was stored under its name). */
MUST_USE int engine_wal_known(const struct conf *c, const char *path, struct err *e);

/* Stores the files, and with them what else the server has ready. ERR_SOURCE: a file is
 * none of a log, or another one was stored under its name; ERR_QUORUM: too few targets
 * hold it, it waits in the spool. Lanes run. */
MUST_USE int engine_wal_push(struct repo *r, const struct wal_push_options *o,
                             struct wal_push_result *res, struct err *e);

/* Sends what waits to every target that answers. Lanes run. */
MUST_USE int engine_wal_deliver(struct repo *r, struct err *e);

struct wal_fetch_options {
    const char *file;   /* its name */
    const char *to;     /* where it shall be */
    const char *system; /* whose log; NULL: that of the data folder we are in */
    const char *ahead;  /* folder for the files that will be asked for next; NULL: none.
                         * Only with the data folder's own log */
    bool ask_all; /* files may be on fewer than the quorum: every target has to answer */
};
/* Was it fetched ahead, and is it where it shall be now? Asks nobody. */
bool engine_wal_ready(const struct wal_fetch_options *o);

/* 1; 0 there is no such file; -1 that cannot be told, it is damaged, missing amid
 * others, or there are two different ones. */
MUST_USE int engine_wal_fetch(struct repo *r, const struct wal_fetch_options *o,
                              struct err *e);

#endif
