#include "base/cancel.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "crypto/hash.h"

#include "impl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int
take_row(void *arg, const struct queue_row *row, struct err *e)
{
    struct lane *l = arg;
    struct item *it = &l->items[l->item_count++];

    (void)e;
    *it = (struct item){
        .id = row->id, .key = mem_strdup(row->key), .size = row->size, .rank = row->rank
    };
    memcpy(it->sha256, row->sha256, sizeof it->sha256);
    l->last_id = row->id;
    return 0;
}

/* Drops what is delivered and takes more rows from the queue. */
static int
refill(struct lane *l, struct err *e)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < l->item_count; i++) {
        if (l->items[i].state == ITEM_DONE)
            mem_free(l->items[i].key);
        else
            l->items[kept++] = l->items[i];
    }
    l->item_count = kept;
    l->asked = l->fleet->position;
    if (state_queue_list(l->fleet->state, l->target->name, l->last_id, LANE_ITEMS - kept,
                         take_row, l, e)
        < 0)
        return -1;
    l->drained = l->item_count < LANE_ITEMS;
    return 0;
}

static bool
may_have_more(const struct lane *l)
{
    return !l->drained || l->asked < l->fleet->position;
}

/* The next item that may be sent now: in order; what is no pack waits until
 * all before it has arrived. */
static struct item *
next_item(struct lane *l)
{
    for (unsigned i = 0; i < l->item_count; i++) {
        struct item *it = &l->items[i];
        if (it->state == ITEM_WAITS)
            return it->rank == RANK_PACK || l->busy == 0 ? it : NULL;
    }
    return NULL;
}

static int
put_from(struct target *t, const struct item *it, const char *path, struct err *e)
{
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct body body = { .fd = fd, .size = it->size };

    if (fd < 0)
        return err_sys(e, errno, "opening %s", path);
    memcpy(body.sha256, it->sha256, sizeof body.sha256);
    return storage_put(t->store, it->key, &body, 0, e);
}

/* A run that was killed behind a put did not get to say so. Puts are whole or
 * nothing, and the name is the hash: the size tells enough. */
static bool
has_arrived(struct target *t, const struct item *it)
{
    struct object_info info;
    struct err none = { 0 };

    return storage_head(t->store, it->key, &info, &none) == 0 && info.size == it->size;
}

/* Sends one object, from the spool or from a target that has it. */
static int
deliver(struct fleet *f, struct target *t, const struct item *it, struct err *e)
{
    AUTOFREE char *path = spool_path(f, it->key);
    AUTOFREE char *fetched = NULL;

    if (f->refused && f->refused(f->refused_arg, t, it->key)) {
        log_info("%s is named by a prune record of %s: not sent", it->key, t->name);
        return 0;
    }
    if (it->id <= f->old_position && has_arrived(t, it))
        return 0;
    if (access(path, R_OK) == 0)
        return put_from(t, it, path, e);
    if (fleet_fetch(f, t, it->key, it->size, it->sha256, &fetched, e) < 0) {
        if (e->kind != ERR_NOT_FOUND || it->rank != RANK_PACK)
            return err_in(e, "reading %s back for %s", it->key, t->name);
        log_warn("%s is on no target any more: not sent to %s", it->key, t->name);
        return 0; /* the commit of what needs it looks for it again */
    }
    int rc = put_from(t, it, fetched, e);
    unlink(fetched);
    return rc;
}

static struct item *
find_item(struct lane *l, int64_t id)
{
    for (unsigned i = 0; i < l->item_count; i++)
        if (l->items[i].id == id)
            return &l->items[i];
    return NULL;
}

/* Sends the item with the lock released. */
static void
send_item(struct lane *l, struct item *it)
{
    struct fleet *f = l->fleet;
    struct item copy = *it;
    struct err e = { 0 };

    copy.key = mem_strdup(it->key);
    it->state = ITEM_BUSY;
    l->busy++;
    pthread_mutex_unlock(&f->lock);
    int rc = deliver(f, l->target, &copy, &e);
    if (rc == 0) {
        atomic_fetch_add(&l->target->bytes_sent, copy.size);
        atomic_fetch_add(&l->target->objects_sent, 1);
        rc = state_queue_done(f->state, copy.id, &e);
        spool_release(f, copy.key, false);
    }
    if (rc < 0)
        fleet_fail(f, l->target, &e);
    pthread_mutex_lock(&f->lock);
    l->busy--;
    it = find_item(l, copy.id);
    it->state = rc == 0 ? ITEM_DONE : ITEM_WAITS;
    if (rc < 0 && !l->failed) {
        l->failed = true;
        l->target->why = e;
    }
    mem_free(copy.key);
    pthread_cond_broadcast(&f->changed);
}

