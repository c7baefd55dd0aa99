/*
 * tree: looking into snapshots without restoring them.
 *
 * All walk manifests in order with constant memory: a node per level, one
 * chunk of content (two for archives), and for an archive's hard links the
 * first names of at most 65,536 link groups.
 * Paths are as in the manifest, without a leading slash; empty means all.
 */
#ifndef ENGINE_TREE_H
#define ENGINE_TREE_H

#include "repo/repo.h"

/* "/srv/a/" as it is typed -> srv/a; ERR_USAGE when it is no path. */
MUST_USE int tree_path(const char *text, struct slice *out, struct err *e);

/* Entries below `path`; one level unless `recursive`. The path itself is told
 * only when it is no folder. ERR_NOT_FOUND when it is not there. */
typedef int tree_entry_fn(void *arg, const struct entry *en, struct err *e);
MUST_USE int tree_list(struct repo *r, const struct snapshot *s, struct slice path,
                       bool recursive, tree_entry_fn *fn, void *arg, struct err *e);

/* The bytes of one file, in order. With `sparse`, for a regular file just made,
 * holes are left as holes; else they are written as zeros. What was written
 * before an error is right, but not all. */
MUST_USE int tree_dump(struct repo *r, const struct snapshot *s, struct slice path,
                       bool sparse, int fd, struct err *e);

/* What lies at `path` and below as a tar archive (pax), the path itself
 * included. With `content`, only what is in the folder `path`, under names
 * relative to it. After an error the archive has no end, so that no program
 * takes it for whole. */
MUST_USE int tree_dump_tar(struct repo *r, const struct snapshot *s, struct slice path,
                           bool content, int fd, struct err *e);

/* What changed from `a` to `b`. Times of change of the inode and its number are
 * no part of it. */
enum tree_change {
    TREE_TYPE = 1,
    TREE_MODE = 2,
    TREE_OWNER = 4, /* numbers or names */
    TREE_SIZE = 8,
    TREE_TIME = 16,
    TREE_CONTENT = 32,
    TREE_LINK = 64,
    TREE_DEVICE = 128,
    TREE_XATTRS = 256,
};
/* One of a and b is NULL for what was added or removed. */
typedef int tree_diff_fn(void *arg, const struct entry *a, const struct entry *b,
                         unsigned changes, struct err *e);
MUST_USE int tree_diff(struct repo *r, const struct snapshot *a, const struct snapshot *b,
                       tree_diff_fn *fn, void *arg, struct err *e);

#endif
