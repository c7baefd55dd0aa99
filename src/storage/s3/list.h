/* list: the two calls that speak of many objects at once. */
#ifndef STORAGE_S3_LIST_H
#define STORAGE_S3_LIST_H

#include "request.h"

int s3_list(struct storage *s, const char *prefix, const char *after, storage_list_fn *fn,
            void *arg, struct err *e);
int s3_remove(struct storage *s, const char *const *keys, size_t count, struct err *e);
struct s3 *s3_of(struct storage *s);

#endif
