/*
 * wal_batch: the files of the log that one call stores.
 *
 * Those that are named, and what else the server says it has ready: opening a repository
 * costs more than one of them.
 */
#ifndef ENGINE_WAL_BATCH_H
#define ENGINE_WAL_BATCH_H

#include "repo/log.h"

#include "wal_file.h"

#define WAL_BATCH_FILES 64
#define WAL_BATCH_BYTES ((uint64_t)512 << 20) /* but for the files named */

/* A file of this call. */
struct wal_job {
    struct wal_file file;
    char pos[LOG_POS_MAX + 1];
    uint8_t sha[32]; /* of its bytes, when it was needed: */
    bool hashed;
    char key[LOG_KEY_MAX + 1];    /* what this host stored for it; "": nothing */
    bool have[FLEET_TARGETS_MAX]; /* by the queue: the target took it */
    bool waits;                   /* for some target */
    bool named;
    bool safe;      /* the quorum holds it */
    struct err why; /* it cannot be stored */
};

struct wal_batch {
    struct wal_job jobs[WAL_BATCH_FILES]; /* those named first; all of one server */
    size_t count;
};

/* ERR_SOURCE when a file that is named is none that has ended. What else is ready and no
 * good is left for when it is named. */
MUST_USE int wal_batch_gather(struct wal_batch *b, const char *const *paths,
                              struct err *e);
void wal_batch_release(struct wal_batch *b);

#endif
