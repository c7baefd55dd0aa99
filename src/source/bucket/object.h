/*
 * object: the content of one object, a piece at a time.
 *
 * The first answer says what the object is: its size, time, ETag and metadata. Each
 * further piece is asked for with that ETag, so that bytes of two versions never come
 * together. A piece that breaks off is asked for again. Memory: a piece.
 */
#ifndef SOURCE_BUCKET_OBJECT_H
#define SOURCE_BUCKET_OBJECT_H

#include "base/retry.h"
#include "s3/s3.h"
#include "source/entry.h"

struct object {
    struct s3 *s3;
    struct retry *retry;
    const char *key; /* borrowed */
    char *etag;      /* without its quotes; "": it has none */
    uint64_t size;   /* bytes */
    int64_t mtime_s; /* 0: not told */
    uint64_t at;     /* where the next piece begins */
    struct buf piece;
    size_t used; /* bytes of it that were given */
    struct buf xattrs;
    bool changed; /* was overwritten or removed while it was read */
    bool again;   /* and that a second time ends it */
};

void object_init(struct object *o, struct s3 *s3, struct retry *retry);
void object_release(struct object *o);

/* `size` is what the listing said. NOT_FOUND, DENIED, UNAVAIL and so on as s3_send(). */
MUST_USE int object_begin(struct object *o, const char *key, uint64_t size,
                          struct err *e);
/* Up to `len` bytes; *got 0: the end, or that it has changed. ERR_SOURCE when it has
 * changed a second time. */
MUST_USE int object_read(struct object *o, uint8_t *out, size_t len, size_t *got,
                         struct err *e);

/* 64 bits that stand for an ETag. */
uint64_t etag_number(const char *etag);
/* "abc" in quotes, as servers send it, without them; free it. */
char *etag_of(const char *text);

#endif
