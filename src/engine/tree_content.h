/* tree_content: a file's bytes in order, chunk by chunk. */
#ifndef ENGINE_TREE_CONTENT_H
#define ENGINE_TREE_CONTENT_H

#include "repo/repo.h"

typedef int content_fn(void *arg, struct slice data, struct err *e);

/* Memory: one chunk. Holes are given as zeros. */
MUST_USE int content_write(struct repo *r, const struct entry *en, content_fn *fn,
                           void *arg, struct err *e);

#endif
