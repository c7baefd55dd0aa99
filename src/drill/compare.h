/*
 * compare: a restored folder against the manifest it was restored from.
 *
 * The contents are read from the disk and named anew: nothing is believed of
 * what the restore said. Streams the manifest; memory does not grow with it.
 */
#ifndef DRILL_COMPARE_H
#define DRILL_COMPARE_H

#include "repo/repo.h"

struct compare_options {
    const struct snapshot *snapshot;
    const char *const *paths; /* that were restored; NULL: all */
    const char *root;         /* the folder they were restored into */
    const char *below;        /* compare only what lies below here; "": all */
};

struct compare_result {
    uint64_t entries, bytes; /* compared */
    uint64_t mismatched, missing, extra;
    struct buf told; /* the first ones, in words; the caller releases it */
};

MUST_USE int compare_tree(struct repo *r, const struct compare_options *o,
                          struct compare_result *result, struct err *e);

#endif
