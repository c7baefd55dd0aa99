/*
 * wal_memory: the newest files of a server's log that this host has stored.
 *
 * One value of the state, so that a push changes it in the transaction that queues the
 * object. Only a memory: a file that is not in it is looked for on the targets.
 */
#ifndef ENGINE_WAL_MEMORY_H
#define ENGINE_WAL_MEMORY_H

#include "source/wal.h"
#include "state/state.h"

#define WAL_MEMORY_FILES 512

struct wal_kept {
    char file[WAL_NAME_MAX + 1];
    uint8_t sha256[32]; /* of the file */
    uint8_t object[32]; /* of what was stored; all zero: others had stored it */
    bool safe;          /* the quorum was seen to hold it */
};

struct wal_memory {
    char name[48];         /* of the value */
    struct wal_kept *kept; /* oldest first */
    size_t count;
};

MUST_USE int wal_memory_load(struct state *s, uint64_t system, struct wal_memory *out,
                             struct err *e);
MUST_USE int wal_memory_save(struct state *s, const struct wal_memory *m, struct err *e);
void wal_memory_release(struct wal_memory *m);

struct wal_kept *wal_memory_find(const struct wal_memory *m, const char *file);
/* Adds one, or replaces that of the same file; the oldest goes when there are too
 * many. */
struct wal_kept *wal_memory_put(struct wal_memory *m, const struct wal_kept *k);
void wal_memory_drop(struct wal_memory *m, const char *file);

#endif
