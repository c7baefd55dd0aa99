/*
 * untangle: the files of a stream one after the other, though their chunks come mixed.
 *
 * mariadb-backup copies the redo log while it copies files. What comes of another file
 * than the one in hand waits in a file without a name, and is given when it is whole; so
 * does all of the redo log, which grows until the end. Files that are smaller than
 * UNTANGLE_SMALL bytes are read ahead, so that their size is known. Memory is that, and a
 * name for each of UNTANGLE_WAIT_MAX files. Errors as in xbstream.h. One thread.
 */
#ifndef SOURCE_MARIADB_UNTANGLE_H
#define SOURCE_MARIADB_UNTANGLE_H

#include "xbstream.h"

#define UNTANGLE_SMALL ((size_t)64 << 10)
#define UNTANGLE_WAIT_MAX 16

/* A file that is not yet given, or, of those that had to wait, the one that is. */
struct waiting {
    struct buf path;
    int fd; /* -1: there are no bytes */
    uint64_t size;
    bool ended;
};

struct untangle {
    struct xbstream in;
    const char *tmp_dir;
    bool ahead; /* a chunk of `in` is not yet taken */
    bool over;  /* the stream is at its end */

    /* The file in hand. */
    struct buf path;
    bool ended;      /* all of it was given */
    struct buf head; /* what was read ahead, from `taken` on */
    size_t taken;
    uint64_t size;          /* of what came of it; of what was given, if it waited */
    struct waiting *waited; /* NULL: it comes from the stream */

    struct waiting waiting[UNTANGLE_WAIT_MAX];
    size_t waiting_count;
};

/* `tmp_dir` is borrowed. */
void untangle_init(struct untangle *u, xbstream_read_fn *read, void *arg,
                   const char *tmp_dir);
void untangle_release(struct untangle *u);

/* 1 and the next file; 0 when the stream is at its end and every file was whole; -1.
 * What is left of the file before is passed over. *size is UINT64_MAX where it is known
 * only at the end. The path lives until the next call. */
MUST_USE int untangle_next(struct untangle *u, struct slice *path, uint64_t *size,
                           struct err *e);
/* *got 0: the end of the file. */
MUST_USE int untangle_read(struct untangle *u, uint8_t *out, size_t len, size_t *got,
                           struct err *e);

#endif
