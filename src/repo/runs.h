/*
 * runs: the sorted files that an index consists of, few because merged.
 *
 * Not thread-safe; whoever holds the index's lock may call.
 */
#ifndef REPO_RUNS_H
#define REPO_RUNS_H

#include "run.h"

#define RUNS_MAX 64

struct runs {
    char *dir;                 /* where new ones are written */
    struct run list[RUNS_MAX]; /* oldest, and so largest, first */
    size_t count;
    uint64_t next; /* number */
};

/* The description of a set, which is kept elsewhere. */
void runs_put(struct buf *out, const struct runs *s);
MUST_USE int runs_open(struct runs *s, struct reader *r, struct err *e);
void runs_close(struct runs *s);

MUST_USE int runs_find(struct runs *s, const struct chunk_id *id, run_match_fn *fn,
                       void *arg, struct err *e); /* 1 taken, 0, -1 */
/* Sorts the records and makes a run of them; runs of similar size are merged. */
MUST_USE int runs_add(struct runs *s, uint8_t (*records)[RUN_RECORD], size_t count,
                      struct err *e);

#endif
