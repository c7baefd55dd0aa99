#include "engine/deliver.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

#include "renew.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define ROUNDS 3 /* of copying or storing anew what is gone */
#define POLL_MS 200
#define PACKS_MAX ((size_t)1 << 30) /* bytes of pack names of one snapshot */

/* One target's work, in a thread of its own. */
struct work {
    bool committed;
    struct err why;
    struct buf condemned; /* packs of the main snapshot that must be stored anew */
    struct buf others;    /* the same, of snapshots that wait besides */
};

struct delivery {
    struct repo *repo;
    const struct deliver_options *options;
    char snapshot[CHAIN_KEY_LEN + 1]; /* the main one; "" when there is none */
    pthread_mutex_t lock;
    struct work work[FLEET_TARGETS_MAX];
    int64_t quorum_at_ms; /* when W targets had it; 0: not yet */
    int64_t until_ms;     /* for all; 0: no limit */
};

/* What became of one snapshot on one target. */
enum outcome {
    COMMITTED,
    CONDEMNED, /* packs are named by prune records there */
    DROPPED,   /* it can never be completed there: nothing waits any more */
    LOST,      /* packs are nowhere */
    FAILED,
};

/* May this target go on waiting for its lane? */
static bool
may_wait(struct delivery *d)
{
    int64_t now = clock_mono_ms();

    pthread_mutex_lock(&d->lock);
    bool yes = (d->until_ms == 0 || now < d->until_ms)
            && (d->quorum_at_ms == 0 || now < d->quorum_at_ms + d->options->linger_ms);
    pthread_mutex_unlock(&d->lock);
    return yes;
}

static void
tick(struct delivery *d)
{
    if (!d->options->tick)
        return;
    pthread_mutex_lock(&d->lock);
    d->options->tick(d->options->arg);
    pthread_mutex_unlock(&d->lock);
}

static int
wait_for_lane(struct delivery *d, struct target *t, struct err *e)
{
    struct fleet *f = repo_fleet(d->repo);
    int64_t position = fleet_position(f);
    int rc;

    do {
        rc = fleet_wait(f, t, position, POLL_MS, e);
        tick(d);
    } while (rc == 0 && may_wait(d));
    if (rc == 0)
        return err_set(e, ERR_UNAVAIL, 0, "target %s is too slow: the rest is queued",
                       t->name);
    return rc < 0 ? -1 : 0;
}

/* Which target has the object? 1; 0 none, and all were asked; -1 one that was not
 * may have it; -2 the spool has. */
static int
find_source(struct delivery *d, const char *key, struct object_info *info)
{
    struct fleet *f = repo_fleet(d->repo);
    bool all = true;

    for (size_t i = 0; i < fleet_count(f); i++) {
        struct target *from = fleet_target(f, i);
        struct err none = { 0 };
        if (!target_is_up(f, from))
            all = false;
        else if (storage_head(from->store, key, info, &none) == 0)
            return 1;
        else if (none.kind != ERR_NOT_FOUND)
            all = false;
    }
    return fleet_holds(f, key) ? -2 : all ? 0 : -1;
}

/* Gets packs that a target lacks to it from the others. 0; 1 some are lost; -1. What
 * no target that answers has is remembered: the next backup stores it anew rather
 * than to wait for one that may never be back. */
static int
copy_missing(struct delivery *d, struct target *t, struct slice names, struct err *e)
{
    int result = 0;

    for (size_t i = 0; i + 32 <= names.len; i += 32) {
        char key[PACK_KEY_LEN + 1];
        struct object_info info = { 0 };
        pack_key(key, names.ptr + i);
        int found = find_source(d, key, &info);
        if (found < 0 && result == 0) {
            err_set(e, ERR_CORRUPT, 0,
                    "target %s lacks %s, and no other target that answers has it; the "
                    "next backup stores it again",
                    t->name, key);
            result = -1;
        }
        if (found == 0 && result != 1) {
            err_set(e, ERR_CORRUPT, 0,
                    "target %s lacks %s, and no other target has it; back up again",
                    t->name, key);
            result = 1;
        }
        if ((found == 0 || found == -1) && repo_note_lost(d->repo, names.ptr + i, e) < 0)
            return -1;
        if (found == 1 && result == 0
            && fleet_copy(repo_fleet(d->repo), key, RANK_PACK, info.size, names.ptr + i,
                          t, e)
                   < 0)
            return -1;
    }
    return result;
}

