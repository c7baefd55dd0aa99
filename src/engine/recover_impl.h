/*
 * recover_impl: what makes a kind of server's folder more than its files.
 */
#ifndef ENGINE_RECOVER_IMPL_H
#define ENGINE_RECOVER_IMPL_H

#include "engine/recover.h"

#include <sys/stat.h>

struct recovery {
    const char *kind; /* of snapshots */
    /* Patterns of what finish() brings or makes, and `last`. */
    const char *const *(*later)(const struct recover_options *o);
    const char *last;  /* comes when all is done: without it no server starts */
    const char *owner; /* the file whose owner the folder gets */

    /* Before anything is written: is all that is needed here? `begun`: an earlier run
     * began with this. */
    int (*check)(const struct recover_options *o, bool begun, struct err *e);
    /* Behind the files, before the last one. Adds what it restores to `sum`, which tells
     * whether all is there by now. */
    int (*finish)(struct repo *r, const struct recover_options *o,
                  const struct stat *owner, struct restore_result *sum, struct err *e);
    bool anew; /* what a finish() that was cut off has left is of no use */
};

extern const struct recovery recovery_postgres, recovery_mariadb;

/* ERR_EXISTS unless it is empty or missing. */
MUST_USE int recover_check_empty(const char *path, struct err *e);

void recover_add(struct restore_result *sum, const struct restore_result *one);

/* A folder that is no entry belongs to whom the files belong to. */
MUST_USE int recover_give_away(const char *path, const struct stat *owner, struct err *e);

static inline bool
recover_incomplete(const struct restore_result *r)
{
    return r->damaged + r->blocked > 0;
}

#endif
