#include "base/log.h"
#include "base/text.h"
#include "codec/record.h"

#include "impl.h"
#include "lists.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum record_tag { TAG_TARGET = 1, TAG_SNAPSHOT = 2, TAG_TIME = 3, TAG_REASON = 4 };

#define MANY_PACKS 64  /* more are looked for by one listing instead of one by one */
#define LOOKERS_MAX 15 /* threads that do, beside the caller's */
#define COMPLETED_WITHIN_S (3 * 86400) /* after its snap/ was put, by the store's clock */

/* Names of this host that a target lists with a number that would be new. */
struct ahead {
    uint64_t next_seq;
    char (*keys)[CHAIN_KEY_LEN + 1];
    size_t count, cap;
};

static int
ahead_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct ahead *a = arg;
    struct chain_name n;

    (void)e;
    if (chain_name(&n, o->key) && n.seq >= a->next_seq && o->size <= SNAPSHOT_MAX) {
        a->keys = mem_grow(a->keys, &a->cap, a->count + 1, sizeof *a->keys);
        memcpy(a->keys[a->count++], o->key, CHAIN_KEY_LEN + 1);
    }
    return 0;
}

/* Takes the number over, if the object under this name is what it should be. */
static int
take_number(struct repo *r, struct target *t, const char *key, struct err *e)
{
    AUTOBUF struct buf object = BUF(SNAPSHOT_MAX);
    char snapshot[CHAIN_KEY_LEN + 1];
    struct slice header, body;
    struct chain_name n;

    if (!chain_name(&n, key) || n.seq < r->next_seq)
        return 0;
    if (strcmp(n.kind, "gone") == 0) {
        if (repo_open_record(r, t, key, OBJECT_GONE, snapshot, e) < 0)
            return -1;
    } else {
        if (repo_open_snapshot(r, t, key, &object, &header, &body, e) < 0)
            return -1;
        memcpy(r->last_snapshot, n.sha256, 32);
    }
    r->next_seq = n.seq + 1;
    return 0;
}

/* The highest number of this host that one target shows. */
static int
ask_target(struct repo *r, struct target *t, struct err *e)
{
    AUTOFREE char *snaps = mem_printf("snap/%s/", r->host_tag);
    AUTOFREE char *gones = mem_printf("gone/%s/", r->host_tag);
    struct ahead a = { .next_seq = r->next_seq };
    struct kept_list lists[] = { { .prefix = snaps }, { .prefix = gones } };

    lists_ask(t, lists, COUNT_OF(lists));
    int rc = lists_each(&lists[0], ahead_listed, &a, e);
    if (rc == 0)
        rc = lists_each(&lists[1], ahead_listed, &a, e);
    lists_release(lists, COUNT_OF(lists));
    for (size_t i = 0; i < a.count && rc == 0; i++) {
        struct err bad = { 0 };
        if (take_number(r, t, a.keys[i], &bad) == 0)
            continue;
        if (repo_is_unbelievable(&bad)) {
            log_warn("target %s: %s is not believed: %s", t->name, a.keys[i],
                     err_text(&bad));
        } else {
            *e = bad;
            rc = -1;
        }
    }
    mem_free(a.keys);
    return rc;
}

/* The number of this host's next snapshot: behind what we remember and what the
 * targets show, which counts when it is signed. */
static int
find_sequence(struct repo *r, struct err *e)
{
    AUTOBUF struct buf kept = BUF(64);

    if (r->next_seq > 0)
        return 0;
    if (state_get(r->state, "sequence", &kept, e) < 0)
        return -1;
    r->next_seq = 1;
    if (kept.len == 40 && get_u64(kept.ptr) <= CHAIN_SEQ_MAX) {
        r->next_seq = get_u64(kept.ptr) + 1;
        memcpy(r->last_snapshot, kept.ptr + 8, 32);
    }
    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        struct target *t = fleet_target(r->fleet, i);
        struct err away = { 0 };
        if (target_is_up(r->fleet, t) && ask_target(r, t, &away) < 0)
            fleet_fail(r->fleet, t, &away);
    }
    return 0;
}

/* What the state learns of a new snapshot, as one with its place in the queue. */
struct stored {
    struct repo *repo;
    const struct snapshot *snapshot;
    const char *key, *replaced; /* replaced: NULL, it is no successor */
    struct slice packs;
};

