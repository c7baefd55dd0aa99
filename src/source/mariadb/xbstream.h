/*
 * xbstream: the stream that mariadb-backup writes, chunk by chunk.
 *
 * A chunk is either bytes of a file or its end; those of several files come mixed:
 *
 *     "XBSTCK01"  flags (1)  type (1)  length of the path (4)  path
 *     and with 'P', bytes: length (8)  offset in the file (8)  CRC-32 (4)  the bytes
 *     with 'E', the end: nothing more
 *
 * Integers are little-endian. A chunk of another type is passed over if it is flagged so
 * (bit 0), else it is an error. Memory is a path, whatever the stream says; bytes are
 * given before their CRC has been seen, so nothing holds before xbstream_next() has
 * returned 0. Whatever is wrong is ERR_SOURCE and tells where. One thread.
 * Source: mbstream of MariaDB 10.11, by what it writes and reads.
 */
#ifndef SOURCE_MARIADB_XBSTREAM_H
#define SOURCE_MARIADB_XBSTREAM_H

#include "base/buf.h"

#define XBSTREAM_PATH_MAX 512 /* bytes; the tool's own limit */
#define XBSTREAM_LEN_MAX \
    ((uint64_t)1 << 30) /* bytes of a chunk; the tool's have 10 MiB */

/* Up to `len` bytes into `out`; *got 0: the end. */
typedef int xbstream_read_fn(void *arg, uint8_t *out, size_t len, size_t *got,
                             struct err *e);

struct xbstream {
    xbstream_read_fn *read;
    void *arg;
    uint64_t at;        /* bytes read */
    struct slice path;  /* of the chunk; until the next one */
    bool end;           /* the chunk is the end of its file */
    uint64_t offset;    /* in the file, of the chunk */
    uint64_t left;      /* bytes of the chunk not yet read */
    uint32_t want, crc; /* as the chunk says; of what was read */
    uint8_t name[XBSTREAM_PATH_MAX];
};

void xbstream_init(struct xbstream *x, xbstream_read_fn *read, void *arg);

/* 1 and the next chunk; 0 at the end of the stream; -1. What is left of the chunk before
 * is read and checked. */
MUST_USE int xbstream_next(struct xbstream *x, struct err *e);
/* Up to `len` bytes of the chunk; *got 0: it is at its end, and was as its CRC says. */
MUST_USE int xbstream_data(struct xbstream *x, uint8_t *out, size_t len, size_t *got,
                           struct err *e);

#endif
