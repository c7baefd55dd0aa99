/*
 * deliver: waits for the lanes and commits snapshots, target by target.
 *
 * Used at the end of a backup and by sync. Each target is committed in a
 * thread of its own as soon as its lane has delivered; packs that a target
 * lacks are copied from others, packs that its prune records name are stored
 * anew. The snapshot of the run gets a successor then; older ones that wait stay, and
 * rely on the new packs: whoever prunes has to walk again, behind its sweep, what was
 * not complete at its mark.
 */
#ifndef ENGINE_DELIVER_H
#define ENGINE_DELIVER_H

#include "engine/backup.h"

struct deliver_options {
    const char *snapshot; /* the one whose quorum counts; NULL: none */
    int64_t linger_ms;    /* for the others, after the quorum */
    int64_t timeout_ms;   /* for all of it; 0: none */
    /* Makes a successor of a snapshot from `packs` and gives its key; NULL: a
     * `snapshot` with condemned packs stays uncommitted. */
    int (*successor)(void *arg, const char *old, struct slice packs,
                     char key[CHAIN_KEY_LEN + 1], struct err *e);
    void (*tick)(void *arg); /* called while lanes are waited for, one call at a time */
    void *arg;
};

/* Fills committed and why of `results` (one per target): for a snapshot,
 * whether it is committed there; without one, whether nothing is left. */
MUST_USE int engine_deliver(struct repo *r, const struct deliver_options *o,
                            struct target_result *results, struct err *e);

#endif
