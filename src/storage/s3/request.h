/*
 * request: one signed request to a bucket, its answer, and what went wrong.
 */
#ifndef STORAGE_S3_REQUEST_H
#define STORAGE_S3_REQUEST_H

#include "net/http.h"
#include "storage/driver.h"

#include <stdatomic.h>

struct s3 {
    struct storage base; /* first: a struct s3 is a struct storage */
    struct http *http;
    char *bucket;
    char *prefix; /* of all keys: "" or ending with '/' */
    char *origin; /* "http://host:port" */
    char *host;   /* the Host field */
    char *path;   /* of the bucket, percent-encoded: "/" or "/bucket/" */
    char *region;
    char *place;  /* "s3://bucket/prefix at http://host:port", for messages */
    char *access_key, *secret_key, *session_token; /* wiped at the end */
    unsigned page;
    _Atomic int64_t date_s;  /* the latest Date field; 0: none yet */
    atomic_bool seen;        /* an answer proved that the bucket exists */
    atomic_bool plain_only;  /* the server knows no If-None-Match */
};

struct s3_call {
    const char *method;
    const char *key; /* NULL: the bucket itself */
    const struct field *query;
    size_t query_count;
    const struct field *fields; /* beyond those that every request has */
    size_t field_count;
    const struct body *body; /* NULL: none */
    struct buf *out;         /* body of a good answer; NULL: dropped */
    uint64_t expected;       /* about so many bytes will be answered */
    struct pace *pace;       /* of the answer; a body brings its own */
    const atomic_bool *stop; /* as in struct range */
};

/* Returns 0 for a 2xx. Else `e` has one sentence; `out` is as it was, and
 * `a->status` tells the HTTP status (0: no answer). */
MUST_USE int s3_send(struct s3 *s, const struct s3_call *c, struct http_answer *a,
                     struct err *e);

/* The error that <Code> stands for, wherever in an answer it was. */
int s3_failed(const struct s3 *s, const char *key, int status, const char *code,
              const char *message, struct err *e);

#endif
