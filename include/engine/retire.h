/*
 * retire: lets a target go, when the others can do without it.
 *
 * First everything that waits is delivered and what it holds copied to the others.
 * When each snapshot is complete on as many of the others as the quorum of what is
 * left asks for, this host forgets the target; else it stays one. Objects are
 * left where they are, and the configuration is the operator's.
 */
#ifndef ENGINE_RETIRE_H
#define ENGINE_RETIRE_H

#include "engine/sync.h"

struct retire_options {
    bool dry_run; /* only tell; nothing is copied either */
    bool force; /* also when the target is away, or snapshots would be short of copies */
    /* A snapshot that is complete on only `copies` of the others. */
    void (*short_of)(void *arg, const struct snapshot_row *row, unsigned copies);
    void *arg;
    sync_tick_fn *tick;
};

struct retire_result {
    uint64_t snapshots; /* that are complete somewhere */
    uint64_t short_of;  /* of them, on too few of the others, or of their sites */
    unsigned needed;    /* copies */
    bool retired;
};

/* The lanes were started. -1 with ERR_USAGE: it is the last target, or the quorum of
 * the configuration cannot be met without it; UNAVAIL: it is away, so that nobody
 * can tell what it alone holds. */
MUST_USE int engine_retire(struct repo *r, struct target *t,
                           const struct retire_options *o, struct retire_result *out,
                           struct err *e);

#endif
