/* stream: makes the streams of mariadb-backup, whole and damaged, for tests. */
#ifndef TESTS_SOURCE_STREAM_H
#define TESTS_SOURCE_STREAM_H

#include "base/buf.h"
#include "base/crc32c.h"

#include <string.h>

/* What is read, in pieces of `piece` bytes at most. */
struct given {
    struct slice bytes;
    size_t piece;
};

static inline int
give(void *arg, uint8_t *out, size_t len, size_t *got, struct err *e)
{
    struct given *g = arg;

    (void)e;
    *got = len < g->piece ? len : g->piece;
    if (*got > g->bytes.len)
        *got = g->bytes.len;
    if (*got > 0)
        memcpy(out, g->bytes.ptr, *got);
    g->bytes = slice_sub(g->bytes, *got, g->bytes.len - *got);
    return 0;
}

static inline void
put_head(struct buf *b, uint8_t flags, uint8_t type, const char *path)
{
    buf_put_str(b, "XBSTCK01");
    buf_put_u8(b, flags);
    buf_put_u8(b, type);
    buf_put_u32(b, (uint32_t)strlen(path));
    buf_put_str(b, path);
}

static inline void
put_bytes(struct buf *b, uint8_t flags, uint8_t type, const char *path, uint64_t offset,
          struct slice bytes)
{
    put_head(b, flags, type, path);
    buf_put_u64(b, bytes.len);
    buf_put_u64(b, offset);
    buf_put_u32(b, crc32_ieee_add(0, bytes));
    buf_put_slice(b, bytes);
}

static inline void
put_chunk(struct buf *b, const char *path, uint64_t offset, const char *text)
{
    put_bytes(b, 0, 'P', path, offset, slice_str(text));
}

static inline void
put_end(struct buf *b, const char *path)
{
    put_head(b, 0, 'E', path);
}

#endif
