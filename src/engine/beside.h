/*
 * beside: the parent snapshot's manifest, read beside the walk of a source.
 *
 * One that cannot be read is no parent any more: the run goes on and reads everything.
 * One thread.
 */
#ifndef ENGINE_BESIDE_H
#define ENGINE_BESIDE_H

#include "repo/manifest.h"
#include "repo/repo.h"

struct beside {
    struct manifest_reader *manifest; /* NULL: there is no parent */
    struct entry entry;               /* the first not before where the walk is */
    bool have_entry;
    bool unordered; /* the walk may go back */
    bool broken;
};

void beside_open(struct beside *b, struct repo *r, const struct manifest_root *root,
                 bool unordered);
void beside_close(struct beside *b);

/* Moves to the first entry not before `path`. -1 when the run was cancelled. */
MUST_USE int beside_advance(struct beside *b, struct slice path, struct err *e);
/* What the parent has of that path; NULL: nothing. */
const struct entry *beside_find(const struct beside *b, struct slice path);

#endif
