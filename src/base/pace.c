/*
 * A ticket is the sum of all bytes promised up to its own. It is due when the
 * bytes that time has granted reach it, so one number orders all who wait, and
 * each can ask again at any time: a rate that changed meanwhile counts at once.
 */
#include "base/pace.h"

#include "base/cancel.h"
#include "base/clock.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#define TURN_MAX 65536 /* bytes */
#define TURN_MIN 256
#define NAP_MS 50 /* how soon a signal or another rate is noticed */

struct pace {
    pthread_mutex_t lock;
    struct pace_bucket bucket;
    struct pace_hours *hours;
    size_t count;
    uint64_t rate; /* as of looked_s */
    int64_t looked_s;
};

static int64_t
depth(uint64_t rate)
{
    uint64_t bytes = rate / 4 > PACE_BURST_MIN ? rate / 4 : PACE_BURST_MIN;

    return (int64_t)bytes * 1000;
}

/* Time is worth what the rate was while it passed. Whoever waits when the rate
 * changes is let go: at a rate that fell, what was promised before could take
 * longer than a server waits. */
void
pace_bucket_tick(struct pace_bucket *b, int64_t now_ms, uint64_t rate)
{
    int64_t passed_ms = now_ms > b->at_ms ? now_ms - b->at_ms : 0;

    assert(rate <= PACE_RATE_MAX);
    b->at_ms = now_ms;
    if (b->rate == 0) {
        b->level = 0;
    } else {
        int64_t most = depth(b->rate), per_ms = (int64_t)b->rate;
        bool full = passed_ms > (most - b->level) / per_ms;
        b->level = full ? most : b->level + per_ms * passed_ms;
    }
    if (rate == b->rate)
        return;
    b->rate = rate;
    if (b->level < 0)
        b->level = 0;
    if (rate > 0 && b->level > depth(rate))
        b->level = depth(rate);
}

size_t
pace_bucket_turn(const struct pace_bucket *b, size_t want)
{
    uint64_t most = b->rate / 16;

    if (b->rate == 0)
        return want;
    most = most < TURN_MIN ? TURN_MIN : most < TURN_MAX ? most : TURN_MAX;
    return want < most ? want : (size_t)most;
}

uint64_t
pace_bucket_take(struct pace_bucket *b, size_t n)
{
    b->taken += n;
    if (b->rate > 0)
        b->level -= (int64_t)n * 1000;
    return b->taken;
}

int64_t
pace_bucket_wait(const struct pace_bucket *b, uint64_t ticket)
{
    int64_t there = b->level + (int64_t)(b->taken - ticket) * 1000;
    int64_t per_ms = (int64_t)b->rate;

    if (b->rate == 0 || there >= 0)
        return 0;
    return (-there + per_ms - 1) / per_ms;
}

static bool
holds(const struct pace_hours *h, unsigned minute)
{
    if (h->from_min == h->to_min)
        return true;
    if (h->from_min < h->to_min)
        return minute >= h->from_min && minute < h->to_min;
    return minute >= h->from_min || minute < h->to_min;
}

uint64_t
pace_rate_at(const struct pace_hours *hours, size_t count, unsigned minute)
{
    for (size_t i = 0; i < count; i++)
        if (holds(&hours[i], minute))
            return hours[i].rate;
    return 0;
}

struct pace *
pace_new(const struct pace_hours *hours, size_t count)
{
    struct pace *p = mem_zalloc(sizeof *p);

    for (size_t i = 0; i < count; i++) {
        assert(hours[i].rate <= PACE_RATE_MAX);
        assert(hours[i].from_min < PACE_DAY_MIN && hours[i].to_min < PACE_DAY_MIN);
    }
    p->hours = mem_alloc((count + 1) * sizeof *hours);
    if (count > 0)
        memcpy(p->hours, hours, count * sizeof *hours);
    p->count = count;
    p->looked_s = -1;
    pthread_mutex_init(&p->lock, NULL);
    return p;
}

void
pace_free(struct pace *p)
{
    if (!p)
        return;
    pthread_mutex_destroy(&p->lock);
    mem_free(p->hours);
    mem_free(p);
}

/* The day is looked at once a second. With the lock. */
static void
tick(struct pace *p)
{
    int64_t now_ms = clock_mono_ms();
    time_t now_s = (time_t)clock_now().s;
    struct tm tm = { 0 };

    if (p->looked_s != now_s) {
        localtime_r(&now_s, &tm);
        p->rate = pace_rate_at(p->hours, p->count,
                               (unsigned)(tm.tm_hour * 60 + tm.tm_min));
        p->looked_s = now_s;
    }
    pace_bucket_tick(&p->bucket, now_ms, p->rate);
}

static int
check_stop(const atomic_bool *stop, struct err *e)
{
    if (stop && atomic_load(stop))
        return err_set(e, ERR_CANCELLED, 0, "no longer wanted");
    return cancel_check(e);
}

int
pace_take(struct pace *p, size_t want, const atomic_bool *stop, size_t *n, struct err *e)
{
    *n = want;
    if (!p || want == 0)
        return 0;
    pthread_mutex_lock(&p->lock);
    tick(p);
    *n = pace_bucket_turn(&p->bucket, want);
    uint64_t ticket = pace_bucket_take(&p->bucket, *n);
    int64_t left_ms = pace_bucket_wait(&p->bucket, ticket);
    pthread_mutex_unlock(&p->lock);
    while (left_ms > 0) {
        if (check_stop(stop, e) < 0)
            return -1;
        clock_sleep_ms(left_ms < NAP_MS ? left_ms : NAP_MS);
        pthread_mutex_lock(&p->lock);
        tick(p);
        left_ms = pace_bucket_wait(&p->bucket, ticket);
        pthread_mutex_unlock(&p->lock);
    }
    return check_stop(stop, e);
}
