/*
 * s3: a bucket of anything that speaks the S3 protocol, and signed requests to it.
 *
 * What a storage keeps there and what a source reads from there go the same way. Keys
 * are those below the bucket's prefix, and may be any text.
 * Source: Amazon S3 API Reference, version 2006-03-01. Servers differ in what they know
 * beyond put, get, list and delete; only what is measured of the one asked is relied
 * upon. Calls may be made from several threads at once.
 */
#ifndef S3_S3_H
#define S3_S3_H

#include "conf/config.h"
#include "net/http.h"

#include <stdatomic.h>

struct s3_options {
    const char *bucket;
    const char *prefix;   /* of all keys, without '/' at its ends; NULL: none */
    const char *endpoint; /* http[s]://host[:port]; NULL: Amazon's for the region */
    const char *region;
    const char *ca; /* file of CA certificates; NULL: the system's */
    int style;      /* STYLE_AUTO, STYLE_PATH or STYLE_HOST */
    const char *access_key, *secret_key, *session_token; /* token: NULL: none */
    unsigned page;             /* keys a listing asks for at a time; 0: 1000 */
    struct http_limits limits; /* all 0: the usual ones */
};

struct s3 {
    struct http *http;
    char *bucket;
    char *prefix; /* of all keys: "" or ending with '/' */
    char *origin; /* "http://host:port" */
    char *host;   /* the Host field */
    char *path;   /* of the bucket, percent-encoded: "/" or "/bucket/" */
    char *region;
    char *url;   /* "s3://bucket/prefix" */
    char *place; /* "s3://bucket/prefix at http://host:port", for messages */
    char *access_key, *secret_key, *session_token; /* wiped at the end */
    unsigned page;
    _Atomic int64_t date_s; /* the latest Date field; 0: none yet */
    atomic_bool seen;       /* an answer proved that the bucket exists */
};

/* Everything is copied. ERR_USAGE for an endpoint or bucket name that cannot be. */
MUST_USE int s3_new(const struct s3_options *o, struct s3 **out, struct err *e);
void s3_free(struct s3 *s);
DEFINE_CLEANUP(struct s3, s3_free)

/* The bucket that a configuration names; what it leaves out comes from the environment,
 * the credentials also from the shared file. All but `credentials` may be NULL. */
struct s3_conf {
    const char *endpoint, *region, *ca;
    enum conf_style style;
    const struct conf_credentials *credentials;
};
/* ERR_DENIED when there are no credentials. */
MUST_USE int s3_open(const struct s3_conf *c, const struct url *u, struct s3 **out,
                     struct err *e);

/* What a request sends: bytes in memory, or the first `size` bytes of a file. */
struct s3_body {
    struct slice data; /* used when fd is -1 */
    int fd;
    uint64_t size;
    const uint8_t *sha256;
    struct pace *pace; /* how fast it may go; NULL: unlimited */
};

struct s3_call {
    const char *method;
    const char *key; /* NULL: the bucket itself */
    const struct field *query;
    size_t query_count;
    const struct field *fields; /* beyond those that every request has */
    size_t field_count;
    const struct s3_body *body; /* NULL: none */
    struct buf *out;            /* body of a good answer; NULL: dropped */
    uint64_t expected;          /* about so many bytes will be answered */
    struct pace *pace;          /* of the answer; a body brings its own */
    const atomic_bool *stop;    /* true: the answer is no longer wanted; NULL: none */
};

/* Returns 0 for a 2xx. Else `e` has one sentence; `out` is as it was, and
 * `a->status` tells the HTTP status (0: no answer). */
MUST_USE int s3_send(struct s3 *s, const struct s3_call *c, struct http_answer *a,
                     struct err *e);

/* The error that <Code> stands for, wherever in an answer it was. */
int s3_failed(const struct s3 *s, const char *key, int status, const char *code,
              const char *message, struct err *e);

/* An object of a listing. */
struct s3_object {
    char *key;       /* NULL: one that cannot be asked for, as it has a NUL in it */
    char *told;      /* as it came, for messages */
    char *etag;      /* as it came, with its quotes; NULL: not told */
    uint64_t size;   /* bytes */
    int64_t mtime_s; /* seconds since 1970 by the server's clock; 0: not told */
};

/* The keys that begin with `prefix` and are greater than `after`, a page at a time.
 * Whether they are in order is for the caller to check. */
struct s3_listing {
    const char *prefix;        /* borrowed */
    struct s3_object *objects; /* of the present page */
    size_t count;
    char *start, *token; /* where the next page begins */
    bool ended;
};

void s3_list_begin(const struct s3 *s, struct s3_listing *l, const char *prefix,
                   const char *after);
/* 1 and the next page, which may be empty; 0 at the end; -1: may be tried again. */
MUST_USE int s3_list_page(struct s3 *s, struct s3_listing *l, struct err *e);
void s3_list_end(struct s3_listing *l);

#endif
