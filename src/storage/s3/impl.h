/* impl: what the files of this driver share. */
#ifndef STORAGE_S3_IMPL_H
#define STORAGE_S3_IMPL_H

#include "s3/s3.h"
#include "storage/driver.h"

struct s3_storage {
    struct storage base; /* first: a struct s3_storage is a struct storage */
    struct s3 *s3;
    atomic_bool plain_only; /* the server knows no If-None-Match */
};

struct s3 *s3_of(struct storage *s);
struct s3_body s3_body_of(const struct body *b); /* lives no longer than `b` */

/* The two calls that speak of many objects at once. */
int s3_list(struct storage *s, const char *prefix, const char *after, storage_list_fn *fn,
            void *arg, struct err *e);
int s3_remove(struct storage *s, const char *const *keys, size_t count, struct err *e);

#endif
