/*
 * closer: ends packs in a thread of its own.
 *
 * To end one means to wait for the disk and for the state several times. The packer
 * goes on with the next meanwhile, but never gets far: two may wait.
 */
#ifndef ENGINE_CLOSER_H
#define ENGINE_CLOSER_H

#include "repo/repo.h"

struct closer;

/* Without `threaded`, or without a thread to be had, who gives a pack ends it. */
struct closer *closer_new(struct repo *r, bool threaded);
/* Gives up the packs that wait. */
void closer_free(struct closer *c);

/* Takes a full pack, whose number in the index is `number`, and hands it to the
 * repository. The last ones of a run are padded. -1 also for an earlier one; nothing
 * is stored any more then. */
MUST_USE int closer_take(struct closer *c, struct pack_writer *w, uint32_t number,
                         bool last, struct err *e);
/* Until all are stored: -1 with the first error. Nothing may be given after it. */
MUST_USE int closer_wait(struct closer *c, struct err *e);

#endif
