#include "engine/sync.h"
#include "base/clock.h"
#include "base/log.h"

#include "mend.h"
#include "mirror.h"
#include "needs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACKS_MAX ((size_t)1 << 30)    /* bytes of pack names of one snapshot */
#define SEGMENTS_MAX ((size_t)1 << 28) /* bytes of rows of index segments */

struct syncing {
    struct repo *repo;
    const struct sync_options *options;
    struct sync_result *result;
    struct snapshot_list snapshots;
    struct err failed[FLEET_TARGETS_MAX]; /* what kept a target from all it lacks */
    uint64_t expected;                    /* bytes: sent, or waiting in the queue */
    int64_t next_tick_ms;
};

/* What was sent, summed over the targets. */
static struct sync_progress
sent(struct repo *r)
{
    struct sync_progress p = { 0 };

    for (size_t i = 0; i < fleet_count(repo_fleet(r)); i++) {
        const struct target *t = fleet_target(repo_fleet(r), i);
        p.bytes += atomic_load(&t->bytes_sent);
        p.objects += atomic_load(&t->objects_sent);
    }
    return p;
}

static void
tick(void *arg)
{
    struct syncing *s = arg;
    int64_t now = clock_mono_ms();

    if (!s->options->tick || now < s->next_tick_ms)
        return;
    s->next_tick_ms = now + 200;
    struct sync_progress p = sent(s->repo);
    p.bytes_total = p.bytes < s->expected ? s->expected : p.bytes;
    s->options->tick(s->options->arg, &p);
}

/* What targets that do not answer wait for is not expected of this run. */
static int
expect(struct syncing *s, struct err *e)
{
    struct fleet *f = repo_fleet(s->repo);

    s->expected = sent(s->repo).bytes;
    for (size_t i = 0; i < fleet_count(f); i++) {
        struct target *t = fleet_target(f, i);
        uint64_t rows, bytes;
        if (!target_is_up(f, t))
            continue;
        if (state_queue_sum(repo_state(s->repo), t->name, &rows, &bytes, e) < 0)
            return -1;
        s->expected += bytes;
    }
    return 0;
}

static int
deliver(struct syncing *s, struct err *e)
{
    struct deliver_options d = { .linger_ms = INT64_MAX / 4, .tick = tick, .arg = s };

    if (expect(s, e) < 0 || engine_deliver(s->repo, &d, s->result->targets, e) < 0)
        return -1;
    return expect(s, e); /* an object on its way counted as sent and as waiting */
}

/* From target `a` to target `b`. */
struct pair {
    struct syncing *s;
    size_t a, b;
    struct target *from, *to;
    enum queue_rank rank;
    struct buf packs;    /* names of what is listed; filled when snapshots stay closed */
    struct buf segments; /* rows of struct segment: those that `to` lacks */
};

struct segment {
    char key[STORAGE_KEY_MAX + 1];
    uint64_t size;
};

static bool
stays_closed(const struct syncing *s)
{
    return !keys_can_open(repo_keys(s->repo), CLASS_META);
}

/* Queues what is not there, unless the target's prune records name it. */
static int
queue_object(void *arg, const char *key, uint64_t size, bool there, struct err *e)
{
    struct pair *p = arg;
    struct sync_result *res = p->s->result;
    uint8_t sha[32];

    if (!format_hash_of(key, sha))
        return 0;
    if (stays_closed(p->s) && pack_name(sha, key))
        buf_put(&p->packs, sha, 32);
    if (there || repo_refused(p->s->repo, p->to, key))
        return 0;
    res->queued_objects++;
    res->queued_bytes += size;
    p->s->expected += size;
    tick(p->s);
    if (p->s->options->dry_run)
        return 0;
    return fleet_copy(repo_fleet(p->s->repo), key, p->rank, size, sha, p->to, e);
}

static int
mirror(struct pair *p, const char *prefix, enum queue_rank rank, struct err *e)
{
    p->rank = rank;
    return mirror_each(p->from->store, p->to->store, prefix, queue_object, p, e);
}

