/* content: the bytes of a file against the chunks that its entry names. */
#ifndef DRILL_CONTENT_H
#define DRILL_CONTENT_H

#include "repo/repo.h"

/* Reads `fd`, whose size is the entry's, and names its pieces anew, in `buffer`
 * of CHUNK_RAW_MAX bytes. 1: the same, 0: not, -1: the entry's own metadata could
 * not be read. Adds the bytes read to *bytes. */
MUST_USE int content_same(struct repo *r, const struct entry *en, int fd, uint8_t *buffer,
                          uint64_t *bytes, struct err *e);

#endif
