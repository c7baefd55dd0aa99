/*
 * sorter: records in, in any order; out again, in the order of their keys.
 *
 * However many there are, memory is a cache of fixed size: they lie in a file without
 * a name in a folder of the caller's. One thread.
 */
#ifndef STATE_SORTER_H
#define STATE_SORTER_H

#include "base/buf.h"

struct sorter;

MUST_USE int sorter_new(const char *dir, struct sorter **out, struct err *e);
void sorter_free(struct sorter *s);
DEFINE_CLEANUP(struct sorter, sorter_free)

/* ERR_EXISTS when there is a record with this key. */
MUST_USE int sorter_put(struct sorter *s, struct slice key, struct slice value,
                        struct err *e);

/* Calls fn for each record by its key's bytes; -1 from it ends the walk. */
typedef int sorter_fn(void *arg, struct slice key, struct slice value, struct err *e);
MUST_USE int sorter_each(struct sorter *s, sorter_fn *fn, void *arg, struct err *e);

#endif
