/*
 * hedge: one read asked of several targets, of which the first good answer counts.
 *
 * A read from afar runs in a thread of its own kind, so that its caller can turn
 * to the next target when it is late. What then comes too late is told to stop and
 * thrown away. At most HEDGE_SHARE of the reads are asked twice, or a slow place
 * would cost a second one's traffic; a read that hangs (fleet/pulse.h) may be asked
 * again in any case. Source: Dean, Barroso: The Tail at Scale, CACM 2013.
 */
#ifndef FLEET_HEDGE_H
#define FLEET_HEDGE_H

#include "fleet/fleet.h"

#define HEDGE_SHARE 0.05
#define HEDGE_READERS_MAX 64 /* threads */

struct hedge;

struct hedge *hedge_new(struct fleet *f);
void hedge_free(struct hedge *h); /* stops what is under way and waits for it */

/* Asks `targets`, best first, one after the other when one fails or is late.
 * How each ended is told to the fleet. 0 and the index of who gave the bytes that
 * pass `check`, or -1 with the error that tells most. */
MUST_USE int hedge_get(struct hedge *h, struct target *const *targets, size_t count,
                       const struct range *r, fleet_check_fn *check, void *arg,
                       struct buf *out, struct err *e);

#endif
