/*
 * table: a file of records of one size by number, each with a CRC-32C.
 *
 * The number goes into the CRC, so that no other record can stand for it. What
 * does not fit is an index_error().
 */
#ifndef REPO_TABLE_H
#define REPO_TABLE_H

#include "base/buf.h"

#define TABLE_RECORD_MAX 128

struct table {
    char *path;
    int fd;     /* -1: no file */
    size_t len; /* bytes of a record */
};

/* Without `write` the file may be missing. */
MUST_USE int table_open(const char *path, size_t len, bool write, struct table *out,
                        struct err *e);
void table_close(struct table *t);
MUST_USE int table_put(const struct table *t, uint32_t number, const void *rec,
                       struct err *e);
MUST_USE int table_get(const struct table *t, uint32_t number, void *rec, struct err *e);
/* Are the first `count` records whole? */
MUST_USE int table_check(const struct table *t, uint32_t count, struct err *e);

#endif
