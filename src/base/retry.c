#include "base/retry.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>

#define BUDGET_MAX 64

void
retry_init(struct retry *r, const struct retry_options *o)
{
    assert(o->tries >= 1 && o->first_wait_ms >= 0 && o->max_wait_ms < INT32_MAX);
    r->options = *o;
    atomic_init(&r->budget, BUDGET_MAX);
}

/* Waits in small steps, so that a signal or a stop is answered soon. */
static void
wait_ms(const struct retry *r, int64_t ms, const atomic_bool *stop)
{
    if (r->options.sleep_ms) {
        r->options.sleep_ms(ms);
        return;
    }
    int64_t until = clock_mono_ms() + ms;
    for (int64_t left = ms; left > 0; left = until - clock_mono_ms()) {
        if (cancel_requested() || (stop && atomic_load(stop)))
            return;
        clock_sleep_ms(left < 100 ? left : 100);
    }
}

static int64_t
pause_ms(const struct retry *r, unsigned tried, const struct err *e)
{
    int64_t bound = r->options.first_wait_ms;

    for (unsigned i = 1; i < tried && bound < r->options.max_wait_ms; i++)
        bound *= 2;
    if (bound > r->options.max_wait_ms)
        bound = r->options.max_wait_ms;
    if (e->kind != ERR_THROTTLED)
        return (int64_t)random_below(NULL, (uint32_t)bound + 1);
    int64_t ms = bound / 2 + (int64_t)random_below(NULL, (uint32_t)(bound / 2) + 1);
    int64_t asked = (int64_t)e->retry_after_s * 1000;
    return ms > asked ? ms : asked;
}

bool
retry_again(struct retry *r, const char *what, const char *place, unsigned tried,
            const atomic_bool *stop, int rc, const struct err *e)
{
    if (rc == 0) {
        if (atomic_load(&r->budget) < BUDGET_MAX)
            atomic_fetch_add(&r->budget, 2);
        return false;
    }
    if (r->options.tried)
        r->options.tried(r->options.arg, e);
    if (!err_retryable(e->kind) || tried >= r->options.tries || cancel_requested())
        return false;
    /* A server that is frozen has had its patience: one more try, and none for
     * the calls that follow. */
    int price = e->cause == ETIMEDOUT ? BUDGET_MAX : 1;
    if (atomic_fetch_sub(&r->budget, price) <= 0) {
        atomic_fetch_add(&r->budget, price);
        return false;
    }
    int64_t ms = pause_ms(r, tried, e);
    log_info("%s at %s failed (%s); trying again in %s", what, place, err_text(e),
             text_of_duration(ms));
    wait_ms(r, ms, stop);
    return !cancel_requested();
}
