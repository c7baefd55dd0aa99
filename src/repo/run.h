/*
 * run: one sorted file of index records, read with pread.
 *
 * The file has blocks of a hundred records with a CRC-32C each, and then the
 * fence: the first eight bytes of each block's first record. The fence is kept
 * in memory, so a lookup reads exactly one block of 4,004 bytes, and it alone
 * is read when the file is opened. Everything read is checked; what does not
 * fit is an index_error(). The run's number and the block's go into its CRC, so
 * that no other block can stand for it.
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
    uint64_t number, count;
    uint64_t *fence; /* as numbers that order as the bytes do */
    size_t blocks, fence_cap;
    uint32_t check; /* the CRC of the fence: it tells two runs from each other */
};

void run_record(uint8_t out[RUN_RECORD], const struct chunk_id *id,
                const struct location *at);
void run_location(const uint8_t rec[RUN_RECORD], struct location *out);

/* Opens the run that was written with this number, count and check. */
MUST_USE int run_open(const char *path, uint64_t number, uint64_t count, uint32_t check,
                      struct run *out, struct err *e);
void run_close(struct run *r);

/* Calls fn for each record with the id's prefix until it returns true. */
typedef bool run_match_fn(void *arg, const uint8_t rec[RUN_RECORD]);
MUST_USE int run_find(struct run *r, const struct chunk_id *id, run_match_fn *fn,
                      void *arg, struct err *e); /* 1 taken, 0, -1 */

/* Writes sorted records as a run, synced, and opens it. */
MUST_USE int run_write(const char *path, uint64_t number, const uint8_t *records,
                       size_t count, struct run *out, struct err *e);
/* Merges two runs into a new one; of equal records one stays. */
MUST_USE int run_merge(const char *path, uint64_t number, struct run *a, struct run *b,
                       struct run *out, struct err *e);

#endif
