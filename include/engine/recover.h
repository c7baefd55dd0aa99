/*
 * recover: a database's snapshot restored so that its server can start on it.
 *
 * A data folder is restored whole and only into an empty one: what a server finds there
 * of another time would be taken for its own. Tablespaces get folders of their own and
 * the links that lead to them.
 */
#ifndef ENGINE_RECOVER_H
#define ENGINE_RECOVER_H

#include "engine/restore.h"

struct recover_options {
    struct restore_options restore; /* `to` is the data folder; without paths, patterns */
    /* "A=B", NULL-terminated, or NULL: the tablespace with number A, or that was at A,
     * goes to the folder B. Default: to DIR-tablespaces/NUMBER beside the data folder. */
    const char *const *tablespaces;
};

/* True if snapshots of that kind are recovered, not just restored. */
bool engine_recovers(const struct snapshot *s);

/* As engine_restore(). ERR_EXISTS when a folder is not empty, ERR_USAGE when a
 * tablespace is named that the snapshot does not have. */
MUST_USE int engine_recover(struct repo *r, const struct recover_options *o,
                            struct restore_result *result, struct err *e);

#endif
