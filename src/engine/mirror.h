/* mirror: two listings side by side, a page of each in memory. */
#ifndef ENGINE_MIRROR_H
#define ENGINE_MIRROR_H

#include "storage/storage.h"

/* An object of the first storage; `there`: the second lists one of that name. */
typedef int mirror_fn(void *arg, const char *key, uint64_t size, bool there,
                      struct err *e);

/* Calls fn for each object of `from` below `prefix`, in key order; fn may ask
 * either storage. */
MUST_USE int mirror_each(struct storage *from, struct storage *to, const char *prefix,
                         mirror_fn *fn, void *arg, struct err *e);

#endif
