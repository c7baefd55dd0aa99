/* walk: the files below a folder in the order of their keys. */
#ifndef STORAGE_DIR_WALK_H
#define STORAGE_DIR_WALK_H

#include "storage/storage.h"

struct walk {
    int root;         /* the open folder */
    const char *name; /* what messages call it */
    const char *prefix;
    const char *after;
    storage_list_fn *fn;
    void *arg;
};

/* What storage_list_after() promises. Names that are no keys (hidden,
 * temporary or foreign files) are passed over. */
MUST_USE int walk(const struct walk *w, struct err *e);

#endif