/* The target is not level, whatever its lane says. */
static void
fail(struct syncing *s, size_t target, const struct err *why)
{
    log_warn("%s", err_text(why));
    s->failed[target] = *why;
}

static int
keep_segment(void *arg, const char *key, uint64_t size, bool there, struct err *e)
{
    struct pair *p = arg;
    struct segment *x;

    (void)e;
    if (there)
        return 0;
    x = (struct segment *)buf_room(&p->segments, sizeof *x);
    *x = (struct segment){ .size = size };
    snprintf(x->key, sizeof x->key, "%s", key);
    p->segments.len += sizeof *x;
    return 0;
}

/* Segments of the index, and the packs before them, so that they come first. Segments
 * are looked for before packs: whoever stores meanwhile puts them behind theirs, and
 * one that is copied must name no pack that is not. */
static int
mirror_data(struct pair *p, bool packs, struct err *e)
{
    struct storage *from = p->from->store, *to = p->to->store;

    if (mirror_each(from, to, "index/", keep_segment, p, e) < 0)
        return -1;
    if ((packs || p->segments.len > 0) && mirror(p, "pack/", RANK_PACK, e) < 0)
        return -1;
    p->rank = RANK_INDEX;
    for (size_t at = 0; at < p->segments.len; at += sizeof(struct segment)) {
        const struct segment *x = (const struct segment *)(p->segments.ptr + at);
        if (queue_object(p, x->key, x->size, false, e) < 0)
            return -1;
    }
    return 0;
}

/* Key slots carry no hash: a copy that is rotten must not get to others. */
static int
copy_slot(void *arg, const char *key, uint64_t size, bool there, struct err *e)
{
    struct pair *p = arg;
    AUTOBUF struct buf good = BUF(SLOT_MAX);
    struct err why = { 0 };

    if (there || size > SLOT_MAX || p->s->options->dry_run)
        return 0;
    int verdict = repo_slot_judge(p->s->repo, p->to, key, &good, &why, e);
    if (verdict < 0 || verdict == SLOT_RIGHT)
        return verdict < 0 ? -1 : 0;
    if (good.len == 0) {
        (void)err_in(&why, "copying %s to %s", key, p->to->name);
        fail(p->s, p->b, &why);
        return 0;
    }
    struct body body = body_of(buf_slice(&good));
    return storage_put(p->to->store, key, &body, 0, e);
}

static bool
on(uint32_t bits, size_t i)
{
    return bits >> i & 1;
}

/* Snapshots complete on `a`, and neither complete nor forgotten on `b`. */
static bool
lacks(const struct snapshot_row *row, size_t a, size_t b)
{
    return on(row->snap & row->done & ~row->gone, a) && !on(row->done & row->snap, b)
        && !on(row->gone, b);
}

