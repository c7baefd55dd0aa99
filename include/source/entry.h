/*
 * entry: a file, folder, link or device with its metadata, as one snapshot
 * keeps it.
 *
 * All slices are borrowed: from the source until its next entry, from a
 * manifest node while that node is held. Paths have no leading slash and are
 * never empty; parts are never empty, "." or "..". Entries are ordered by
 * entry_order(): '/' sorts lowest, so that a subtree is one range and a
 * depth-first walk with sorted names is already in order.
 */
#ifndef SOURCE_ENTRY_H
#define SOURCE_ENTRY_H

#include "base/buf.h"

#include <sys/stat.h>

#define ENTRY_PATH_MAX 65535  /* bytes; deeper than the kernel's 4096 at once */
#define ENTRY_XATTR_MAX (1 << 20) /* bytes, all of one entry */
#define ENTRY_EXTENTS_MAX 8   /* more go to an extent tree */
#define CONTENT_ID_LEN 16

enum entry_type { /* the values are part of the format */
    ENTRY_FILE = 1, ENTRY_DIR = 2, ENTRY_LINK = 3, ENTRY_FIFO = 4,
    ENTRY_CHAR = 5, ENTRY_BLOCK = 6,
};

enum entry_flag { /* the values are part of the format */
    ENTRY_CHANGED = 1 << 0, /* changed while it was read, twice */
    ENTRY_ABOVE = 1 << 1,   /* a folder above a path of the source, for its metadata */
};

struct chunk_id {
    uint8_t bytes[32];
};

/* A piece of a file: `len` bytes at `offset` of a chunk's plain bytes, or a
 * hole. */
struct extent {
    struct chunk_id id; /* all zero: a hole */
    uint32_t offset;
    uint64_t len;
};

struct entry {
    struct slice path;
    enum entry_type type;
    uint32_t flags;
    uint32_t mode; /* permission bits, setuid, setgid, sticky: 07777 */
    uint32_t uid, gid;
    struct slice user, group; /* names; empty when unknown */
    uint64_t size;            /* bytes, of files */
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint64_t rdev;       /* devices: makedev() */
    uint64_t link_group; /* the same for all names of one inode; 0: just one name */
    struct slice target; /* symbolic links */
    struct slice xattrs; /* entry_xattr_put()'s encoding, sorted by name; ACLs are
                          * the kernel's system.posix_acl_* among them */

    /* Not part of what `diff` compares: they tell an unchanged file cheaply. */
    int64_t ctime_s;
    uint32_t ctime_ns;
    uint64_t ino;

    /* Content of files. content_id is that of the whole content for files that
     * are bundled, else zero. With `tree`, extents[0].id is the root of an
     * extent tree, and its len the file's size. */
    uint8_t content_id[CONTENT_ID_LEN];
    bool tree;
    uint8_t extent_count;
    struct extent extents[ENTRY_EXTENTS_MAX];
};

/* <0, 0, >0: the order of the manifest. */
int entry_order(struct slice a, struct slice b);

/* True if `path` is `top` or lies below it. An empty top holds everything. */
bool entry_below(struct slice path, struct slice top);

bool entry_path_valid(struct slice path);
bool chunk_id_is_hole(const struct chunk_id *id);
bool chunk_id_equal(const struct chunk_id *a, const struct chunk_id *b);

/* Extended attributes: var(name length) name var(value length) value, … */
void entry_xattr_put(struct buf *out, struct slice name, struct slice value);
/* Takes the next one off `r`; false at the end or when r->bad. */
bool entry_xattr_next(struct reader *r, struct slice *name, struct slice *value);

/* The entry's type and mode as st_mode, and back (0 for sockets and others). */
mode_t entry_st_mode(const struct entry *en);
enum entry_type entry_type_of(mode_t st_mode);

#endif
