#include "hedge.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"

#include "impl.h"

#include <assert.h>
#include <string.h>

#define TOKENS_MAX 4.0
#define LOOK_MS 200 /* so often is looked for a cancel */

/* One read of one target. The reader frees it when nobody wants it any more. */
struct job {
    struct target *target;
    char *key, *version;
    struct range range;
    struct buf bytes;
    struct err e;
    int rc;
    int64_t late_ms, hang_ms; /* moments of clock_mono_ms() */
    int64_t took_ms;
    atomic_bool stop;
    bool done, dropped;
    struct job *next;
};

struct hedge {
    struct fleet *fleet;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct job *waiting, **last; /* to be run, in order */
    struct job *running[HEDGE_READERS_MAX];
    pthread_t readers[HEDGE_READERS_MAX];
    unsigned reader_count, idle;
    bool closing;
    double tokens;
};

static void
job_free(struct job *j)
{
    buf_release(&j->bytes);
    mem_free(j->key);
    mem_free(j->version);
    mem_free(j);
}

static struct job *
job_new(struct target *t, const struct range *r, size_t max)
{
    struct job *j = mem_zalloc(sizeof *j);

    j->target = t;
    j->key = mem_strdup(r->key);
    j->version = mem_strdup(r->version);
    j->range = *r;
    j->range.key = j->key;
    j->range.version = j->version;
    j->range.stop = &j->stop;
    j->bytes = BUF(max);
    return j;
}

static void
run(struct job *j)
{
    int64_t begun = clock_mono_ms(); /* it may have waited for a reader until now */

    j->rc = storage_get(j->target->store, &j->range, &j->bytes, &j->e);
    j->took_ms = clock_mono_ms() - begun;
}

struct hedge *
hedge_new(struct fleet *f)
{
    struct hedge *h = mem_zalloc(sizeof *h);

    h->fleet = f;
    h->last = &h->waiting;
    h->tokens = 1;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->work, NULL);
    pthread_cond_init(&h->done, NULL);
    return h;
}

struct reader_arg {
    struct hedge *hedge;
    unsigned number;
};

static void *
reader(void *arg)
{
    struct reader_arg a = *(struct reader_arg *)arg;
    struct hedge *h = a.hedge;

    mem_free(arg);
    pthread_mutex_lock(&h->lock);
    for (;;) {
        while (!h->waiting && !h->closing) {
            h->idle++;
            pthread_cond_wait(&h->work, &h->lock);
            h->idle--;
        }
        struct job *j = h->waiting;
        if (!j)
            break;
        h->waiting = j->next;
        if (!h->waiting)
            h->last = &h->waiting;
        h->running[a.number] = j;
        pthread_mutex_unlock(&h->lock);
        run(j);
        pthread_mutex_lock(&h->lock);
        h->running[a.number] = NULL;
        j->done = true;
        if (j->dropped)
            job_free(j);
        pthread_cond_broadcast(&h->done);
    }
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

void
hedge_free(struct hedge *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->closing = true;
    for (unsigned i = 0; i < h->reader_count; i++)
        if (h->running[i])
            atomic_store(&h->running[i]->stop, true);
    for (struct job *j = h->waiting; j; j = j->next)
        atomic_store(&j->stop, true);
    pthread_cond_broadcast(&h->work);
    pthread_mutex_unlock(&h->lock);
    for (unsigned i = 0; i < h->reader_count; i++)
        pthread_join(h->readers[i], NULL);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->work);
    pthread_cond_destroy(&h->done);
    mem_free(h);
}

/* Hands the job to a reader; with the lock. Without a thread to be had it is run
 * here. */
static void
begin(struct hedge *h, struct job *j)
{
    if (h->idle == 0 && h->reader_count < HEDGE_READERS_MAX) {
        struct reader_arg *a = mem_alloc(sizeof *a);
        *a = (struct reader_arg){ h, h->reader_count };
        if (pthread_create(&h->readers[h->reader_count], NULL, reader, a) == 0)
            h->reader_count++;
        else
            mem_free(a);
    }
    if (h->reader_count == 0) {
        pthread_mutex_unlock(&h->lock);
        run(j);
        pthread_mutex_lock(&h->lock);
        j->done = true;
        return;
    }
    *h->last = j;
    h->last = &j->next;
    pthread_cond_signal(&h->work);
}

/* Not wanted any more: its reader frees it. One that hung as long counts as a
 * silence of its target, whatever it would have said. With the lock. */
static void
drop(struct hedge *h, struct job *j)
{
    struct err hung = { 0 };

    if (!j->done && clock_mono_ms() >= j->hang_ms) {
        err_set(&hung, ERR_UNAVAIL, 0, "it hangs over %s, which another target has given",
                j->key);
        pthread_mutex_unlock(&h->lock);
        fleet_outcome(h->fleet, j->target, false, 0, &hung);
        pthread_mutex_lock(&h->lock);
    }
    if (j->done) {
        job_free(j);
        return;
    }
    j->dropped = true;
    atomic_store(&j->stop, true);
}

