/*
 * wal_windows: from when to when a server can be brought back to any moment.
 *
 * From the end of each backup on, along the newest timeline, as far as one file of the
 * log follows the other on the targets that answer. Times are those of this server's
 * hosts: when a backup ended, when a file of the log was full.
 */
#ifndef ENGINE_WAL_WINDOWS_H
#define ENGINE_WAL_WINDOWS_H

#include "repo/repo.h"

#define WAL_WINDOWS_MAX 64

struct wal_window {
    struct clock_time from, to;
    uint32_t timeline; /* of its end */
    uint64_t end_lsn;  /* behind the last whole file */
};

struct wal_windows {
    struct wal_window list[WAL_WINDOWS_MAX]; /* oldest first; they do not touch */
    size_t count;
    bool stored;   /* there is a log at all */
    bool proves;   /* enough targets answered to tell what is missing */
    bool broken;   /* files are stored behind the end of the last window */
    uint64_t hole; /* then the first position that is missing */
    uint32_t hole_timeline;
};

/* For the snapshots of the same source and host as `newest`, which is one of `l`. */
MUST_USE int engine_wal_windows(struct repo *r, const struct snapshot_list *l,
                                const struct snapshot_row *newest,
                                struct wal_windows *out, struct err *e);

#endif
