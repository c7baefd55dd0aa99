/* Putting: into the spool and the queue, and waiting for the lanes. */
#include "base/cancel.h"
#include "base/clock.h"
#include "base/fs.h"
#include "crypto/hash.h"

#include "impl.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FAILURES_MAX (2 * HEALTH_OPEN_AFTER)

int
fleet_start(struct fleet *f, const struct fleet_rules *rules, struct err *e)
{
    assert(!f->started);
    f->rules = *rules;
    if (state_queue_last(f->state, &f->position, e) < 0)
        return -1;
    f->old_position = f->position;
    f->started = true;
    f->stopping = false;
    spool_scan(f);
    for (size_t i = 0; i < f->count; i++)
        lane_start(f, i);
    return 0;
}

void
fleet_stop(struct fleet *f)
{
    if (!f->started)
        return;
    pthread_mutex_lock(&f->lock);
    f->stopping = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    for (size_t i = 0; i < f->count; i++)
        lane_stop(&f->lanes[i]);
    f->started = false;
    spool_tidy(f);
}

/* Is it worth to wait for the lane? One that has just gone silent may be back at
 * its first probe; one that answers probes and takes no put is not. With the lock. */
static bool
hopeful(const struct lane *l)
{
    const struct health *h = &l->target->health;

    return l->thread_count > 0 && !l->broken && l->failures <= FAILURES_MAX
        && (health_answers(h)
            || (h->state == TARGET_DOWN && h->wait_ms == h->first_wait_ms)
            || h->state == TARGET_PROBING);
}

/* Has the lane delivered everything up to `position`? With the lock. */
static bool
delivered(const struct lane *l, int64_t position)
{
    for (unsigned i = 0; i < l->item_count; i++)
        if ((l->items[i].state == ITEM_WAITS || l->items[i].state == ITEM_BUSY)
            && l->items[i].id <= position)
            return false;
    return l->last_id >= position || (l->drained && l->asked >= position);
}

/* Has every lane done what it can, so that the spool will not get emptier by
 * itself? With the lock. */
static bool
all_idle(const struct fleet *f)
{
    for (size_t i = 0; i < f->count; i++)
        if (hopeful(&f->lanes[i]) && !delivered(&f->lanes[i], f->position))
            return false;
    return true;
}

/* Waits until there is room in the spool. With the lock. */
static int
wait_for_room(struct fleet *f, uint64_t size, struct err *e)
{
    while (f->spooled + size > f->spool_max && f->spooled > 0) {
        unsigned alive = 0;
        uint64_t before = f->spooled;
        bool idle = all_idle(f);
        for (size_t i = 0; i < f->count; i++)
            alive += hopeful(&f->lanes[i]);
        if (alive < fleet_quorum(f, NULL))
            return err_set(e, ERR_QUORUM, 0,
                           "the spool %s is full (%llu MiB) and only %u of %u targets "
                           "answer; the work so far is kept",
                           f->spool_dir, (unsigned long long)(f->spool_max >> 20), alive,
                           fleet_quorum(f, NULL));
        pthread_mutex_unlock(&f->lock);
        spool_tidy(f);
        int rc = cancel_check(e);
        clock_sleep_ms(20);
        pthread_mutex_lock(&f->lock);
        if (rc < 0)
            return -1;
        if (idle && f->spooled >= before)
            return err_set(e, ERR_QUORUM, 0,
                           "the spool %s is full (%llu MiB) of what too few of the "
                           "configured targets have; the work so far is kept",
                           f->spool_dir, (unsigned long long)(f->spool_max >> 20));
    }
    return 0;
}

/* Changes of the state that belong to a put. */
struct also {
    fleet_also_fn *fn; /* NULL: none */
    void *arg;
};

/* Adds the queue rows of one object, in one transaction. */
static int
enqueue(struct fleet *f, struct queue_row *row, struct target *only, struct also also,
        struct err *e)
{
    int64_t id = 0;
    int rc = state_begin(f->state, e);