/* Queues for a target the index segments that it lacks. */
static int
copy_segments(struct delivery *d, struct target *t, struct slice keys, struct err *e)
{
    for (size_t at = 0; at < keys.len;) {
        const char *key = (const char *)keys.ptr + at;
        struct object_info info = { 0 };
        uint8_t sha[32];
        at += strlen(key) + 1;
        if (!format_hash_of(key, sha) || find_source(d, key, &info) != 1)
            return err_set(e, ERR_UNAVAIL, 0, "target %s lacks %s, and no other gives it",
                           t->name, key);
        if (fleet_copy(repo_fleet(d->repo), key, RANK_INDEX, info.size, sha, t, e) < 0)
            return -1;
    }
    return 0;
}

/* What the lane could not bring is told by who looks for gaps again. */
static int
take_segments(struct delivery *d, size_t index, struct slice keys, struct err *e)
{
    for (size_t at = 0; at < keys.len;) {
        const char *key = (const char *)keys.ptr + at;
        at += strlen(key) + 1;
        if (repo_take_segment(d->repo, index, key, e) < 0)
            return -1;
    }
    return 0;
}

/* Gets to a target what its index has to name. What the lane could not get from
 * anybody it has left out. */
static int
complete_index(struct delivery *d, struct target *t, size_t index, struct slice packs,
               struct err *e)
{
    AUTOBUF struct buf keys = BUF(PACKS_MAX), left = BUF(PACKS_MAX);

    if (repo_index_gaps(d->repo, index, packs, &keys, e) < 0)
        return err_in(e, "target %s", t->name);
    if (keys.len == 0)
        return 0;
    if (copy_segments(d, t, buf_slice(&keys), e) < 0 || wait_for_lane(d, t, e) < 0
        || take_segments(d, index, buf_slice(&keys), e) < 0)
        return -1;
    if (repo_index_gaps(d->repo, index, packs, &left, e) < 0)
        return err_in(e, "target %s", t->name);
    return left.len == 0 ? 0
                         : err_set(e, ERR_UNAVAIL, 0, "target %s lacks %s", t->name,
                                   (const char *)left.ptr);
}

/* Splits what is missing: what the target's prune records name must be stored
 * anew under another name, the rest can be copied. */
static void
split(struct delivery *d, struct target *t, struct slice missing, struct buf *copy,
      struct buf *condemned)
{
    for (size_t i = 0; i + 32 <= missing.len; i += 32) {
        char key[PACK_KEY_LEN + 1];
        pack_key(key, missing.ptr + i);
        buf_put(repo_refused(d->repo, t, key) ? condemned : copy, missing.ptr + i, 32);
    }
}

/* Commits one snapshot on one target; `e` says why when it is not COMMITTED. */
static enum outcome
commit_one(struct delivery *d, struct target *t, size_t index, const char *key,
           struct slice packs, struct buf *condemned, struct err *e)
{
    for (int round = 0; round < ROUNDS; round++) {
        AUTOBUF struct buf missing = BUF(packs.len * 2 + 32),
                           copy = BUF(packs.len * 2 + 32);
        if (complete_index(d, t, index, packs, e) < 0)
            return FAILED;
        int rc = repo_commit(d->repo, t, index, key, packs, &missing, e);
        if (rc != 0)
            return rc == 1 ? COMMITTED : FAILED;
        if (missing.len == 0) {
            err_set(e, ERR_CONFLICT, 0, "target %s: %s cannot be completed any more",
                    t->name, key);
            return DROPPED;
        }
        split(d, t, buf_slice(&missing), &copy, condemned);
        if (condemned->len > 0) {
            err_set(e, ERR_CONFLICT, 0, "target %s: packs of %s are being pruned",
                    t->name, key);
            return CONDEMNED;
        }
        log_info(
            "target %s lacks %zu packs of the snapshot; copying them from the others",
            t->name, copy.len / 32);
        int lost = copy_missing(d, t, buf_slice(&copy), e);
        if (lost != 0)
            return lost == 1 ? LOST : FAILED;
        if (wait_for_lane(d, t, e) < 0)
            return FAILED;
    }
    err_set(e, ERR_UNAVAIL, 0, "target %s does not keep what it is given", t->name);
    return FAILED;
}

static void
note_commit(struct delivery *d, size_t index)
{
    struct fleet *f = repo_fleet(d->repo);
    bool have[FLEET_TARGETS_MAX] = { false };

    pthread_mutex_lock(&d->lock);
    d->work[index].committed = true;
    for (size_t i = 0; i < fleet_count(f); i++)
        have[i] = d->work[i].committed;
    if (d->quorum_at_ms == 0 && fleet_quorum_met(f, have, NULL))
        d->quorum_at_ms = clock_mono_ms();
    pthread_mutex_unlock(&d->lock);
}

