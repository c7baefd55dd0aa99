/*
 * walk: every file and folder at and below the configured paths, depth first,
 * the names of a folder sorted, which is manifest order.
 *
 * A folder above a path is met for its metadata only; its names are those
 * that lead to paths. Paths of the configuration are followed when they are
 * links; nothing else is. All system calls take one name below an open
 * folder, so depth is not limited by PATH_MAX.
 */
#ifndef SOURCE_FILES_WALK_H
#define SOURCE_FILES_WALK_H

#include "chain.h"
#include "exclude.h"
#include "roots.h"

#include "source/source.h"

#include <sys/stat.h>

struct walk_item {
    struct slice path;
    const char *name; /* below `dir`; both are valid until the next item */
    int dir;
    bool follow; /* a path of the configuration, or above one */
    bool above;
    struct stat st;
};

struct walk;

/* Issues go to source_report(s, …). Borrows all but `o`. */
struct walk *walk_new(struct source *s, const struct source_options *o,
                      const struct roots *roots, struct exclude *rules,
                      bool one_file_system);
MUST_USE int walk_next(struct walk *w, struct walk_item *item, struct err *e);
/* Leaves out what is still to come and lies before `path`. */
void walk_skip_to(struct walk *w, struct slice path);
void walk_free(struct walk *w);

#endif
