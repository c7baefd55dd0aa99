/*
 * wal_path: the way that a server's stored log takes to its newest timeline.
 *
 * A server that was recovered begins a timeline; its history says where it left which
 * one. An old server may go on with what another has left: then the log forks. One
 * thread.
 */
#ifndef ENGINE_WAL_PATH_H
#define ENGINE_WAL_PATH_H

#include "repo/log.h"
#include "source/wal.h"

#include "wal_backup.h"
#include "wal_ranges.h"

#define BRANCHES_MAX 256

struct wal_path {
    struct repo *repo;
    char stream[17];
    uint64_t unit;
    struct wal_ranges ranges;
    struct wal_branch branches[BRANCHES_MAX]; /* of the newest timeline, oldest first */
    size_t branch_count;
    bool known; /* the way: the newest timeline's history was read, if it has one */
};

MUST_USE int wal_path_load(struct wal_path *w, struct repo *r, const struct wal_backup *b,
                           struct err *e);
void wal_path_release(struct wal_path *w);

/* Is anything stored that the server wrote behind the backup? */
bool wal_path_has(const struct wal_path *w, const struct wal_backup *b);
/* Does the way to the newest timeline lead through this position? */
bool wal_path_leads(const struct wal_path *w, uint32_t timeline, uint64_t lsn);
/* Behind the backup, was a timeline left for another and gone on with all the same? */
bool wal_path_forks(const struct wal_path *w, const struct wal_backup *b,
                    uint32_t *timeline, uint64_t *lsn);
/* How far the log goes without a hole from a backup on: *timeline and *number are those
 * of the last segment then. False: not even the first is there. */
bool wal_path_follow(const struct wal_path *w, const struct wal_backup *b,
                     uint32_t *timeline, uint64_t *number);
/* What a file of the stream holds, by its record; false: nobody gives it. */
bool wal_path_look(const struct wal_path *w, const struct wal_name *n,
                   struct log_row *row, struct log_info *info);

#endif
