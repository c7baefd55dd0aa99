/* tar_meta: an entry's metadata in libarchive's form. */
#ifndef ENGINE_TAR_META_H
#define ENGINE_TAR_META_H

#include "source/entry.h"

struct archive_entry;

char *tar_text(struct slice s); /* a copy with a NUL; free it */

/* All but names in the archive, size and sparse map. */
void tar_meta(struct archive_entry *ae, const struct entry *en);

#endif