/* Tells a target of the snapshots that successors have replaced. */
static int
void_replaced(struct repo *r, struct target *t, struct err *e)
{
    int rc;

    do {
        AUTOBUF struct buf key = BUF(1024);
        rc = state_void_first(repo_state(r), t->name, &key, e);
        if (rc == 1
            && (repo_void(r, t, buf_cstr(&key), e) < 0
                || state_void_done(repo_state(r), buf_cstr(&key), t->name, e) < 0))
            return -1;
    } while (rc == 1);
    return rc;
}

/* Commits one snapshot that waits for one target: 1; 0 it has to wait on, which
 * was told; -1 when it is the main one, or the run must end. */
static int
commit_row(struct delivery *d, struct target *t, size_t index, const char *key,
           struct slice packs, struct err *e)
{
    AUTOBUF struct buf condemned = BUF(packs.len * 2 + 32);
    struct work *w = &d->work[index];
    bool main = strcmp(key, d->snapshot) == 0;
    struct err one = { 0 };
    enum outcome o = commit_one(d, t, index, key, packs, &condemned, &one);

    if (o == COMMITTED && main)
        note_commit(d, index);
    if (o == COMMITTED || (o == DROPPED && !main))
        return 1;
    if (o == CONDEMNED)
        buf_put_slice(main ? &w->condemned : &w->others, buf_slice(&condemned));
    if (main || one.kind == ERR_CANCELLED) {
        *e = one;
        return -1;
    }
    log_warn("%s", err_text(&one));
    if (w->why.kind == ERR_NONE) /* it is not level, whatever becomes of the others */
        w->why = one;
    /* What is lost comes back in a later snapshot, if at all. */
    return o == LOST ? state_commit_done(repo_state(d->repo), key, t->name, e) : 0;
}

/* Commits everything that waits for one target, oldest first. */
static int
commit_pending(struct delivery *d, struct target *t, size_t index, struct err *e)
{
    int64_t id = 0;
    bool all = true;
    int rc;

    if (void_replaced(d->repo, t, e) < 0)
        return -1;
    do {
        AUTOBUF struct buf key = BUF(1024), packs = BUF(PACKS_MAX);
        rc = state_commit_next(repo_state(d->repo), t->name, &id, &key, &packs, e);
        if (rc == 1 && cancel_check(e) < 0)
            return -1;
        int done = rc == 1 ? commit_row(d, t, index, buf_cstr(&key), buf_slice(&packs), e)
                           : 1;
        if (done < 0)
            return -1;
        all &= done == 1;
    } while (rc == 1);
    if (rc == 0 && all && d->snapshot[0] == 0)
        note_commit(d, index);
    return rc;
}

static void
deliver_to(void *arg, struct target *t, size_t index)
{
    struct delivery *d = arg;
    struct work *w = &d->work[index];
    struct err e = { 0 };

    if (w->committed)
        return;
    w->why = e;
    if (wait_for_lane(d, t, &e) < 0 || commit_pending(d, t, index, &e) < 0) {
        w->why = e;
        if (e.kind != ERR_CONFLICT) /* condemned packs are not the target's fault */
            fleet_fail(repo_fleet(d->repo), t, &e);
    }
}

/* The packs of the main snapshot, as any target's row tells that waits for it,
 * without those condemned. */
static int
packs_but(struct delivery *d, struct slice condemned, struct buf *out, struct err *e)
{
    struct fleet *f = repo_fleet(d->repo);
    AUTOBUF struct buf all = BUF(PACKS_MAX);
    int rc = 0;

    for (size_t i = 0; i < fleet_count(f) && rc == 0; i++)
        rc = state_commit_get(repo_state(d->repo), d->snapshot, fleet_target(f, i)->name,
                              &all, e);
    if (rc == 0)
        return err_set(e, ERR_CORRUPT, 0,
                       "the local state has forgotten %s; back up again", d->snapshot);
    for (size_t k = 0; rc == 1 && k + 32 <= all.len; k += 32) {
        bool gone = false;
        for (size_t c = 0; c + 32 <= condemned.len && !gone; c += 32)
            gone = memcmp(condemned.ptr + c, all.ptr + k, 32) == 0;
        if (!gone)
            buf_put(out, all.ptr + k, 32);
    }
    return rc < 0 ? -1 : 0;
}

