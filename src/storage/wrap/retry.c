/*
 * Repeats what is worth repeating, with waits that spread callers apart.
 *
 * The budget keeps a dead target from costing every call its full patience:
 * each repetition takes a token, each success gives two back, and without
 * tokens the first failure is told at once.
 * Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (full jitter).
 */
#include "storage/wrap.h"

#include "base/cancel.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "storage/driver.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define BUDGET_MAX 64
#define COMPARE_MAX ((uint64_t)1 << 20) /* bytes of an object that is read back */

struct retry {
    struct storage base; /* first: a struct retry is a struct storage */
    struct storage *inner;
    struct retry_options options;
    atomic_int budget;
};

static const struct storage_ops retry_ops;

static struct retry *
retry_of(struct storage *s)
{
    assert(s->ops == &retry_ops);
    return (struct retry *)s;
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

/* After try number `tried` ended with `rc`: waits and is true when the call
 * should be made once more. A `stop` (NULL: none) ends the wait; what is then
 * called again says that it is not wanted. */
static bool
again(struct retry *r, const char *what, unsigned tried, const atomic_bool *stop, int rc,
      const struct err *e)
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
    log_info("%s at %s failed (%s); trying again in %s", what, r->base.url, err_text(e),
             text_of_duration(ms));
    wait_ms(r, ms, stop);
    return !cancel_requested();
}

/* An earlier try may have stored it although its answer was lost: then what
 * exists now is ours, and the call has succeeded. */
static bool
is_ours(struct retry *r, const char *key, const struct body *body)
{
    AUTOBUF struct buf there = BUF(body->size + 1);
    struct range all = { .key = key };
    struct err e;

    if (body->size > COMPARE_MAX || storage_get(r->inner, &all, &there, &e) < 0)
        return false;
    struct body found = body_of(buf_slice(&there));
    return memcmp(found.sha256, body->sha256, sizeof found.sha256) == 0;
}

static int
retry_put(struct storage *s, const char *key, const struct body *body, unsigned flags,
          struct err *e)
{
    struct retry *r = retry_of(s);
    unsigned tried = 0;
    int rc;

    do {
        rc = storage_put(r->inner, key, body, flags, e);
        if (rc < 0 && e->kind == ERR_EXISTS && tried > 0 && is_ours(r, key, body))
            rc = 0;
    } while (again(r, key, ++tried, NULL, rc, e));
    return rc;
}

static int
retry_get(struct storage *s, const struct range *range, struct buf *out, struct err *e)
{
    struct retry *r = retry_of(s);
    unsigned tried = 0;
    int rc;

    do {
        rc = storage_get(r->inner, range, out, e);
    } while (again(r, range->key, ++tried, range->stop, rc, e));
    return rc;
}

static int
retry_head(struct storage *s, const char *key, struct object_info *out, struct err *e)
{
    struct retry *r = retry_of(s);
    unsigned tried = 0;
    int rc;

    do {
        rc = storage_head(r->inner, key, out, e);
    } while (again(r, key, ++tried, NULL, rc, e));
    return rc;
}

/* A listing on its way: where it would go on, and whether it was the caller
 * who ended it. */
struct listing {
    storage_list_fn *fn;
    void *arg;
    char last[STORAGE_KEY_MAX + 1];
    bool moved, stopped;
};

static int
pass_on(void *arg, const struct object_info *o, struct err *e)
{
    struct listing *l = arg;

    storage_key_copy(l->last, o->key);
    l->moved = true;
    if (l->fn(l->arg, o, e) == 0)
        return 0;
    l->stopped = true;
    return -1;
}

static int
retry_list(struct storage *s, const char *prefix, const char *after, storage_list_fn *fn,
           void *arg, struct err *e)
{
    struct retry *r = retry_of(s);
    struct listing l = { .fn = fn, .arg = arg };
    unsigned tried = 0;
    int rc;

    storage_key_copy(l.last, after);
    do {
        l.moved = false;
        rc = storage_list_after(r->inner, prefix, l.last, pass_on, &l, e);
        if (l.moved)
            tried = 0; /* a long listing is many requests, each with its own tries */
    } while (!(rc < 0 && l.stopped) && again(r, prefix, ++tried, NULL, rc, e));
    return rc;
}

static int
retry_remove(struct storage *s, const char *const *keys, size_t count, struct err *e)
{
    struct retry *r = retry_of(s);
    unsigned tried = 0;
    int rc;

    do {
        rc = storage_remove(r->inner, keys, count, e);
    } while (again(r, keys[0], ++tried, NULL, rc, e));
    return rc;
}

static int
retry_now(struct storage *s, int64_t *out_s, struct err *e)
{
    struct retry *r = retry_of(s);
    unsigned tried = 0;
    int rc;

    do {
        rc = storage_now(r->inner, out_s, e);
    } while (again(r, "the clock", ++tried, NULL, rc, e));
    return rc;
}

static void
retry_close(struct storage *s)
{
    struct retry *r = retry_of(s);

    storage_close(r->inner);
    mem_free(r);
}

static const struct storage_ops retry_ops = {
    .put = retry_put,
    .get = retry_get,
    .head = retry_head,
    .list = retry_list,
    .remove = retry_remove,
    .now = retry_now,
    .close = retry_close,
};

struct storage *
storage_retry(struct storage *inner, const struct retry_options *o)
{
    struct retry *r = mem_zalloc(sizeof *r);

    assert(o->tries >= 1 && o->first_wait_ms >= 0 && o->max_wait_ms < INT32_MAX);
    r->base = (struct storage){ .ops = &retry_ops, .traits = inner->traits,
                                .url = mem_strdup(inner->url) };
    r->inner = inner;
    r->options = *o;
    atomic_init(&r->budget, BUDGET_MAX);
    return &r->base;
}