static int
by_name(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

/* Who opens no snapshot takes for what it needs all that `a` lists, and all that its
 * index names and its prune records do not: what it has lost is missed that way. */
static int
all_packs(struct pair *p, struct err *e)
{
    struct repo *r = p->s->repo;

    for (uint32_t n = 0; n < index_packs(repo_index(r)); n++) {
        char key[PACK_KEY_LEN + 1];
        uint8_t name[32];
        uint64_t size;
        int rc = repo_listed(r, p->a, n) ? index_pack(repo_index(r), n, name, &size, e)
                                         : 0;
        if (rc < 0)
            return -1;
        if (rc == 0)
            continue;
        pack_key(key, name);
        if (!repo_refused(r, p->from, key))
            buf_put(&p->packs, name, 32);
    }
    if (p->packs.len > 0)
        qsort(p->packs.ptr, p->packs.len / 32, 32, by_name);
    size_t kept = 0;
    for (size_t i = 0; i < p->packs.len; i += 32)
        if (kept == 0 || memcmp(p->packs.ptr + kept - 32, p->packs.ptr + i, 32) != 0) {
            memmove(p->packs.ptr + kept, p->packs.ptr + i, 32);
            kept += 32;
        }
    p->packs.len = kept;
    return 0;
}

/* Remembers what has to be on `b` before the snapshot counts there. What waits
 * already knows it. */
static int
add_commit(struct pair *p, const struct snapshot_row *row, struct err *e)
{
    struct state *state = repo_state(p->s->repo);
    AUTOBUF struct buf own = BUF(PACKS_MAX);
    int rc = state_commit_get(state, row->key, p->to->name, &own, e);

    if (rc != 0)
        return rc < 0 ? -1 : 0;
    if (stays_closed(p->s))
        return state_commit_add(state, row->key, p->to->name, buf_slice(&p->packs), e);
    if (needs_of(p->s->repo, &row->info, p->a, &own, e) < 0)
        return -1;
    return state_commit_add(state, row->key, p->to->name, buf_slice(&own), e);
}

/* 1 queued, 0 it is not to be copied, -1. Listed first, then its packs, and now asked
 * for again: what was pruned from `a` meanwhile is not copied. */
static int
mirror_snapshot(struct pair *p, struct snapshot_row *row, struct err *e)
{
    struct syncing *s = p->s;
    struct object_info info;
    int rc = repo_is_done(s->repo, p->from, row->key, &info, e);

    if (rc <= 0)
        return rc;
    int old = on(row->snap, p->b) ? repo_too_old(p->to, row->key, e) : 0;
    if (old < 0)
        return -1;
    if (old) {
        log_warn("target %s: %s has lain there incomplete for over three days and is not "
                 "completed any more; `man drtool-sync` says what can be done",
                 p->to->name, row->key);
        return 0;
    }
    bool there = on(row->snap, p->b);
    s->result->snapshots++;
    row->snap |= 1u << p->b; /* so that no other target queues it again */
    row->done |= 1u << p->b;
    if (s->options->dry_run)
        return 1;
    if (add_commit(p, row, e) < 0)
        return -1;
    if (there)
        return 1;
    s->result->queued_objects++;
    s->result->queued_bytes += info.size;
    return fleet_copy(repo_fleet(s->repo), row->key, RANK_SNAP, info.size,
                      row->name.sha256, p->to, e)
                 < 0
             ? -1
             : 1;
}

static bool
ends_all(const struct err *e)
{
    return e->kind == ERR_CANCELLED || e->kind == ERR_IO || e->kind == ERR_FULL;
}

/* One that cannot be read does not keep the others from being copied. */
static int
mirror_snapshots(struct pair *p, struct err *e)
{
    if (stays_closed(p->s) && all_packs(p, e) < 0)
        return -1;
    for (size_t i = 0; i < p->s->snapshots.count; i++) {
        struct snapshot_row *row = &p->s->snapshots.rows[i];
        struct err one = { 0 };
        if (!lacks(row, p->a, p->b) || mirror_snapshot(p, row, &one) >= 0)
            continue;
        if (one.kind != ERR_CORRUPT && one.kind != ERR_NOT_FOUND
            && one.kind != ERR_FORGED) {
            *e = one;
            return -1;
        }
        (void)err_in(&one, "copying %s from %s", row->key, p->from->name);
        fail(p->s, p->b, &one);
    }
    return 0;
}

static int
mirror_all_of(struct pair *p, struct err *e)
{
    bool any = false;

    for (size_t i = 0; i < p->s->snapshots.count && !any; i++)
        any = lacks(&p->s->snapshots.rows[i], p->a, p->b);
    if (mirror_each(p->from->store, p->to->store, "keys/", copy_slot, p, e) < 0
        || mirror(p, "conf/", RANK_PACK, e) < 0 || mirror(p, "log/", RANK_PACK, e) < 0)
        return -1;
    if (mirror_data(p, any, e) < 0)
        return -1;
    return any ? mirror_snapshots(p, e) : 0;
}

static int
mirror_pair(struct syncing *s, size_t a, size_t b, struct err *e)
{
    struct pair p = { .s = s,
                      .a = a,
                      .b = b,
                      .from = fleet_target(repo_fleet(s->repo), a),
                      .to = fleet_target(repo_fleet(s->repo), b),
                      .packs = BUF(PACKS_MAX),
                      .segments = BUF(SEGMENTS_MAX) };
    int rc = mirror_all_of(&p, e);

    buf_release(&p.packs);
    buf_release(&p.segments);
    return rc;
}

static bool
named(const char *want, const struct target *t)
{
    return !want || strcmp(want, t->name) == 0;
}

static int
mirror_all(struct syncing *s, struct err *e)
{
    struct fleet *f = repo_fleet(s->repo);

    for (size_t a = 0; a < fleet_count(f); a++)
        for (size_t b = 0; b < fleet_count(f); b++) {
            struct target *from = fleet_target(f, a), *to = fleet_target(f, b);
            struct err one = { 0 };
            if (a == b || !named(s->options->from, from) || !named(s->options->to, to)
                || !target_is_up(f, from) || !target_is_up(f, to))
                continue;
            if (mirror_pair(s, a, b, &one) == 0)
                continue;
            if (ends_all(&one)) {
                *e = one;
                return -1;
            }
            (void)err_in(&one, "copying from %s to %s", from->name, to->name);
            fail(s, b, &one);
        }
    return 0;
}

static int
check_names(struct syncing *s, struct err *e)
{
    const char *names[] = { s->options->from, s->options->to };

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (names[i] && !fleet_find(repo_fleet(s->repo), names[i]))
            return err_set(e, ERR_USAGE, 0, "there is no target called %s", names[i]);
    }
    return 0;
}

