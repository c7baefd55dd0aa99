/*
 * verify: is what the targets hold what the names and keys promise?
 *
 *   0 presence   the target's header is whole; every pack that its index names is
 *                listed, in its size
 *   1 attested   the store's own SHA-256 of each pack is the name, where it
 *                tells one
 *   2 structure  small objects by their hashes, and that no configuration record
 *                is missing; all metadata of every complete
 *                snapshot, read from that target; every chunk it needs is there
 *   3 read       every pack and every file of a log is read: SHA-256, and each chunk
 *                opened and named
 *
 * Each level includes those below it. With `heal` a bad or missing object is
 * replaced from a target that has a good one. What remains damaged is told as
 * snapshots and files.
 */
#ifndef ENGINE_VERIFY_H
#define ENGINE_VERIFY_H

#include "repo/repo.h"

struct verify_target {
    const char *name;
    bool asked;
    uint64_t packs, bytes_read, attested, chunks, snapshots, objects;
    uint64_t missing, damaged, healed; /* objects */
    uint64_t bad_packs;                /* of them, packs that are not healed */
};

struct verify_damage {
    const char *target;
    const char *snapshot_key; /* NULL: of no snapshot */
    const struct snapshot *snapshot;
    struct slice path;  /* empty: the object itself */
    const char *object; /* its key; NULL when told as a file */
    const char *why;
};
typedef void verify_damage_fn(void *arg, const struct verify_damage *d);

struct verify_progress {
    atomic_ullong bytes, packs;
};
typedef void verify_tick_fn(void *arg, const struct verify_progress *p);

struct verify_options {
    unsigned level;     /* 0 to 3 */
    const char *target; /* NULL: all */
    bool heal;
    unsigned threads;
    uint64_t memory; /* bytes, at the cost of threads; 0: what they take */
    verify_damage_fn *damage;
    verify_tick_fn *tick; /* called now and then, and at the end */
    void *arg;
};

struct verify_result {
    struct verify_target targets[FLEET_TARGETS_MAX];
    size_t target_count;
    uint64_t damaged_files; /* told or not */
    uint64_t unhealed;      /* objects that are still bad or missing */
    uint64_t unasked;       /* targets that did not answer */
    unsigned holes;         /* servers whose log is not whole behind the newest backup */
    int64_t elapsed_ms;
};

MUST_USE int engine_verify(struct repo *r, const struct verify_options *o,
                           struct verify_result *result, struct err *e);

/* Verifies with `heal`, brings by sync what is missing as a whole, and looks once more:
 * damaged files, unhealed and unasked are what is left then. Before that look `anew`
 * (may be NULL) is called with o->arg, for whom damage was told until then. The lanes
 * were started. */
MUST_USE int engine_heal(struct repo *r, const struct verify_options *o,
                         void (*anew)(void *arg), struct verify_result *result,
                         struct err *e);

#endif
