/* needs: the packs that a snapshot needs, found by walking its manifest. */
#ifndef ENGINE_NEEDS_H
#define ENGINE_NEEDS_H

#include "repo/repo.h"

/* Appends the names of the packs that hold the snapshot's metadata and content, those
 * on target `index` if possible, each once. ERR_CORRUPT or NOT_FOUND: it is not whole
 * anywhere. Memory: a bit for each pack of the index. */
MUST_USE int needs_of(struct repo *r, const struct snapshot *s, size_t index,
                      struct buf *packs, struct err *e);

#endif
