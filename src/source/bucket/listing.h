/*
 * listing: the objects of a bucket as files, with the folders above them.
 *
 * The server lists keys in the order of their bytes, so that all below a folder come in
 * a row: each folder is given once, before what is in it. That "a" needs another name,
 * because there is a folder "a", shows only when "a/…" comes, and "a!" may stand between:
 * such objects are held back until it is clear, each being the beginning of the next one.
 * Memory: a page of the server, and the objects whose keys the last key begins with.
 */
#ifndef SOURCE_BUCKET_LISTING_H
#define SOURCE_BUCKET_LISTING_H

#include "../driver.h"
#include "../files/exclude.h"
#include "key.h"
#include "object.h"

#include "base/retry.h"
#include "s3/s3.h"

struct held {
    size_t len; /* of its key, with which the last one begins */
    uint64_t size;
    int64_t mtime_s;
    char *etag;
};

/* What is given: its slices and texts live until the next call. */
struct listed {
    struct slice path;
    bool folder;
    const char *key;  /* of an object */
    const char *etag; /* without its quotes, "" when it has none */
    uint64_t size;    /* bytes */
    int64_t mtime_s;  /* 0: not known, as of folders that are no objects */
};

struct listing {
    struct source *source; /* is told of keys that cannot be kept */
    struct s3 *s3;
    struct retry *retry;
    struct exclude *exclude;
    struct s3_listing pages;
    size_t next; /* of the page */
    bool ended;
    const struct s3_object *object; /* in hand; NULL: none */
    bool arrived;                   /* `last` is its key */
    struct key_path above;          /* its folders */
    bool made[KEY_MAX + 1];         /* the folder of the first n bytes of `last` */
    char last[KEY_MAX + 1];
    char told[KEY_MAX + 1]; /* the last of all that were listed */
    bool any;               /* there was one */
    struct held held[KEY_MAX + 1];
    size_t held_count;
    struct key_path given; /* of the object that was given last, as the two below */
    char key[KEY_MAX + 1];
    char *etag;
};

/* Asks for the first page. ERR_NO_TARGET, DENIED, UNAVAIL as in storage.h. */
MUST_USE int listing_begin(struct listing *l, struct err *e);
/* 1; 0 at the end; -1. */
MUST_USE int listing_next(struct listing *l, struct listed *out, struct err *e);
void listing_end(struct listing *l);

#endif
