/*
 * driver: what a storage driver or wrapper provides.
 *
 * A driver embeds `struct storage` as its first member and fills a const
 * table. The calls in storage.c check arguments, count and trace, then call
 * the slot; a slot may therefore assume that they are valid, and one that
 * returns -1 must have filled `e`. All slots are required. A driver moves bytes
 * by turns of pace_take() and looks at the range's `stop` between pieces. A
 * wrapper calls its inner storage through storage.h, so that these checks hold
 * at every layer.
 */
#ifndef STORAGE_DRIVER_H
#define STORAGE_DRIVER_H

#include "storage/storage.h"

#include <assert.h>
#include <string.h>

struct storage_ops {
    int (*put)(struct storage *s, const char *key, const struct body *body,
               unsigned flags, struct err *e);
    int (*get)(struct storage *s, const struct range *r, struct buf *out, struct err *e);
    int (*head)(struct storage *s, const char *key, struct object_info *out,
                struct err *e);
    /* Keys that begin with `prefix` and are greater than `after` ("": all). */
    int (*list)(struct storage *s, const char *prefix, const char *after,
                storage_list_fn *fn, void *arg, struct err *e);
    int (*remove)(struct storage *s, const char *const *keys, size_t count,
                  struct err *e);
    int (*now)(struct storage *s, int64_t *out_s, struct err *e);
    void (*close)(struct storage *s); /* frees s; a wrapper closes its inner one */
};

struct storage {
    const struct storage_ops *ops;
    unsigned traits;
    char *url; /* owned; freed by storage_close() after ops->close's own members */
};

/* ERR_CANCELLED once nobody wants the range any more. */
MUST_USE int range_check(const struct range *r, struct err *e);

static inline void
storage_key_copy(char to[STORAGE_KEY_MAX + 1], const char *key)
{
    size_t len = strlen(key);

    assert(len <= STORAGE_KEY_MAX);
    memcpy(to, key, len + 1);
}

#endif
