/*
 * http: one request, one answer, over connections that are kept.
 *
 * A struct http belongs to one place (it keeps a connection for each request
 * that ran at the same time) and may be used by several threads at once.
 * Redirects are not followed, answers are not decompressed, a body is always
 * sent with its Content-Length. A status of 400 and above is an answer, not
 * an error: errors are what kept an answer from coming.
 */
#ifndef NET_HTTP_H
#define NET_HTTP_H

#include "base/buf.h"
#include "base/pace.h"
#include "net/url.h"

/* Zero means the usual value, given behind each. Time that a request waits for
 * its pace counts for none of them. */
struct http_limits {
    long connect_ms;   /* 15,000: to a connection that can be used */
    long stall_s;      /* 30: so long under stall_rate ends the request */
    long stall_rate;   /* 1,024 bytes/s */
    long slack_ms;     /* 60,000: the deadline is this ... */
    uint64_t min_rate; /* 65,536 bytes/s: ... and the body's size over this */
};

struct http_options {
    const char *ca; /* file of CA certificates; NULL: the system's */
    struct http_limits limits;
};

#define HTTP_FIELDS_MAX 16
#define HTTP_ERROR_MAX ((size_t)65536) /* bytes kept of an answer that is no 2xx */

struct http_request {
    const char *method;
    const char *url;
    struct field fields[HTTP_FIELDS_MAX]; /* sent as they are */
    size_t field_count;
    struct slice data; /* the body; used when fd is -1 */
    int fd;            /* or the first `size` bytes of this file */
    uint64_t size;
    uint64_t expected; /* about so many bytes will be answered; for the deadline */
    struct buf *out;   /* where the body of a 2xx goes; NULL: nowhere */
    struct pace *feed_pace, *take_pace; /* of the two bodies; NULL: unlimited */
    const atomic_bool *stop; /* true: ends it within a second or so; NULL: none */
};

struct http_answer {
    int status;
    int64_t length;       /* Content-Length; -1: not told */
    uint64_t received;    /* bytes of the body */
    struct buf fields;    /* lines "name\0value\0", names in lower case */
    struct buf error;     /* the body of what is no 2xx, cut at its maximum */
};

#define HTTP_ANSWER                                                            \
    ((struct http_answer){ .length = -1, .fields = BUF(65536),                 \
                           .error = BUF(HTTP_ERROR_MAX) })

struct http *http_new(const struct http_options *o);
void http_free(struct http *h);
DEFINE_CLEANUP(struct http, http_free)

/* Sends and waits. Bytes are appended to `out` even when it fails later: the
 * caller cuts it back. UNAVAIL: no or a broken answer, the text names the
 * host; CORRUPT: more bytes than `out` may hold; CANCELLED; what reading fd
 * said. */
MUST_USE int http_send(struct http *h, const struct http_request *r,
                       struct http_answer *out, struct err *e);
void http_answer_release(struct http_answer *a);

/* The value of a header field, its name in lower case; NULL: not there. */
const char *http_field(const struct http_answer *a, const char *name);

/* Seconds since 1970 of an HTTP date; -1: none. */
int64_t http_date(const char *text);

#endif