static void *
sender(void *arg)
{
    struct lane *l = arg;
    struct fleet *f = l->fleet;
    struct err e = { 0 };

    pthread_mutex_lock(&f->lock);
    while (!f->stopping && !l->failed && !cancel_requested()) {
        struct item *it = next_item(l);
        if (!it && may_have_more(l)) {
            if (refill(l, &e) < 0) {
                l->failed = true;
                l->target->why = e;
                break;
            }
            pthread_cond_broadcast(&f->changed);
            it = next_item(l);
        }
        if (it) {
            send_item(l, it);
            continue;
        }
        struct timespec until = clock_after(1000);
        pthread_cond_timedwait(&f->changed, &f->lock, &until);
    }
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

void
lane_start(struct fleet *f, struct lane *l)
{
    unsigned want = storage_traits(l->target->store) & STORAGE_LOCAL ? 1 : LANE_SENDERS;

    l->fleet = f;
    pthread_mutex_lock(&f->lock);
    for (unsigned i = 0; i < want; i++)
        if (pthread_create(&l->threads[l->thread_count], NULL, sender, l) == 0)
            l->thread_count++;
    l->failed = l->thread_count == 0;
    pthread_mutex_unlock(&f->lock);
}

void
lane_stop(struct lane *l)
{
    for (unsigned i = 0; i < l->thread_count; i++)
        pthread_join(l->threads[i], NULL);
    for (unsigned i = 0; i < l->item_count; i++)
        mem_free(l->items[i].key);
    l->thread_count = l->item_count = 0;
}

int
fleet_start(struct fleet *f, fleet_refused_fn *refused, void *arg, struct err *e)
{
    assert(!f->started);
    f->refused = refused;
    f->refused_arg = arg;
    if (state_queue_last(f->state, &f->position, e) < 0)
        return -1;
    f->old_position = f->position;
    f->started = true;
    f->stopping = false;
    spool_scan(f);
    for (size_t i = 0; i < f->count; i++) {
        f->lanes[i] = (struct lane){ .target = &f->targets[i], .fleet = f, .asked = -1 };
        if (f->targets[i].state == TARGET_UP)
            lane_start(f, &f->lanes[i]);
        else
            f->lanes[i].failed = true;
    }
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

/* Waits until there is room in the spool. With the lock. */
static int
wait_for_room(struct fleet *f, uint64_t size, struct err *e)
{
    while (f->spooled + size > f->spool_max && f->spooled > 0) {
        unsigned alive = 0;
        for (size_t i = 0; i < f->count; i++)
            alive += !f->lanes[i].failed;
        if (alive < f->quorum)
            return err_set(e, ERR_QUORUM, 0,
                           "the spool %s is full (%llu MiB) and only %u of %u targets "
                           "answer; the work so far is kept",
                           f->spool_dir, (unsigned long long)(f->spool_max >> 20), alive,
                           f->quorum);
        pthread_mutex_unlock(&f->lock);
        spool_tidy(f);
        int rc = cancel_check(e);
        clock_sleep_ms(20);
        pthread_mutex_lock(&f->lock);
        if (rc < 0)
            return -1;
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

/* Has the lane delivered everything up to `position`? With the lock. */
static bool
delivered(const struct lane *l, int64_t position)
{
    for (unsigned i = 0; i < l->item_count; i++)
        if (l->items[i].state != ITEM_DONE && l->items[i].id <= position)
            return false;
    return l->last_id >= position || (l->drained && l->asked >= position);
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
        if (l->failed) {
            if (t->why.kind)
                *e = t->why;
            else
                err_set(e, ERR_UNAVAIL, 0, "target %s is %s", t->name,
                        target_state_name(t->state));
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
