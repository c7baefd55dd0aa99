/* tree_walk: what listing and archives share. */
#ifndef ENGINE_TREE_WALK_H
#define ENGINE_TREE_WALK_H

#include "engine/tree.h"

#include "tree_content.h"

/* As tree_list(), but with the entry of `path` itself. */
MUST_USE int tree_walk(struct manifest_reader *m, struct slice path, bool recursive,
                       tree_entry_fn *fn, void *arg, struct err *e);

#endif
