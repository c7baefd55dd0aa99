/*
 * backup: one source, one snapshot, all targets.
 *
 *     walk -> cut -> name -> known? -> squeeze -> seal -> pack -> spool -> fleet
 *
 * The caller's thread walks and reads; workers name, squeeze and seal; one
 * thread packs, in the order read, so the number of threads changes no chunk.
 * Memory: the blocks and buffers taken at the start, see pipeline.h.
 */
#ifndef ENGINE_BACKUP_H
#define ENGINE_BACKUP_H

#include "repo/repo.h"
#include "source/source.h"

#include <stdatomic.h>

struct backup_progress {
    atomic_ullong entries;                             /* seen */
    atomic_ullong bytes, in_hand;                      /* done; of the big file in hand */
    atomic_ullong read_bytes;                          /* content read */
    atomic_ullong new_chunks, new_bytes, stored_bytes; /* not known before */
    atomic_ullong kept;                                /* entries taken from the parent */
    atomic_ullong issues;
    uint64_t expected_bytes; /* what the parent held; 0: unknown */
};

typedef void backup_tick_fn(void *arg, const struct backup_progress *p);

struct backup_options {
    const struct conf_source *source;
    const char *const *tags; /* NULL-terminated; may be NULL */
    struct slice config;     /* drtool.yaml, to be kept in the snapshot */
    unsigned threads;        /* workers; 0: everything in the caller's thread */
    uint64_t memory;         /* bytes; 0: the usual (engine/memory.h) */
    bool dry_run;            /* reads and counts, stores nothing */
    bool accept_changed;     /* a source that shrank or moved is no error */
    source_issue_fn *issue;
    backup_tick_fn *tick; /* called now and then, and at the end */
    void *arg;
};

struct target_result {
    const char *name;
    bool committed;
    struct err why; /* when not */
    uint64_t sent_bytes, sent_objects;
};

struct backup_result {
    enum status status;
    char id[65]; /* hex; empty when there is no snapshot */
    char key[CHAIN_KEY_LEN + 1];
    bool has_parent;
    uint64_t entries, bytes, kept, issues;
    uint64_t new_chunks, new_bytes, stored_bytes;
    int64_t elapsed_ms;
    struct target_result targets[FLEET_TARGETS_MAX];
    size_t target_count;
};

/* Runs a backup; repo_load_index() and fleet_start() were called. -1 when there
 * is no snapshot; else result->status is OK, PARTIAL, DEGRADED or NO_QUORUM. */
MUST_USE int engine_backup(struct repo *r, const struct backup_options *o,
                           struct backup_result *result, struct err *e);

#endif
