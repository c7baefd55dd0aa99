/*
 * check: what one target can do, tried out.
 *
 * Writes objects of its own below check/, which nothing else reads, and removes
 * them. Every promise that storage/storage.h makes is held against what the place
 * does; what only some places do (create-if-absent, hashes of their own) is told.
 */
#ifndef ENGINE_CHECK_H
#define ENGINE_CHECK_H

#include "fleet/fleet.h"

enum check_verdict {
    CHECK_GOOD,
    CHECK_NOTED, /* works, but something is worth to be known */
    CHECK_BAD,
};
const char *check_verdict_name(enum check_verdict v);

/* `what` is one word, `text` a sentence's worth of what was found. */
typedef void check_fn(void *arg, const char *what, enum check_verdict v,
                      const char *text);

/* Tries out a target that answers; `bulk` bytes are sent and read for the speed.
 * 0 also when something is bad, which fn was told; -1 only when cancelled. */
MUST_USE int engine_check(struct target *t, uint64_t bulk, check_fn *fn, void *arg,
                          struct err *e);

#endif
