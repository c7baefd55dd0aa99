/*
 * roots: the configured paths of a source, in manifest order.
 *
 * They have no leading slash ("" is the root folder), no part "." and no
 * double slash. One may lie within another: the walk then meets it on its way
 * and takes it as configured, even where a rule or another file system would
 * have ended the outer one.
 */
#ifndef SOURCE_FILES_ROOTS_H
#define SOURCE_FILES_ROOTS_H

#include "base/buf.h"

struct roots {
    char **paths;
    size_t count;
};

struct range {
    size_t from, to; /* from == to: none */
};

/* Takes the paths that exist. A missing one is ERR_SOURCE, or left out when
 * `allow_missing`; a relative one or one with ".." is ERR_USAGE. */
MUST_USE int roots_init(struct roots *r, char *const *paths, bool allow_missing,
                        struct err *e);
void roots_release(struct roots *r);

/* Of the roots in `in`, those that are `path` or lie below it. */
struct range roots_below(const struct roots *r, struct range in, struct slice path);

#endif
