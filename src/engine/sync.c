#include "engine/sync.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OBJECTS_MAX ((size_t)4 << 20)
#define KEY_MAX 128

/* A sorted list of object keys with their sizes. */
struct keys_list {
    struct keyed {
        char key[KEY_MAX];
        uint64_t size;
    } * items;
    size_t count, cap;
};

struct syncing {
    struct repo *repo;
    const struct sync_options *options;
    struct sync_result *result;
    struct snapshot_list snapshots;
    uint64_t expected; /* bytes: sent, or waiting in the queue */
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

static int
take(void *arg, const struct object_info *o, struct err *e)
{
    struct keys_list *l = arg;

    if (strlen(o->key) >= KEY_MAX)
        return 0;
    if (l->count == OBJECTS_MAX)
        return err_set(e, ERR_UNSUPPORTED, 0, "more than %zu objects", OBJECTS_MAX);
    l->items = mem_grow(l->items, &l->cap, l->count + 1, sizeof *l->items);
    snprintf(l->items[l->count].key, KEY_MAX, "%s", o->key);
    l->items[l->count++].size = o->size;
    return cancel_check(e);
}

static int
by_key(const void *a, const void *b)
{
    return strcmp(((const struct keyed *)a)->key, ((const struct keyed *)b)->key);
}

static bool
has(const struct keys_list *l, const char *key)
{
    struct keyed want;

    snprintf(want.key, sizeof want.key, "%s", key);
    return l->count > 0 && bsearch(&want, l->items, l->count, sizeof want, by_key);
}

/* Queues what `from` lists below `prefix` and `to` does not. Names of packs go
 * to `packs` whether they are there or not. */
static int
mirror(struct syncing *s, struct target *from, struct target *to, const char *prefix,
       enum queue_rank rank, struct buf *packs, struct err *e)
{
    struct keys_list a = { 0 }, b = { 0 };
    int rc = storage_list(from->store, prefix, take, &a, e);

    if (rc == 0)
        rc = storage_list(to->store, prefix, take, &b, e);
    for (size_t i = 0; i < a.count && rc == 0; i++) {
        const struct keyed *k = &a.items[i];
        uint8_t sha[32];
        if (!format_hash_of(k->key, sha) || repo_refused(s->repo, to, k->key))
            continue;
        if (packs)
            buf_put(packs, sha, 32);
        if (has(&b, k->key))
            continue;
        s->result->queued_objects++;
        s->result->queued_bytes += k->size;
        s->expected += k->size;
        tick(s);
        if (!s->options->dry_run)
            rc = fleet_copy(repo_fleet(s->repo), k->key, rank, k->size, sha, to, e);
    }
    mem_free(a.items);
    mem_free(b.items);
    return rc;
}

/* Key slots carry no hash in their names: they are copied as they are. */
static int
mirror_slots(struct syncing *s, struct target *from, struct target *to, struct err *e)
{
    struct keys_list a = { 0 }, b = { 0 };
    int rc = storage_list(from->store, "keys/", take, &a, e);

    if (rc == 0)
        rc = storage_list(to->store, "keys/", take, &b, e);
    for (size_t i = 0; i < a.count && rc == 0 && !s->options->dry_run; i++) {
        AUTOBUF struct buf object = BUF(SLOT_MAX);
        struct range range = { .key = a.items[i].key };
        if (has(&b, a.items[i].key) || a.items[i].size > SLOT_MAX)
            continue;
        rc = storage_get(from->store, &range, &object, e);
        if (rc == 0) {
            struct body body = body_of(buf_slice(&object));
            rc = storage_put(to->store, a.items[i].key, &body, 0, e);
        }
    }
    mem_free(a.items);
    mem_free(b.items);
    return rc;
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
mirror_snapshots(struct syncing *s, size_t a, size_t b, struct slice packs, struct err *e)
{
    struct target *to = fleet_target(repo_fleet(s->repo), b);

    for (size_t i = 0; i < s->snapshots.count; i++) {
        struct snapshot_row *row = &s->snapshots.rows[i];
        struct object_info info;
        if (!lacks(row, a, b))
            continue;
        s->result->snapshots++;
        row->done |= 1u << b; /* so that no other target queues it again */
        if (s->options->dry_run)
            continue;
        if (state_commit_add(repo_state(s->repo), row->key, to->name, packs, e) < 0)
            return -1;
        if (on(row->snap, b))
            continue;
        if (storage_head(fleet_target(repo_fleet(s->repo), a)->store, row->key, &info, e)
                < 0
            || fleet_copy(repo_fleet(s->repo), row->key, RANK_SNAP, info.size,
                          row->name.sha256, to, e)
                   < 0)
            return -1;
        s->result->queued_objects++;
        s->result->queued_bytes += info.size;
    }
    return 0;
}

static int
mirror_pair(struct syncing *s, size_t a, size_t b, struct err *e)
{
    struct target *from = fleet_target(repo_fleet(s->repo), a);
    struct target *to = fleet_target(repo_fleet(s->repo), b);
    AUTOBUF struct buf packs = BUF((size_t)1 << 30);
    bool any = false;

    for (size_t i = 0; i < s->snapshots.count && !any; i++)
        any = lacks(&s->snapshots.rows[i], a, b);
    if (mirror_slots(s, from, to, e) < 0
        || mirror(s, from, to, "conf/", RANK_PACK, NULL, e) < 0)
        return -1;
    if (any && mirror(s, from, to, "pack/", RANK_PACK, &packs, e) < 0)
        return -1;
    if (mirror(s, from, to, "index/", RANK_INDEX, NULL, e) < 0)
        return -1;
    if (!any)
        return 0;
    return mirror_snapshots(s, a, b, buf_slice(&packs), e);
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
            if (one.kind == ERR_CANCELLED || one.kind == ERR_IO || one.kind == ERR_FULL) {
                *e = one;
                return -1;
            }
            log_warn("%s to %s: %s", from->name, to->name, err_text(&one));
        }
    return 0;
}

static int
check_names(struct syncing *s, struct err *e)
{
    const char *names[] = { s->options->from, s->options->to };

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        bool known = !names[i];
        for (size_t k = 0; k < fleet_count(repo_fleet(s->repo)) && !known; k++)
            known = strcmp(fleet_target(repo_fleet(s->repo), k)->name, names[i]) == 0;
        if (!known)
            return err_set(e, ERR_USAGE, 0, "there is no target called %s", names[i]);
    }
    return 0;
}

static int
sync_all(struct syncing *s, struct err *e)
{
    if (check_names(s, e) < 0)
        return -1;
    if (!s->options->dry_run && (repo_publish_index(s->repo, e) < 0 || deliver(s, e) < 0))
        return -1;
    if (repo_snapshots(s->repo, &s->snapshots, e) < 0 || mirror_all(s, e) < 0)
        return -1;
    if (s->options->dry_run)
        return 0;
    return deliver(s, e);
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