static int
remember_stored(void *arg, struct err *e)
{
    const struct stored *x = arg;
    struct repo *r = x->repo;
    uint8_t kept[40];

    put_u64(kept, x->snapshot->seq);
    memcpy(kept + 8, x->snapshot->id, 32);
    if (state_put(r->state, "sequence", slice_of(kept, sizeof kept), e) < 0)
        return -1;
    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        const char *target = fleet_target(r->fleet, i)->name;
        if (state_commit_add(r->state, x->key, target, x->packs, e) < 0
            || (x->replaced
                && (state_commit_done(r->state, x->replaced, target, e) < 0
                    || state_void_add(r->state, x->replaced, target, e) < 0)))
            return -1;
    }
    return 0;
}

int
repo_store_snapshot(struct repo *r, const struct session *session, struct snapshot *s,
                    const char *replaced, struct slice packs, char key[CHAIN_KEY_LEN + 1],
                    struct err *e)
{
    AUTOBUF struct buf object = BUF(SNAPSHOT_MAX);
    struct chain_name name = { .kind = "snap" };
    struct stored x = { r, s, key, replaced, packs };

    assert(r->enrolled);
    if (find_sequence(r, e) < 0)
        return -1;
    if (r->next_seq > CHAIN_SEQ_MAX)
        return err_set(e, ERR_UNSUPPORTED, 0,
                       "this host has used up its numbers for snapshots; remove the "
                       "state in %s to enter the repository as a new host",
                       r->dir);
    s->seq = r->next_seq;
    mem_free(s->host);
    s->host = mem_strdup(r->host_name);
    memcpy(s->host_id, r->host_id, ID_LEN);
    memcpy(s->previous, r->last_snapshot, 32);
    memcpy(s->conf_head, r->conf_head, 32);
    snapshot_format(r->keys, session, s, r->host_seed, &object);
    memcpy(name.host, r->host_tag, sizeof name.host);
    name.seq = s->seq;
    memcpy(name.sha256, s->id, 32);
    chain_key(key, &name);
    cache_put(r->state, slice_str(key), buf_slice(&object));
    if (fleet_put_with(r->fleet, key, RANK_SNAP, buf_slice(&object), remember_stored, &x,
                       e)
        < 0)
        return -1;
    r->next_seq = s->seq + 1;
    memcpy(r->last_snapshot, s->id, 32);
    return 0;
}

/* Presence of packs: found[i] for the i-th of the sorted names. */
struct presence {
    struct slice names; /* sorted, 32 bytes each */
    bool *found;
};

static int
by_name(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

static int
pack_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct presence *p = arg;
    uint8_t name[32];

    (void)e;
    if (!pack_name(name, o->key))
        return 0;
    const uint8_t *hit = bsearch(name, p->names.ptr, p->names.len / 32, 32, by_name);
    if (hit)
        p->found[(size_t)(hit - p->names.ptr) / 32] = true;
    return 0;
}

/* Asks for one pack after the other; several threads do, since far away each answer
 * takes its time. */
struct looking {
    struct target *target;
    struct presence *packs;
    pthread_mutex_t lock; /* of what follows */
    size_t next;
    struct err error;
};

