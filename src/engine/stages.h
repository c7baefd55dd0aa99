/*
 * stages: a restore's second and third thread.
 *
 * The walk fills loads; the second thread sees one after the other fetched, while the
 * fetchers may be on to the next (window.h); the third gives
 * final names to what has been fetched, after one sync for all loads that wait by
 * then: the sync waits for the disk, not for us. Loads are named in the order of the
 * walk, so that links and folders follow their files.
 */
#ifndef ENGINE_STAGES_H
#define ENGINE_STAGES_H

#include "window.h"

struct stages;

MUST_USE int stages_start(struct window *w, struct stages **out, struct err *e);

/* Takes the load, when all but the last two before have been fetched. -1: a stage has
 * failed, now or earlier. */
MUST_USE int stages_take(struct stages *s, struct load *l, struct err *e);

/* How many loads were taken, and have their names. A link group of the load numbered
 * n, from 0, is known to the place when `named` is more than n. */
uint64_t stages_taken(const struct stages *s);
uint64_t stages_named(struct stages *s);

/* Until all loads have their names; -1 with the first error of any stage. Ends the
 * threads. Not called, stages_free() gives up what has no name yet. */
MUST_USE int stages_finish(struct stages *s, struct err *e);
void stages_free(struct stages *s);

/* True while the calling thread finishes a folder above the source's paths: its
 * attributes are a courtesy, since such folders are seldom the person's own. */
bool stages_courtesy(void);

#endif
