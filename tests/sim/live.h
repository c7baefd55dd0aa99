/*
 * live: the packs that a target must keep.
 *
 * Those are all that hold a chunk of a snapshot there that is not gone, complete or
 * not: each copy of it, for on which a writer relied is not known.
 */
#ifndef TESTS_SIM_LIVE_H
#define TESTS_SIM_LIVE_H

#include "repo/repo.h"

/* Appends their names, sorted. Lists snapshots, and then the index, which was put
 * before them. One that cannot be walked is an error. */
MUST_USE int live_packs(struct repo *r, size_t target, struct buf *live, struct err *e);
bool live_has(const struct buf *live, const uint8_t name[32]);

#endif