    if (rc < 0)
        return -1;
    if (also.fn)
        rc = also.fn(also.arg, e);
    for (size_t i = 0; i < f->count && rc == 0; i++) {
        if (only && only != &f->targets[i])
            continue;
        row->target = f->targets[i].name;
        rc = state_queue_add(f->state, row, &id, e);
    }
    if (rc < 0) {
        state_abort(f->state);
        return -1;
    }
    if (state_commit(f->state, e) < 0)
        return -1;
    pthread_mutex_lock(&f->lock);
    f->position = id > f->position ? id : f->position;
    for (size_t i = 0; i < f->count; i++)
        if (!only || only == &f->targets[i])
            f->lanes[i].waiting += (int64_t)row->size;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static int
put_spooled(struct fleet *f, const char *key, enum queue_rank rank, const char *tmp,
            uint64_t size, const uint8_t sha[32], struct also also, struct err *e)
{
    AUTOFREE char *path = spool_path(f, key);
    struct queue_row row = { .key = key, .size = size, .rank = rank };

    memcpy(row.sha256, sha, sizeof row.sha256);
    pthread_mutex_lock(&f->lock);
    int rc = wait_for_room(f, size, e);
    if (rc == 0)
        f->spooled += size;
    pthread_mutex_unlock(&f->lock);
    if (rc < 0) {
        unlink(tmp);
        return -1;
    }
    if (rename(tmp, path) < 0)
        return err_sys(e, errno, "renaming %s", tmp);
    if (fs_sync_dir(f->spool_dir, e) < 0)
        return -1;
    return enqueue(f, &row, NULL, also, e);
}

int
fleet_put_file(struct fleet *f, const char *key, enum queue_rank rank, const char *tmp,
               uint64_t size, const uint8_t sha[32], struct err *e)
{
    return put_spooled(f, key, rank, tmp, size, sha, (struct also){ 0 }, e);
}

int
fleet_put_with(struct fleet *f, const char *key, enum queue_rank rank, struct slice data,
               fleet_also_fn *fn, void *arg, struct err *e)
{
    AUTOFREE char *tmp = fleet_spool_tmp(f);
    uint8_t sha[32];

    sha256(data, sha);
    if (fs_replace(tmp, data, 0600, e) < 0)
        return -1;
    return put_spooled(f, key, rank, tmp, data.len, sha, (struct also){ fn, arg }, e);
}

int
fleet_put(struct fleet *f, const char *key, enum queue_rank rank, struct slice data,
          struct err *e)
{
    return fleet_put_with(f, key, rank, data, NULL, NULL, e);
}

int
fleet_copy(struct fleet *f, const char *key, enum queue_rank rank, uint64_t size,
           const uint8_t sha[32], struct target *to, struct err *e)
{
    struct queue_row row = { .key = key, .size = size, .rank = rank };

    memcpy(row.sha256, sha, sizeof row.sha256);
    return enqueue(f, &row, to, (struct also){ 0 }, e);
}

int64_t
fleet_position(struct fleet *f)
{
    pthread_mutex_lock(&f->lock);
    int64_t p = f->position;
    pthread_mutex_unlock(&f->lock);
    return p;
}

/* Is the lane delivering, or about to? With the lock. */
static bool
delivers(const struct lane *l)
{
    enum target_state s = l->target->health.state;

    return l->thread_count > 0 && !l->broken
        && (s == TARGET_PROBING
            || (health_answers(&l->target->health) && s != TARGET_FULL));
}

uint64_t
fleet_backlog(struct fleet *f)
{
    int64_t least = INT64_MAX;

    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->count; i++)
        if (delivers(&f->lanes[i]) && f->lanes[i].waiting < least)
            least = f->lanes[i].waiting;
    pthread_mutex_unlock(&f->lock);
    return least < INT64_MAX && least > 0 ? (uint64_t)least : 0;
}

static void
say_why(const struct lane *l, struct err *e)
{
    const struct target *t = l->target;

    if (l->broken)
        *e = l->why;
    else if (t->why.kind)
        *e = t->why;
    else
        err_set(e, ERR_UNAVAIL, 0, "target %s is %s", t->name,
                target_state_name(t->health.state));
}

int
fleet_wait(struct fleet *f, struct target *t, int64_t position, int64_t timeout_ms,
           struct err *e)
{
    struct lane *l = &f->lanes[t - f->targets];
    int64_t until = clock_mono_ms() + timeout_ms;
    int rc = 0;

    pthread_mutex_lock(&f->lock);
    for (;;) {
        if (delivered(l, position)) {
            rc = 1;
            break;
        }
        if (!delivers(l)) {
            say_why(l, e);
            rc = -1;
            break;
        }
        if (cancel_check(e) < 0) {
            rc = -1;
            break;
        }
        if (clock_mono_ms() >= until)
            break;
        struct timespec wake = clock_after(100);
        pthread_cond_timedwait(&f->changed, &f->lock, &wake);
    }
    pthread_mutex_unlock(&f->lock);
    return rc;
}