static void *
look_main(void *arg)
{
    struct looking *l = arg;
    struct presence *p = l->packs;

    pthread_mutex_lock(&l->lock);
    while (l->next < p->names.len / 32 && l->error.kind == ERR_NONE) {
        size_t i = l->next++;
        char key[PACK_KEY_LEN + 1];
        struct object_info info;
        struct err one = { 0 };
        pthread_mutex_unlock(&l->lock);
        pack_key(key, p->names.ptr + 32 * i);
        bool found = storage_head(l->target->store, key, &info, &one) == 0;
        pthread_mutex_lock(&l->lock);
        p->found[i] = found;
        if (!found && one.kind != ERR_NOT_FOUND && l->error.kind == ERR_NONE)
            l->error = one;
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static int
look_for_packs(struct target *t, struct presence *p, struct err *e)
{
    struct looking l = { .target = t, .packs = p };
    size_t n = p->names.len / 32, more = 0;
    pthread_t threads[LOOKERS_MAX];

    if (n > MANY_PACKS)
        return storage_list(t->store, "pack/", pack_listed, p, e);
    pthread_mutex_init(&l.lock, NULL);
    if (!(storage_traits(t->store) & STORAGE_LOCAL))
        while (more < LOOKERS_MAX && more + 1 < n
               && pthread_create(&threads[more], NULL, look_main, &l) == 0)
            more++;
    look_main(&l);
    for (size_t i = 0; i < more; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&l.lock);
    if (l.error.kind == ERR_NONE)
        return 0;
    *e = l.error;
    return -1;
}

/* done/ or gone/ about a snapshot on a target, signed by this host. */
static int
put_record(struct repo *r, struct target *t, enum object_type type,
           const char *snapshot_key, const char *reason, struct err *e)
{
    struct header h = { .type = type, .group = r->keys->group };
    AUTOBUF struct buf object = BUF(4096);
    struct chain_name name;
    char key[CHAIN_KEY_LEN + 1];

    if (!chain_name(&name, snapshot_key))
        return err_set(e, ERR_CORRUPT, 0, "%s is no snapshot", snapshot_key);
    memcpy(h.repo, r->keys->repo_id, ID_LEN);
    header_put(&object, &h);
    record_put(&object, TAG_TARGET, slice_of(t->id, ID_LEN));
    record_put_str(&object, TAG_SNAPSHOT, snapshot_key);
    record_put_u64(&object, TAG_TIME, (uint64_t)clock_now().s);
    record_put_str(&object, TAG_REASON, reason);
    signed_end(&object, type, r->host_id, r->host_seed);
    struct body body = body_of(buf_slice(&object));
    memcpy(name.kind, type == OBJECT_DONE ? "done" : "gone", sizeof name.kind);
    memcpy(name.sha256, body.sha256, 32);
    chain_key(key, &name);
    return storage_put(t->store, key, &body, 0, e);
}

int
repo_void(struct repo *r, struct target *t, const char *snapshot_key, struct err *e)
{
    return put_record(r, t, OBJECT_GONE, snapshot_key, "void", e);
}

/* Step d: gc/ first, then presence; the names of what is gone go to `missing`. */
static int
find_missing(struct repo *r, struct target *t, size_t index, struct slice packs,
             struct buf *missing, struct err *e)
{
    size_t n = packs.len / 32;
    AUTOFREE bool *found = mem_zalloc(n * sizeof *found);
    AUTOBUF struct buf sorted = BUF(packs.len);

    if (n == 0)
        return 0;
    buf_put_slice(&sorted, packs);
    qsort(sorted.ptr, n, 32, by_name);
    struct presence p = { buf_slice(&sorted), found };
    if (repo_load_gc(r, t, index, e) < 0 || look_for_packs(t, &p, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        char key[PACK_KEY_LEN + 1];
        pack_key(key, sorted.ptr + 32 * i);
        if (!found[i] || repo_refused(r, t, key))
            buf_put(missing, sorted.ptr + 32 * i, 32);
    }
    return 0;
}

/* Is there a record of this kind about the snapshot, that is believed? */
struct verdict {
    struct repo *repo;
    struct target *target;
    enum object_type type;
    const char *snapshot_key;
    bool found;
};

static int
record_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct verdict *v = arg;
    char snapshot[CHAIN_KEY_LEN + 1];
    struct err bad = { 0 };

    if (o->size > RECORD_MAX)
        return 0;
    if (repo_open_record(v->repo, v->target, o->key, v->type, snapshot, &bad) == 0) {
        v->found |= strcmp(snapshot, v->snapshot_key) == 0;
        return 0;
    }
    if (bad.kind == ERR_FORGED || bad.kind == ERR_CORRUPT) /* nobody believes it */
        return 0;
    *e = bad;
    return err_in(e, "target %s: %s", v->target->name, o->key);
}

/* Below what such a record lies; NULL: it is no snapshot. Free it. */
static char *
record_prefix(enum object_type type, const char *snapshot_key)
{
    struct chain_name name;

    if (!chain_name(&name, snapshot_key))
        return NULL;
    return mem_printf("%s/%s/%010llu-", type == OBJECT_DONE ? "done" : "gone", name.host,
                      (unsigned long long)name.seq);
}

static int
has_record(struct repo *r, struct target *t, enum object_type type,
           const char *snapshot_key, struct err *e)
{
    struct verdict v = { r, t, type, snapshot_key, false };
    AUTOFREE char *prefix = record_prefix(type, snapshot_key);

    if (!prefix)
        return err_set(e, ERR_CORRUPT, 0, "%s is no snapshot", snapshot_key);
    return storage_list(t->store, prefix, record_listed, &v, e) < 0 ? -1 : v.found;
}

/* Step f, behind done/: gc/ once more, and whether the snapshot is gone. */
static int
look_once_more(struct repo *r, struct target *t, size_t index, const char *snapshot_key,
               bool also_gc, struct err *e)
{
    struct verdict v = { r, t, OBJECT_GONE, snapshot_key, false };
    AUTOFREE char *prefix = record_prefix(OBJECT_GONE, snapshot_key);
    struct kept_list lists[] = { { .prefix = prefix }, { .prefix = "gc/" } };
    int rc = 0;

    if (!prefix)
        return err_set(e, ERR_CORRUPT, 0, "%s is no snapshot", snapshot_key);
    lists_ask(t, lists, also_gc ? 2 : 1);
    if (also_gc)
        rc = repo_take_gc(r, t, index, &lists[1], e);
    if (rc == 0)
        rc = lists_each(&lists[0], record_listed, &v, e);
    lists_release(lists, COUNT_OF(lists));
    return rc < 0 ? -1 : v.found;
}

int
repo_is_done(struct repo *r, struct target *t, const char *snapshot_key,
             struct object_info *snap, struct err *e)
{
    struct err one = { 0 };
    int done, gone = 0;

    if (storage_head(t->store, snapshot_key, snap, &one) < 0) {
        if (one.kind == ERR_NOT_FOUND)
            return 0;
        *e = one;
        return err_in(e, "target %s", t->name);
    }
    done = has_record(r, t, OBJECT_DONE, snapshot_key, e);
    if (done == 1)
        gone = has_record(r, t, OBJECT_GONE, snapshot_key, e);
    return done < 0 || gone < 0 ? err_in(e, "target %s", t->name) : done && !gone;
}

int
repo_too_old(struct target *t, const char *snapshot_key, struct err *e)
{
    struct object_info info;
    int64_t now = 0;

    if (storage_head(t->store, snapshot_key, &info, e) < 0
        || storage_now(t->store, &now, e) < 0)
        return -1;
    return info.mtime_s && now - info.mtime_s > COMPLETED_WITHIN_S;
}

/* Nothing waits for the commit on this target any more. */
static int
drop(struct repo *r, struct target *t, const char *snapshot_key, const char *why,
     struct err *e)
{
    log_warn("target %s: %s %s", t->name, snapshot_key, why);
    return state_commit_done(r->state, snapshot_key, t->name, e);
}

/* May it still be completed there? 1; 0 it is dropped; -1. */
static int
may_complete(struct repo *r, struct target *t, const char *snapshot_key, struct err *e)
{
    struct err one = { 0 };
    int old = repo_too_old(t, snapshot_key, &one);

    if (old == 0)
        return 1;
    if (old == 1)
        return drop(r, t, snapshot_key,
                    "has waited there for over three days: it is not completed any more; "
                    "back up again",
                    e);
    if (one.kind != ERR_NOT_FOUND || fleet_queued(r->fleet, snapshot_key)) {
        *e = one;
        return err_in(e, "target %s", t->name);
    }
    return drop(r, t, snapshot_key, "is not there, and nothing is on its way", e);
}

/* Since when there lies something that no verify has read: what counts from now on,
 * unless there was something before. */
static int
note_unread(struct repo *r, struct target *t, struct err *e)
{
    AUTOBUF struct buf since = BUF(64);
    uint8_t now[8];
    int rc = state_about_get(r->state, t->name, "unread", &since, e);

    if (rc < 0 || since.len > 0)
        return rc < 0 ? -1 : 0;
    put_u64(now, (uint64_t)clock_now().s);
    return state_about_put(r->state, t->name, "unread", slice_of(now, sizeof now), e);
}

int
repo_commit(struct repo *r, struct target *t, size_t index, const char *snapshot_key,
            struct slice packs, struct buf *missing, struct err *e)
{
    size_t before = missing->len;
    int rc = may_complete(r, t, snapshot_key, e), gone;

    if (rc <= 0)
        return rc;
    if (find_missing(r, t, index, packs, missing, e) < 0)
        return err_in(e, "target %s", t->name);
    bool complete = missing->len == before;
    if (complete && put_record(r, t, OBJECT_DONE, snapshot_key, NULL, e) < 0)
        return err_in(e, "target %s", t->name);
    gone = look_once_more(r, t, index, snapshot_key, complete, e);
    if (gone < 0)
        return err_in(e, "target %s", t->name);
    if (gone) {
        missing->len = before;
        return drop(r, t, snapshot_key, "was voided or forgotten", e);
    }
    for (size_t i = 0; i + 32 <= packs.len && complete; i += 32) {
        char key[PACK_KEY_LEN + 1];
        pack_key(key, packs.ptr + i);
        if (repo_refused(r, t, key))
            buf_put(missing, packs.ptr + i, 32);
    }
    if (missing->len > before)
        return 0;
    return note_unread(r, t, e) < 0
                || state_commit_done(r->state, snapshot_key, t->name, e) < 0
             ? -1
             : 1;
}
