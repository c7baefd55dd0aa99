/*
 * s3: a storage in a bucket of anything that speaks the S3 protocol.
 *
 * Source: Amazon S3 API Reference, version 2006-03-01. Servers differ in what
 * they know beyond put, get, list and delete; only what is measured of the
 * one asked is relied upon (conditional puts, checksums).
 */
#ifndef STORAGE_S3_H
#define STORAGE_S3_H

#include "conf/config.h"
#include "net/http.h"
#include "storage/storage.h"

struct s3_options {
    const char *bucket;
    const char *prefix;   /* of all keys, without '/' at its ends; NULL: none */
    const char *endpoint; /* http[s]://host[:port]; NULL: Amazon's for the region */
    const char *region;
    const char *ca;       /* file of CA certificates; NULL: the system's */
    int style;            /* STYLE_AUTO, STYLE_PATH or STYLE_HOST */
    const char *access_key, *secret_key, *session_token; /* token: NULL: none */
    unsigned page;        /* keys a listing asks for at a time; 0: 1000 */
    struct http_limits limits; /* all 0: the usual ones */
};

/* Everything is copied. ERR_USAGE for an endpoint or bucket name that cannot be. */
MUST_USE int storage_s3(const struct s3_options *o, struct storage **out, struct err *e);

#endif
