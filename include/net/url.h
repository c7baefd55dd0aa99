/*
 * url: parts of a URL, and percent-encoding as RFC 3986 and AWS ask for it.
 *
 * Credentials within a URL are refused: it is shown in messages.
 */
#ifndef NET_URL_H
#define NET_URL_H

#include "base/buf.h"

/* A name and a value: of a query, or of a header. */
struct field {
    const char *name;
    const char *value;
};

struct url {
    char *scheme;  /* lower case */
    char *host;    /* "" where there is none; IPv6 without its brackets */
    unsigned port; /* 0: not given */
    char *path;    /* percent-decoded; "" or beginning with '/' */
};

/* Fills `out`, or leaves it empty. ERR_USAGE tells what is wrong with it. */
MUST_USE int url_parse(struct url *out, const char *text, struct err *e);
void url_release(struct url *u);

/* The host as it stands in a URL and in the Host header: an IPv6 address in
 * brackets, the port only when it is not that of the scheme. */
void url_authority(struct buf *out, const struct url *u);

/* Unreserved bytes stay as they are, every other becomes %XX; '/' stays too
 * when `path`. */
void url_encode(struct buf *out, struct slice text, bool path);

/* False: a broken escape; `out` is then as it was. */
bool url_decode(struct buf *out, struct slice text);

/* name=value&name=value with both encoded, sorted by name, then by value, as
 * a signature wants it. At most URL_FIELDS_MAX fields. */
#define URL_FIELDS_MAX 32
void url_query(struct buf *out, const struct field *fields, size_t count);

#endif
