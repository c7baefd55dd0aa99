/*
 * storage: named, immutable objects in one place.
 *
 * Everything that keeps objects is a `struct storage`: a folder, a bucket, a
 * retrying wrapper round a bucket. Callers cannot tell which, and must not
 * ask; they may look at the traits.
 *
 * Keys are relative paths of [a-z0-9/_.-], at most STORAGE_KEY_MAX bytes,
 * without empty parts or parts that begin with a dot; where there is "a/b" there
 * is never an object "a", because a folder cannot be both. An object appears whole
 * or not at all, and after storage_put() returned 0 it survives the loss of
 * power at the place that keeps it. Every call may be made from several threads
 * at once, and from the callback of a listing.
 *
 * Errors: NOT_FOUND the object is not there; NO_TARGET the bucket is not;
 * UNAVAIL no or a broken answer; THROTTLED; DENIED; FULL; CORRUPT the answer
 * contradicts itself, or a body does not have the hash it was announced with;
 * CANCELLED.
 */
#ifndef STORAGE_STORAGE_H
#define STORAGE_STORAGE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/pace.h"

#include <stdatomic.h>

#define STORAGE_KEY_MAX 200
#define STORAGE_OBJECT_MAX ((uint64_t)128 << 20) /* bytes: a put is one request */

struct storage;

/* What a put sends: bytes in memory, or the first `size` bytes of a file.
 * `sha256` is always filled: it is name, signature and checksum at once. */
struct body {
    struct slice data; /* used when fd is -1 */
    int fd;
    uint64_t size;
    uint8_t sha256[32];
    struct pace *pace; /* how fast it may go; NULL: unlimited */
    bool sealed; /* nobody changes the file, and the store may have it */
};

struct body body_of(struct slice data); /* hashes it */

struct object_info {
    const char *key;     /* in a listing: valid during the callback only */
    uint64_t size;       /* bytes */
    int64_t mtime_s;     /* seconds since 1970 by the store's clock; 0: not told */
    const char *version; /* the store's version id, "" where it keeps none */
    bool attested;       /* sha256 is what the store itself computed */
    uint8_t sha256[32];
};

struct range {
    const char *key;
    const char *version; /* NULL: the newest */
    uint64_t offset;
    uint64_t len;            /* 0: to the end */
    struct pace *pace;       /* how fast it may come; NULL: unlimited */
    const atomic_bool *stop; /* the caller's; true: no longer wanted; NULL: none */
};

enum put_flag { PUT_IF_ABSENT = 1 << 0 };

enum storage_trait {
    STORAGE_IF_ABSENT = 1 << 0, /* PUT_IF_ABSENT is honoured: ERR_EXISTS */
    STORAGE_LOCAL = 1 << 1,     /* no network: many small reads are cheap */
};

/* Returns 0 to go on, -1 with `e` filled to stop the listing. */
typedef int storage_list_fn(void *arg, const struct object_info *o, struct err *e);

/* Stores the body under `key`, replacing what was there. With PUT_IF_ABSENT
 * and the trait an existing object is left alone: ERR_EXISTS. */
MUST_USE int storage_put(struct storage *s, const char *key, const struct body *body,
                         unsigned flags, struct err *e);

/* Appends the range to `out`, or nothing. A range past the end, or fewer bytes
 * than asked for, is ERR_CORRUPT: the caller knew the size. An object larger
 * than the room left in `out` is ERR_CORRUPT too. ERR_CANCELLED soon, within a
 * second or so, after `*stop` became true. */
MUST_USE int storage_get(struct storage *s, const struct range *r, struct buf *out,
                         struct err *e);

/* Size, time and attested hash of one object; `key` and `version` of `out`
 * are left NULL. */
MUST_USE int storage_head(struct storage *s, const char *key, struct object_info *out,
                          struct err *e);

/* Calls `fn` for each object whose key begins with `prefix`, in key order. */
MUST_USE int storage_list(struct storage *s, const char *prefix, storage_list_fn *fn,
                          void *arg, struct err *e);

/* The same for keys greater than `after` only: goes on where a listing ended. */
MUST_USE int storage_list_after(struct storage *s, const char *prefix, const char *after,
                                storage_list_fn *fn, void *arg, struct err *e);

/* Removes up to any number of objects. Removing what is not there succeeds. */
MUST_USE int storage_remove(struct storage *s, const char *const *keys, size_t count,
                            struct err *e);

/* The store's own clock, seconds since 1970, as of its latest answer; asks it
 * when there was none yet. Only differences between two readings mean anything. */
MUST_USE int storage_now(struct storage *s, int64_t *out_s, struct err *e);

const char *storage_url(const struct storage *s); /* for messages; no secrets */
unsigned storage_traits(const struct storage *s);
void storage_close(struct storage *s);
DEFINE_CLEANUP(struct storage, storage_close)

bool storage_key_valid(const char *key);

#endif
