/*
 * mend: replaces what reads have found missing or bad on a target.
 *
 * A read that was served no or wrong bytes goes on to the next target and leaves a
 * row in the state (fleet/memory.c). Here each is looked at again and, if it is
 * still so, replaced from a target that has it as its name says.
 */
#ifndef ENGINE_MEND_H
#define ENGINE_MEND_H

#include "repo/repo.h"

struct mend_result {
    uint64_t mended; /* objects */
    uint64_t left;   /* still bad, because no target gives a good one */
    struct err why;  /* of the last of these */
};

/* Mends what is noted of one target, which is up. Its rows go when the object is
 * good; -1 only when the local state fails or the run is cancelled. */
MUST_USE int mend_target(struct repo *r, struct target *t, struct mend_result *out,
                         struct err *e);

/* Replaces an object, whose name is its hash, from any other target. ERR_CONFLICT when
 * it is not there and the target's prune records name it. */
MUST_USE int mend_object(struct repo *r, struct target *t, const char *key, uint64_t size,
                         struct err *e);

#endif
