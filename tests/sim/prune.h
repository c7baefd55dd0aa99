/*
 * prune: deletes on one target, as drtool-prune is going to make them, by the design's
 * rules: gone/ before what it is about; a mark, and a day later a sweep behind which
 * the snapshots are looked at once more before anything is deleted.
 *
 * The program has no such command yet. All but the deletes is its own code.
 */
#ifndef TESTS_SIM_PRUNE_H
#define TESTS_SIM_PRUNE_H

#include "repo/repo.h"
#include "sim/net.h"

#define PRUNE_MAX 64 /* packs that one mark names */

/* What a host remembers of a target from its mark to the end of its sweep. */
struct prune_plan {
    char mark[STORAGE_KEY_MAX + 1]; /* "": there is none */
    uint8_t packs[PRUNE_MAX][32];
    size_t count;
};

struct prune {
    struct repo *repo; /* its index is loaded */
    size_t target;
    const struct net *net;
    struct prune_plan *plan;
    bool stays;       /* the day from mark to sweep is waited for */
    unsigned deleted; /* packs */
};

/* Marks what nothing on the target needs or, when that was done a day ago, sweeps. A
 * snapshot that cannot be walked is an error: nothing is marked or deleted then. */
MUST_USE int prune_run(struct prune *p, struct err *e);

/* Puts gone/ for a snapshot on a target, unless it lies there, and removes done/ and
 * snap/. */
MUST_USE int prune_forget(struct repo *r, struct target *t, const char *snapshot_key,
                          bool has_gone, struct err *e);

#endif
