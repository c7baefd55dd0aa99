/* renew: packs that a target must not rely on any more, stored anew. */
#ifndef ENGINE_RENEW_H
#define ENGINE_RENEW_H

#include "repo/repo.h"

/* Stores the chunks of a pack in a new one, which goes to every target; its name is
 * appended to `out`. 1; 0 no target has the pack; -1, also when one that may have it
 * does not answer. */
MUST_USE int renew_pack(struct repo *r, const uint8_t name[32], struct buf *out,
                        struct err *e);

/* Snapshots that wait for a target which is pruning packs of theirs (`condemned`) wait
 * for new ones instead, all but `but`. Those of which a pack is nowhere wait no more. */
MUST_USE int renew_waiting(struct repo *r, struct slice condemned, const char *but,
                           struct err *e);

#endif