/* When the target is late with this read, and when it hangs. */
static void
set_limits(struct hedge *h, struct job *j)
{
    int64_t now = clock_mono_ms();

    pthread_mutex_lock(&h->fleet->lock);
    j->late_ms = now + pulse_late_ms(&j->target->pulse, j->range.len);
    j->hang_ms = now + pulse_hang_ms(&j->target->pulse, j->range.len);
    pthread_mutex_unlock(&h->fleet->lock);
}

/* One read with its jobs: begun so far, one or two of them still running. */
struct asking {
    struct hedge *hedge;
    struct target *const *targets;
    size_t count, begun;
    const struct range *range;
    struct job *jobs[FLEET_TARGETS_MAX]; /* NULL: over */
    int64_t late_ms;                     /* when the next one may be asked */
    struct err worst;
};

static void
ask_next(struct asking *a)
{
    struct target *t = a->targets[a->begun];
    struct job *j = job_new(t, a->range,
                            a->range->len ? a->range->len : STORAGE_OBJECT_MAX);

    a->jobs[a->begun++] = j;
    set_limits(a->hedge, j);
    a->late_ms = j->late_ms;
    begin(a->hedge, j);
}

static unsigned
running(const struct asking *a)
{
    unsigned n = 0;

    for (size_t i = 0; i < a->begun; i++)
        n += a->jobs[i] != NULL;
    return n;
}

/* May one that is late be overtaken? Takes the token. With the lock. */
static bool
may_overtake(struct asking *a, int64_t now)
{
    struct hedge *h = a->hedge;
    const struct job *last = a->jobs[a->begun - 1]; /* NULL: it failed already */

    if (a->begun == a->count || now < a->late_ms)
        return false;
    if (h->tokens < 1 && last && now < last->hang_ms) {
        a->late_ms = last->hang_ms;
        return false;
    }
    h->tokens -= h->tokens >= 1;
    return true;
}

/* Waits for the next job to end; NULL when it was interrupted. With the lock. */
static struct job *
next_done(struct asking *a, struct err *e)
{
    struct hedge *h = a->hedge;

    for (;;) {
        for (size_t i = 0; i < a->begun; i++)
            if (a->jobs[i] && a->jobs[i]->done)
                return TAKE(a->jobs[i]);
        if (cancel_check(e) < 0)
            return NULL;
        int64_t now = clock_mono_ms();
        if (running(a) == 1 && may_overtake(a, now)) {
            log_info("target %s is late with %s; asking %s too",
                     a->targets[a->begun - 1]->name, a->range->key,
                     a->targets[a->begun]->name);
            ask_next(a);
            continue;
        }
        int64_t ms = a->late_ms > now && a->late_ms - now < LOOK_MS ? a->late_ms - now
                                                                    : LOOK_MS;
        struct timespec until = clock_after(ms);
        pthread_cond_timedwait(&h->done, &h->lock, &until);
    }
}

/* Bytes that fill an empty buffer are not copied: there are as many reads as threads. */
static void
give(struct buf *out, struct buf *bytes)
{
    size_t max = out->max;

    if (out->len > 0) {
        buf_put_slice(out, buf_slice(bytes));
        return;
    }
    assert(bytes->len <= max);
    buf_release(out);
    *out = *bytes;
    *bytes = BUF(0);
    out->max = max;
}

static int
ask(struct asking *a, fleet_check_fn *check, void *arg, struct buf *out, struct err *e)
{
    struct hedge *h = a->hedge;

    ask_next(a);
    for (;;) {
        struct job *j = next_done(a, e);
        if (!j)
            return -1;
        pthread_mutex_unlock(&h->lock);
        int rc = read_judge(h->fleet, j->target, a->range, j->rc, &j->e,
                            buf_slice(&j->bytes), j->took_ms, check, arg);
        if (rc == 0)
            give(out, &j->bytes);
        pthread_mutex_lock(&h->lock);
        if (rc < 0)
            read_worst(&a->worst, &j->e);
        job_free(j);
        if (rc == 0)
            return 0;
        if (running(a) > 0)
            continue;
        if (a->begun == a->count) {
            *e = a->worst;
            return -1;
        }
        ask_next(a);
    }
}

int
hedge_get(struct hedge *h, struct target *const *targets, size_t count,
          const struct range *r, fleet_check_fn *check, void *arg, struct buf *out,
          struct err *e)
{
    struct asking a = { .hedge = h, .targets = targets, .count = count, .range = r };

    assert(count > 0 && count <= FLEET_TARGETS_MAX);
    if (out->len
        == 0) /* what is given brings its own memory, and may be asked for twice */
        buf_release(out);
    pthread_mutex_lock(&h->lock);
    h->tokens = h->tokens + HEDGE_SHARE < TOKENS_MAX ? h->tokens + HEDGE_SHARE
                                                     : TOKENS_MAX;
    int rc = ask(&a, check, arg, out, e);
    for (size_t i = 0; i < a.begun; i++)
        if (a.jobs[i])
            drop(h, a.jobs[i]);
    pthread_mutex_unlock(&h->lock);
    return rc;
}
