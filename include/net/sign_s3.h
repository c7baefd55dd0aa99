/*
 * sign_s3: the Authorization field of a request to an S3 server.
 *
 * A pure function: same description, same signature. Every field given is
 * signed, so the caller gives host and x-amz-date and leaves out what a proxy
 * may change.
 * Source: AWS General Reference, "Signature Version 4 signing process".
 */
#ifndef NET_SIGN_S3_H
#define NET_SIGN_S3_H

#include "base/buf.h"
#include "net/url.h"

struct sign_s3 {
    const char *access_key, *secret_key;
    const char *region, *service; /* service: "s3" */
    int64_t time_s;               /* seconds since 1970, as in x-amz-date */
    const char *method;
    const char *path;  /* percent-encoded, exactly as it is sent */
    const char *query; /* as url_query() makes it */
    const struct field *fields; /* at most URL_FIELDS_MAX */
    size_t field_count;
    const char *payload; /* SHA-256 of the body in hex */
};

void sign_s3(const struct sign_s3 *r, struct buf *out);

#define SIGN_S3_TIME_LEN 17
void sign_s3_time(char out[SIGN_S3_TIME_LEN], int64_t time_s); /* 20130524T000000Z */

#endif
