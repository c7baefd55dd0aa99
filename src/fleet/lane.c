#include "base/cancel.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "crypto/hash.h"

#include "impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IDLE_MS 200 /* so often is looked whether a breaker's time is over */

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
        if (l->items[i].state == ITEM_DONE || l->items[i].state == ITEM_SKIPPED)
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
put_from(struct target *t, const struct item *it, int fd, bool sealed, struct err *e)
{
    struct body body = { .fd = fd, .size = it->size, .sealed = sealed };

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

/* The spool's file of an object; -1: there is none of its size. */
static int
open_spooled(const char *path, const struct item *it)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && (uint64_t)st.st_size == it->size)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Has the disk of the spool changed what was to be sent? */
static bool
is_rotten(int fd, const struct item *it)
{
    AUTOBUF struct buf all = BUF(it->size);
    uint8_t found[SHA256_LEN];
    struct err e = { 0 };

    if (fs_pread_all(fd, buf_room(&all, it->size), it->size, 0, &e) < 0)
        return true;
    sha256(slice_of(all.ptr, it->size), found);
    return memcmp(found, it->sha256, sizeof found) != 0;
}

enum delivery { DELIVERED, DROPPED, NOWHERE, FAILED };

/* Is it known of every target that it does not have the object? */
static bool
nobody_has(struct fleet *f, const struct target *but, const char *key)
{
    for (size_t i = 0; i < f->count; i++) {
        struct target *t = &f->targets[i];
        struct object_info info;
        struct err e = { 0 };
        if (t == but)
            continue;
        if (!target_is_up(f, t) || storage_head(t->store, key, &info, &e) == 0
            || e.kind != ERR_NOT_FOUND)
            return false;
    }
    return true;
}

/* Sends one object, from the spool or from a target that has it. NOWHERE: nobody
 * gives it now, which is not this target's fault. DROPPED: it is not to be sent, or
 * nobody will ever give it; the commit of what needs it will see. */
static enum delivery
deliver(struct fleet *f, struct target *t, const struct item *it, struct err *e)
{
    AUTOFREE char *path = spool_path(f, it->key);
    AUTOFREE char *fetched = NULL;
    bool old = it->id <= f->old_position; /* of an earlier run */

    int may = f->rules.may_put ? f->rules.may_put(f->rules.arg, t, it->key, e) : 1;
    if (may < 0)
        return FAILED;
    if (may == 0) {
        log_info("%s is named by a prune record of %s: not sent", it->key, t->name);
        return DROPPED;
    }
    if (old && has_arrived(t, it))
        return DELIVERED;
    AUTOCLOSE int fd = open_spooled(path, it);
    if (fd >= 0) {
        /* As long as others wait, the spool's copy must not be this target's. */
        bool give_away = !old && spool_last_wants(f, it->key);
        if (put_from(t, it, fd, give_away, e) == 0)
            return DELIVERED;
        if (e->kind != ERR_CORRUPT || !is_rotten(fd, it))
            return FAILED;
        log_warn("%s is damaged; target %s gets it from another target", path, t->name);
        *e = (struct err){ 0 };
    }
    if (fleet_fetch(f, t, it->key, it->size, it->sha256, &fetched, e) < 0) {
        err_in(e, "reading %s back for %s", it->key, t->name);
        if (e->kind != ERR_NOT_FOUND || !nobody_has(f, t, it->key))
            return NOWHERE;
        log_warn("no target has %s, which target %s waits for", it->key, t->name);
        return DROPPED;
    }
    AUTOCLOSE int back = open(fetched, O_RDONLY | O_CLOEXEC);
    unlink(fetched);
    if (back < 0) {
        err_sys(e, errno, "opening %s", fetched);
        return NOWHERE;
    }
    return put_from(t, it, back, false, e) < 0 ? FAILED : DELIVERED;
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
    enum delivery how = deliver(f, l->target, &copy, &e);
    if (how == DELIVERED || how == FAILED)
        fleet_outcome(f, l->target, true, copy.size, how == FAILED ? &e : NULL);
    if (how == DELIVERED) {
        atomic_fetch_add(&l->target->bytes_sent, copy.size);
        atomic_fetch_add(&l->target->objects_sent, 1);
    }
    bool broken = false;
    if (how == DELIVERED || how == DROPPED) {
        enum queue_end end = how == DELIVERED ? QUEUE_DELIVERED : QUEUE_DROPPED;
        broken = spool_ended(f, copy.id, copy.key, end, &e) < 0;
    }
    pthread_mutex_lock(&f->lock);
    l->busy--;
    l->broken |= broken;
    it = find_item(l, copy.id);
    it->state = how == FAILED ? ITEM_WAITS : how == NOWHERE ? ITEM_SKIPPED : ITEM_DONE;
    if (how == FAILED || how == NOWHERE || broken)
        l->why = e;
    if (how == FAILED) {
        l->failures++;
        health_event(&l->target->health, HEALTH_BEHIND, fleet_now());
    } else {
        l->failures = 0;
    }
    l->skipped += how == NOWHERE;
    if (how != FAILED && copy.id > f->old_position)
        l->waiting -= (int64_t)copy.size;
    mem_free(copy.key);
    pthread_cond_broadcast(&f->changed);
}

