/*
 * fs: files that appear whole or not at all.
 *
 * A tmpfile is written beside its final name and becomes real only by
 * tmpfile_commit(): fsync, rename, fsync of the folder. Aborting is silent
 * and is what cleanup calls.
 */
#ifndef BASE_FS_H
#define BASE_FS_H

#include "base/buf.h"

#include <sys/types.h>
#include <unistd.h>

struct tmpfile {
    int fd; /* -1: not open */
    char *path;
    char *final;
};

#define TMPFILE_NONE ((struct tmpfile){ .fd = -1 })

MUST_USE int tmpfile_open(struct tmpfile *t, const char *final, mode_t mode,
                          struct err *e);
MUST_USE int tmpfile_commit(struct tmpfile *t, struct err *e);
void tmpfile_abort(struct tmpfile *t);

/* Gives `path` the contents `data`, wholly or not at all, safe from power loss. */
MUST_USE int fs_replace(const char *path, struct slice data, mode_t mode, struct err *e);

/* Appends the file's bytes to `out`; more than `max` is ERR_CORRUPT. */
MUST_USE int fs_read(const char *path, size_t max, struct buf *out, struct err *e);

MUST_USE int fs_mkdirs(const char *path, mode_t mode, struct err *e); /* and parents */
MUST_USE int fs_sync_dir(const char *path, struct err *e);
MUST_USE int fs_sync_parent(const char *path, struct err *e);
MUST_USE int fs_write_all(int fd, struct slice data, struct err *e);
MUST_USE int fs_pwrite_all(int fd, struct slice data, uint64_t at, struct err *e);
/* Reads exactly len bytes at `at`; a shorter file is ERR_CORRUPT. */
MUST_USE int fs_pread_all(int fd, void *out, size_t len, uint64_t at, struct err *e);

/* A file in memory that holds `data`, has no name and is nobody else's (0600): how a
 * secret gets to a child. */
MUST_USE int fs_memory(struct slice data, int *fd, struct err *e);

/* Takes a lock file for this process; ERR_CONFLICT naming the holder when it
 * is held for longer than wait_ms. The lock ends with the descriptor. */
MUST_USE int fs_lock(const char *path, int64_t wait_ms, int *out_fd, struct err *e);

/* Removes a tree; what is not there is success. Follows no links. */
MUST_USE int fs_remove_tree(const char *path, struct err *e);

char *fs_join(const char *dir, const char *name); /* one '/' between; free it */
/* The path from the root, by the folder we are in, without slashes at its end; free
 * it. */
char *fs_absolute(const char *path);

static inline void
fs_close_p(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

#define AUTOCLOSE CLEANUP(fs_close_p)

#endif