/* What reads have found bad. */
static int
mend(struct syncing *s, struct err *e)
{
    for (size_t i = 0; i < s->result->target_count; i++) {
        struct target *t = fleet_target(repo_fleet(s->repo), i);
        struct mend_result m = { 0 };
        if (!target_is_up(repo_fleet(s->repo), t) || !named(s->options->to, t))
            continue;
        if (mend_target(s->repo, t, &m, e) < 0)
            return -1;
        s->result->mended += m.mended;
        if (m.left > 0)
            fail(s, i, &m.why);
    }
    return 0;
}

/* A target that is told as level must have nothing that waits for it: what no other
 * gives now is skipped by its lane. It is also why a snapshot is not there yet. */
static int
judge(struct syncing *s, struct err *e)
{
    for (size_t i = 0; i < s->result->target_count; i++) {
        struct target_result *res = &s->result->targets[i];
        uint64_t rows = 0, bytes = 0;
        if (!res->committed && res->why.kind != ERR_NOT_FOUND)
            continue;
        if (state_queue_sum(repo_state(s->repo), res->name, &rows, &bytes, e) < 0)
            return -1;
        if (s->failed[i].kind == ERR_NONE && rows > 0)
            err_set(&s->failed[i], ERR_UNAVAIL, 0,
                    "%llu objects wait for it that no target gives now",
                    (unsigned long long)rows);
        if (s->failed[i].kind == ERR_NONE)
            continue;
        res->committed = false;
        res->why = s->failed[i];
    }
    return 0;
}

static int
sync_all(struct syncing *s, struct err *e)
{
    if (check_names(s, e) < 0)
        return -1;
    if (!s->options->dry_run
        && (repo_publish_index(s->repo, e) < 0 || deliver(s, e) < 0 || mend(s, e) < 0))
        return -1;
    /* Whoever stores puts packs, their index, and the snapshot; looked for they are the
     * other way round, or what comes meanwhile would be known in part. */
    if (repo_snapshots(s->repo, &s->snapshots, e) < 0 || repo_load_index(s->repo, e) < 0
        || mirror_all(s, e) < 0)
        return -1;
    if (s->options->dry_run)
        return 0;
    return deliver(s, e) < 0 ? -1 : judge(s, e);
}

int
engine_sync(struct repo *r, const struct sync_options *o, struct sync_result *result,
            struct err *e)
{
    struct syncing s = { .repo = r, .options = o, .result = result };
    int64_t begun = clock_mono_ms();

    *result = (struct sync_result){ .target_count = fleet_count(repo_fleet(r)) };
    int rc = sync_all(&s, e);
    s.next_tick_ms = 0;
    tick(&s);
    snapshot_list_release(&s.snapshots);
    result->elapsed_ms = clock_mono_ms() - begun;
    return rc;
}