/* The probe failed. Damage that it met says nothing of the connection, but who cannot
 * tell what the target holds has to leave it alone just so. */
static void
probe_failed(struct fleet *f, struct target *t, const struct err *why)
{
    fleet_fail(f, t, why);
    if (target_state(f, t) == TARGET_PROBING)
        fleet_event(f, t, HEALTH_AWAY, why);
}

/* Asks a target that was away whether it is back, and ours, with the lock released. */
static void
probe_target(struct lane *l)
{
    struct fleet *f = l->fleet;
    struct err e = { 0 };

    l->probing = true;
    pthread_mutex_unlock(&f->lock);
    int rc = f->rules.probe ? f->rules.probe(f->rules.arg, l->target, l->index, &e) : 0;
    if (rc == 0)
        fleet_event(f, l->target, HEALTH_OURS, NULL);
    else
        probe_failed(f, l->target, &e);
    pthread_mutex_lock(&f->lock);
    l->probing = false;
    pthread_cond_broadcast(&f->changed);
}

/* What is to be done now: an item, or NULL. With the lock. */
static struct item *
choose(struct lane *l)
{
    struct health *h = &l->target->health;
    struct item *it = NULL;

    if (l->busy >= h->window)
        return NULL;
    it = next_item(l);
    if (!it && may_have_more(l)) {
        struct err e = { 0 };
        if (refill(l, &e) < 0) {
            l->broken = true;
            l->why = e;
            return NULL;
        }
        pthread_cond_broadcast(&l->fleet->changed);
        it = next_item(l);
    }
    if (!it && l->busy == 0 && l->skipped == 0 && !may_have_more(l)
        && health_event(h, HEALTH_LEVEL, fleet_now()))
        log_info("target %s has all that waited for it", l->target->name);
    return it;
}

static void *sender(void *arg);

/* One more sender, as long as the lane may have more requests than senders. */
static void
add_sender(struct lane *l)
{
    if (l->thread_count < l->target->health.window && l->thread_count < LANE_SENDERS_MAX
        && pthread_create(&l->threads[l->thread_count], NULL, sender, l) == 0)
        l->thread_count++;
}

static void *
sender(void *arg)
{
    struct lane *l = arg;
    struct fleet *f = l->fleet;
    struct health *h = &l->target->health;

    pthread_mutex_lock(&f->lock);
    while (!f->stopping && !l->broken && !cancel_requested()) {
        bool answers = health_answers(h), sure = answers && !h->unsure;
        /* a read may have found that it answers; who it is only the probe finds */
        if (!sure && !l->probing && (answers || health_may_try(h, false, fleet_now()))) {
            probe_target(l);
            continue;
        }
        struct item *it = sure ? choose(l) : NULL;
        if (it && (h->state != TARGET_FULL || health_may_try(h, true, fleet_now()))) {
            add_sender(l);
            send_item(l, it);
            continue;
        }
        struct timespec until = clock_after(IDLE_MS);
        pthread_cond_timedwait(&f->changed, &f->lock, &until);
    }
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

void
lane_start(struct fleet *f, size_t index)
{
    struct lane *l = &f->lanes[index];
    struct target *t = &f->targets[index];

    *l = (struct lane){ .fleet = f, .target = t, .index = index, .asked = -1 };
    pthread_mutex_lock(&f->lock);
    enum target_state s = t->health.state;
    if (s != TARGET_EMPTY && s != TARGET_FOREIGN && s != TARGET_NEW)
        add_sender(l);
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