/* Stores condemned packs anew and replaces the snapshot by a successor. */
static int
replace_snapshot(struct delivery *d, struct slice condemned, struct err *e)
{
    struct repo *r = d->repo;
    AUTOBUF struct buf packs = BUF(PACKS_MAX);
    char key[CHAIN_KEY_LEN + 1];

    if (packs_but(d, condemned, &packs, e) < 0)
        return -1;
    for (size_t i = 0; i + 32 <= condemned.len; i += 32) {
        char name[PACK_KEY_LEN + 1];
        int rc = renew_pack(r, condemned.ptr + i, &packs, e);
        pack_key(name, condemned.ptr + i);
        if (rc == 0)
            err_set(e, ERR_CORRUPT, 0, "%s was pruned while it was needed; back up again",
                    name);
        if (rc <= 0)
            return -1;
    }
    if (repo_publish_index(r, e) < 0
        || d->options->successor(d->options->arg, d->snapshot, buf_slice(&packs), key, e)
               < 0)
        return -1;
    for (size_t i = 0; i < fleet_count(repo_fleet(r)); i++) {
        struct target *t = fleet_target(repo_fleet(r), i);
        struct err one = { 0 };
        if (target_is_up(repo_fleet(r), t) && void_replaced(r, t, &one) < 0)
            log_warn("target %s: %s", t->name, err_text(&one));
        d->work[i].committed = false;
    }
    snprintf(d->snapshot, sizeof d->snapshot, "%s", key);
    return 0;
}

/* Takes the union of what the targets condemn. */
static void
gather_condemned(struct delivery *d, bool others, struct buf *out)
{
    for (size_t i = 0; i < FLEET_TARGETS_MAX; i++) {
        struct work *w = &d->work[i];
        struct buf *from = others ? &w->others : &w->condemned;
        struct slice c = buf_slice(from);
        for (size_t k = 0; k + 32 <= c.len; k += 32) {
            bool known = false;
            for (size_t j = 0; j + 32 <= out->len && !known; j += 32)
                known = memcmp(out->ptr + j, c.ptr + k, 32) == 0;
            if (!known)
                buf_put(out, c.ptr + k, 32);
        }
        buf_clear(from);
    }
}

/* Stores anew what is being pruned and still needed. 1 something was; 0; -1. */
static int
renew(struct delivery *d, struct err *e)
{
    AUTOBUF struct buf condemned = BUF(PACKS_MAX), others = BUF(PACKS_MAX);

    gather_condemned(d, false, &condemned);
    gather_condemned(d, true, &others);
    if (others.len > 0 && renew_waiting(d->repo, buf_slice(&others), d->snapshot, e) < 0)
        return -1;
    if (condemned.len == 0 || !d->options->successor)
        return others.len > 0;
    return replace_snapshot(d, buf_slice(&condemned), e) < 0 ? -1 : 1;
}

static void
report(struct delivery *d, struct target_result *results)
{
    struct fleet *f = repo_fleet(d->repo);

    for (size_t i = 0; i < fleet_count(f); i++) {
        struct target *t = fleet_target(f, i);
        struct target_result *res = &results[i];
        res->name = t->name;
        res->committed = d->work[i].committed;
        res->sent_bytes = atomic_load(&t->bytes_sent);
        res->sent_objects = atomic_load(&t->objects_sent);
        if (!res->committed && d->work[i].why.kind != ERR_NONE)
            res->why = d->work[i].why;
        else if (!res->committed)
            fleet_why(f, t, &res->why);
    }
}

int
engine_deliver(struct repo *r, const struct deliver_options *o,
               struct target_result *results, struct err *e)
{
    struct delivery d = { .repo = r, .options = o };
    int rc = 1;

    pthread_mutex_init(&d.lock, NULL);
    if (o->snapshot)
        snprintf(d.snapshot, sizeof d.snapshot, "%s", o->snapshot);
    d.until_ms = o->timeout_ms ? clock_mono_ms() + o->timeout_ms : 0;
    for (size_t i = 0; i < FLEET_TARGETS_MAX; i++)
        d.work[i].condemned = d.work[i].others = BUF(PACKS_MAX);
    for (int round = 0; round < ROUNDS && rc == 1; round++) {
        fleet_each(repo_fleet(r), false, deliver_to, &d);
        rc = cancel_check(e) < 0 ? -1 : renew(&d, e);
    }
    report(&d, results);
    for (size_t i = 0; i < FLEET_TARGETS_MAX; i++) {
        buf_release(&d.work[i].condemned);
        buf_release(&d.work[i].others);
    }
    pthread_mutex_destroy(&d.lock);
    return rc < 0 ? -1 : 0;
}
