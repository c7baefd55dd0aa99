/*
 * pace: no more than so many bytes a second, shared by all who take from it.
 *
 * A token bucket. Who wants to move bytes is told how many may go and when:
 * turns are short (a sixteenth of a second's bytes, 256 at least) and given in
 * the order asked, so that threads get equal shares and a slow stream stays
 * one. What was not used is kept, up to a quarter of a second's bytes or 64 KiB.
 *
 * The rate follows the local time of day; when it changes, those who wait go
 * on at once. Any thread may call pace_take(); the bucket alone has no lock
 * and no clock.
 */
#ifndef BASE_PACE_H
#define BASE_PACE_H

#include "base/err.h"
#include "base/mem.h"

#include <stdatomic.h>
#include <stdint.h>

#define PACE_RATE_MAX ((uint64_t)1 << 40) /* bytes/s */
#define PACE_BURST_MIN 65536              /* bytes */
#define PACE_DAY_MIN 1440                 /* minutes of a day */

/* A rate and when it counts: from the first minute to the one before the last,
 * across midnight when the last is the lesser; the whole day when both are equal. */
struct pace_hours {
    uint64_t rate; /* bytes/s; 0: unlimited */
    unsigned from_min, to_min; /* since midnight */
};

struct pace;

struct pace *pace_new(const struct pace_hours *hours, size_t count); /* copies them */
void pace_free(struct pace *p);
DEFINE_CLEANUP(struct pace, pace_free)

/* Waits for a turn of up to `want` bytes; `*n` tells how many may be moved now,
 * at least 1 unless `want` is 0. Without a pace (NULL): all, at once.
 * ERR_CANCELLED, within 100 ms, when a signal came or `stop` (NULL: none)
 * became true; the turn is lost then. */
MUST_USE int pace_take(struct pace *p, size_t want, const atomic_bool *stop, size_t *n,
                       struct err *e);

/* The rate that counts at this minute: the first one whose hours hold it; 0
 * when there is none. */
uint64_t pace_rate_at(const struct pace_hours *hours, size_t count, unsigned minute);

/* The bucket, with the time passed in. All zero: unlimited until the first tick. */
struct pace_bucket {
    uint64_t rate;  /* bytes/s; 0: unlimited */
    int64_t at_ms;  /* of the latest tick */
    int64_t level;  /* thousandths of bytes; negative: promised, not yet there */
    uint64_t taken; /* bytes promised so far */
};

void pace_bucket_tick(struct pace_bucket *b, int64_t now_ms, uint64_t rate);
/* How much of `want` makes one turn. */
size_t pace_bucket_turn(const struct pace_bucket *b, size_t want);
/* Promises `n` bytes; returns the ticket for pace_bucket_wait(). */
uint64_t pace_bucket_take(struct pace_bucket *b, size_t n);
/* Milliseconds until those bytes may go, as of the latest tick; 0: now. */
int64_t pace_bucket_wait(const struct pace_bucket *b, uint64_t ticket);

#endif
