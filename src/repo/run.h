/*
 * run: one sorted file of index records, read with pread.
 *
 * The first record of every hundred is kept in memory (the fence), so a
 * lookup reads exactly one block of 4,000 bytes.
 */
#ifndef REPO_RUN_H
#define REPO_RUN_H

#include "base/buf.h"
#include "repo/index.h"

#define RUN_RECORD 40
#define RUN_BLOCK 100 /* records */

struct run {
    char *path;
    int fd;
    uint64_t count;
    uint64_t *fence; /* first 8 bytes of each block's first prefix, big-endian order */
    size_t blocks;
};

void run_record(uint8_t out[RUN_RECORD], const struct chunk_id *id,
                const struct location *at);
void run_location(const uint8_t rec[RUN_RECORD], struct location *out);

MUST_USE int run_open(const char *path, struct run *out, struct err *e);
void run_close(struct run *r);

/* Calls fn for each record with the id's prefix until it returns true. */
typedef bool run_match_fn(void *arg, const uint8_t rec[RUN_RECORD]);
MUST_USE int run_find(struct run *r, const struct chunk_id *id, run_match_fn *fn,
                      void *arg, struct err *e); /* 1 taken, 0, -1 */

/* Writes sorted records as a run, synced. */
MUST_USE int run_write(const char *path, const uint8_t *records, size_t count,
                       struct err *e);
/* Merges two runs into a new one; of equal records one stays. */
MUST_USE int run_merge(const char *path, struct run *a, struct run *b, struct err *e);

#endif
