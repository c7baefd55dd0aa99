/*
 * retry: whether a call that failed is made once more, and the wait before it.
 *
 * Waits are random, so that callers spread. A budget keeps a place that is dead from
 * costing every call its full patience: each repetition takes a token, each success
 * gives two back, and without tokens the first failure is told at once. One budget
 * belongs to one place; any thread may ask.
 * Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (full jitter).
 */
#ifndef BASE_RETRY_H
#define BASE_RETRY_H

#include "base/err.h"

#include <stdatomic.h>
#include <stdint.h>

struct retry_options {
    unsigned tries;        /* at most, the first one included */
    int64_t first_wait_ms; /* doubles; the wait is random between 0 and it */
    int64_t max_wait_ms;
    void (*sleep_ms)(int64_t ms); /* NULL: clock_sleep_ms */
    /* Told of each try that failed, before the wait for the next, whatever its
     * kind and from whichever thread; NULL: nobody. */
    void (*tried)(void *arg, const struct err *e);
    void *arg;
};

#define RETRY_DEFAULT \
    ((struct retry_options){ .tries = 5, .first_wait_ms = 200, .max_wait_ms = 20000 })

struct retry {
    struct retry_options options;
    atomic_int budget;
};

void retry_init(struct retry *r, const struct retry_options *o);

/* After try number `tried` of `what` at `place` ended with `rc`: waits and is true when
 * the call should be made once more. A `stop` (NULL: none) ends the wait; what is then
 * called again says that it is not wanted. */
bool retry_again(struct retry *r, const char *what, const char *place, unsigned tried,
                 const atomic_bool *stop, int rc, const struct err *e);

#endif
