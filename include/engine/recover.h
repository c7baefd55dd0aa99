/*
 * recover: a database's snapshot restored so that its server can start on it.
 *
 * A data folder is restored whole and only into an empty one: what a server finds there
 * of another time would be taken for its own. PostgreSQL's tablespaces get folders of
 * their own and the links that lead to them; MariaDB's files are prepared by
 * mariadb-backup. A file without which no server starts comes last.
 */
#ifndef ENGINE_RECOVER_H
#define ENGINE_RECOVER_H

#include "engine/restore.h"

/* To where a server replays its log when it is started on what was restored. */
enum recover_to {
    TO_SNAPSHOT, /* not at all: the backup has what it needs */
    TO_LATEST,   /* to the end of what is stored */
    TO_TIME,
    TO_LSN,
    TO_XID,
    TO_NAME, /* a restore point, made by pg_create_restore_point() */
};

struct recover_point {
    enum recover_to to;
    const char *value;    /* as people write it; NULL: TO_SNAPSHOT, TO_LATEST */
    const char *timeline; /* a number, "latest" or "current"; NULL: see
                           * recover_choose_timeline() */
    const char *command;  /* the server's restore_command */
    bool no_archive;      /* the server is not to store its log: a copy beside it does */
};

/* ERR_USAGE when the value is none of its kind. */
MUST_USE int recover_check_point(const struct recover_point *p, struct err *e);
/* Of the snapshots of the same source and host as *row the newest, at or before *row,
 * from which the point can be reached, instead of *row. ERR_NOT_FOUND: there is none. */
MUST_USE int recover_find_base(const struct snapshot_list *l,
                               const struct recover_point *p, struct snapshot_row **row,
                               struct err *e);
/* Is what the server wrote of its log behind this snapshot stored? 1, 0, -1 also when
 * the targets that have it may be away. */
MUST_USE int recover_has_log(struct repo *r, const struct snapshot *s, struct err *e);
/* Along which timeline the log is replayed, if that was not said: to the newest, when
 * it goes on from this snapshot, or along the snapshot's own. ERR_USAGE when two servers
 * went on from there: people have to say which is meant. */
MUST_USE int recover_choose_timeline(struct repo *r, const struct snapshot *s,
                                     struct recover_point *p, struct err *e);
/* What a point in time is exactly, as the server is told; for people. "": it is none. */
void recover_time_text(const struct recover_point *p, char out[64]);

struct recover_options {
    struct restore_options restore; /* `to` is the data folder; without paths, patterns */
    /* "A=B", NULL-terminated, or NULL: the tablespace with number A, or that was at A,
     * goes to the folder B. Default: to DIR-tablespaces/NUMBER beside the data folder. */
    const char *const *tablespaces;
    struct recover_point point; /* of a PostgreSQL server */
    bool no_prepare; /* MariaDB's files as they were copied: no server starts on them */
};

/* True if snapshots of that kind are recovered, not just restored. */
bool engine_recovers(const struct snapshot *s);

/* As engine_restore(). ERR_EXISTS when a folder is not empty, ERR_USAGE when a
 * tablespace is named that the snapshot does not have, ERR_UNSUPPORTED when
 * mariadb-backup is not here: before anything is written. */
MUST_USE int engine_recover(struct repo *r, const struct recover_options *o,
                            struct restore_result *result, struct err *e);

#endif
