/* entry_format: one entry as bytes in a leaf. Bytes: drtool-format(5) ENTRIES. */
#ifndef REPO_ENTRY_FORMAT_H
#define REPO_ENTRY_FORMAT_H

#include "repo/manifest.h"

/* State that runs through a leaf: the chunk named last, so that the files of a
 * bundle do not repeat its id. */
struct entry_context {
    struct chunk_id last;
};

/* Appends all but the path. `xattr_chunk` (may be NULL) holds the xattrs instead. */
void entry_put(struct buf *out, struct entry_context *c, const struct entry *en,
               const struct chunk_id *xattr_chunk);
/* Fills all but the path; false when the bytes are damaged. With
 * *has_xattr_chunk the xattrs lie in that chunk. */
bool entry_get(struct reader *r, struct entry_context *c, struct entry *en,
               struct chunk_id *xattr_chunk, bool *has_xattr_chunk);

#endif
