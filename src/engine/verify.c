#include "engine/verify.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"

#include "mend.h"
#include "verify_impl.h"

#include <string.h>

bool
verify_bit(const uint8_t *bits, uint32_t i)
{
    return bits[i / 8] >> i % 8 & 1;
}

void
verify_set(uint8_t *bits, uint32_t i)
{
    bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << i % 8);
}

void
verify_clear(uint8_t *bits, uint32_t i)
{
    bits[i / 8] = (uint8_t)(bits[i / 8] & ~(1u << i % 8));
}

void
verify_tick(struct verify *v)
{
    int64_t now = clock_mono_ms();

    if (!v->options->tick || now < v->next_tick_ms)
        return;
    v->next_tick_ms = now + 200;
    v->options->tick(v->options->arg, &v->progress);
}

/* Takes the key of the snapshot's object; there is one for each number. */
static int
take_snap(void *arg, const struct object_info *o, struct err *e)
{
    (void)e;
    buf_clear(arg);
    buf_put_str(arg, o->key);
    return 0;
}

/* Does the target give the same wrong bytes each time, or none? Else they went bad on
 * the way, and what lies there may be right. */
static int
confirm_bad(struct verify *v, const char *key, struct err *e)
{
    AUTOBUF struct buf first = BUF(RECORD_MAX), second = BUF(RECORD_MAX);
    struct range range = { .key = key };

    if (storage_get(v->target->store, &range, &first, e) < 0) {
        if (e->kind != ERR_NOT_FOUND)
            return -1;
        *e = (struct err){ 0 };
        return 0;
    }
    if (storage_get(v->target->store, &range, &second, e) < 0)
        return -1;
    return slice_equal(buf_slice(&first), buf_slice(&second))
                && !format_hash_fits(key, buf_slice(&first))
             ? 0
             : err_set(e, ERR_UNAVAIL, 0,
                       "it stays, because other bytes come each time that it is read");
}

/* A record about this target can only be made anew: the bad one goes, and sync
 * commits the snapshot again. One that sync could not commit any more stays. */
static int
drop_record(struct verify *v, const char *key, struct err *e)
{
    AUTOBUF struct buf snap = BUF(STORAGE_KEY_MAX + 1);
    struct chain_name name;
    int old = 0;

    if (confirm_bad(v, key, e) < 0)
        return -1;
    if (chain_name(&name, key)) {
        AUTOFREE char *prefix = mem_printf("snap/%s/%010llu-", name.host,
                                           (unsigned long long)name.seq);
        if (storage_list(v->target->store, prefix, take_snap, &snap, e) < 0)
            return -1;
        old = snap.len > 0 ? repo_too_old(v->target, buf_cstr(&snap), e) : 0;
    }
    if (old > 0)
        return err_set(e, ERR_UNSUPPORTED, 0,
                       "it stays, because %s has lain there for over three days and "
                       "would not be completed again; remove that object from the "
                       "target and run sync, which copies it anew from another",
                       buf_cstr(&snap));
    return old < 0 ? -1 : storage_remove(v->target->store, &key, 1, e);
}

/* A configuration record, from those that this host has read and checked. */
struct wanted_record {
    struct verify *v;
    const char *key;
    bool put;
};

static int
put_record(void *arg, const char *key, struct slice object, struct err *e)
{
    struct wanted_record *w = arg;
    struct body body = body_of(object);

    if (strcmp(key, w->key) != 0)
        return 0;
    w->put = true;
    return storage_put(w->v->target->store, key, &body, 0, e);
}

static int
heal_record(struct verify *v, const char *key, struct err *e)
{
    struct wanted_record w = { v, key, false };

    if (repo_records(v->repo, put_record, &w, e) < 0)
        return -1;
    return w.put ? 0 : err_set(e, ERR_NOT_FOUND, 0, "it is no record that is known");
}

static int
heal(struct verify *v, const char *key, uint64_t size, struct err *e)
{
    if (strcmp(key, "drt.repo") == 0)
        return repo_mend_header(v->repo, v->index, e);
    if (strncmp(key, "conf/", 5) == 0)
        return heal_record(v, key, e);
    if (strncmp(key, "done/", 5) == 0)
        return drop_record(v, key, e);
    return mend_object(v->repo, v->target, key, size, e);
}

int
verify_bad(struct verify *v, const char *key, uint64_t size, bool missing,
           const char *why)
{
    struct verify_damage d = { .target = v->target->name, .object = key, .why = why };
    struct err e = { 0 };
    bool healed = v->options->heal && heal(v, key, size, &e) == 0;

    pthread_mutex_lock(&v->lock);
    *(missing ? &v->told->missing : &v->told->damaged) += 1;
    if (healed) {
        v->told->healed++;
        log_note("target %s: %s was %s and %s: %s", v->target->name, key,
                 missing ? "missing" : "damaged",
                 strncmp(key, "done/", 5) == 0
                     ? "is removed, so that sync completes its snapshot anew"
                     : "is replaced by a good copy",
                 why);
    } else {
        v->result->unhealed++;
        v->told->bad_packs += strncmp(key, "pack/", 5) == 0;
        if (v->options->heal)
            log_warn("target %s: %s cannot be healed: %s", v->target->name, key,
                     err_text(&e));
        if (v->options->damage)
            v->options->damage(v->options->arg, &d);
    }
    pthread_mutex_unlock(&v->lock);
    return healed;
}

/* Level 0: the listing against the index. */

/* The packs that a target lists, in key order. */
struct folder {
    struct listed_pack {
        char key[PACK_KEY_LEN + 1];
        uint64_t size;
    } * packs;
    size_t count, cap;
};

static int
folder_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct folder *f = arg;
    uint8_t name[32];

    if (cancel_check(e) < 0)
        return -1;
    if (!pack_name(name, o->key))
        return 0;
    f->packs = mem_grow(f->packs, &f->cap, f->count + 1, sizeof *f->packs);
    f->packs[f->count].size = o->size;
    memcpy(f->packs[f->count++].key, o->key, PACK_KEY_LEN + 1);
    return 0;
}

static const struct listed_pack *
in_folder(const struct folder *f, const char *key)
{
    size_t lo = 0, hi = f->count;

    while (lo < hi) { /* listings are in key order */
        size_t mid = (lo + hi) / 2;
        int c = strcmp(f->packs[mid].key, key);
        if (c == 0)
            return &f->packs[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* An index goes on naming what was pruned; also that of a target made since, which got
 * it from the others and has no prune records: there it was, if no other has it. */
bool
verify_pruned(struct verify *v, const char *key, bool missing)
{
    struct fleet *f = repo_fleet(v->repo);
    bool named = false, elsewhere = false;

    if (missing && repo_refused(v->repo, v->target, key))
        return true;
    for (size_t i = 0; i < fleet_count(f) && !named; i++)
        named = repo_refused(v->repo, fleet_target(f, i), key);
    for (size_t i = 0; i < fleet_count(f) && named && !elsewhere; i++) {
        struct target *t = fleet_target(f, i);
        struct object_info info;
        struct err e = { 0 };
        elsewhere = t != v->target
                 && (!target_is_up(f, t) || storage_head(t->store, key, &info, &e) == 0
                     || e.kind != ERR_NOT_FOUND);
    }
    return named && !elsewhere;
}

static int
check_pack(struct verify *v, const struct folder *f, uint32_t n, const char *key,
           uint64_t size, struct err *e)
{
    const struct listed_pack *info = in_folder(f, key);
    struct object_info head;
    struct err none = { 0 };
    uint8_t name[32];

    if ((!info || info->size != size) && verify_pruned(v, key, !info))
        return cancel_check(e); /* the walk tells who misses it all the same */
    v->told->packs++;
    if (!info || info->size != size) {
        int healed = verify_bad(v, key, size, !info,
                                info ? "its size is wrong" : "it is not there");
        verify_set(healed ? v->present : v->bad, n);
        return cancel_check(e);
    }
    verify_set(v->present, n);
    if (v->options->level < 1 || v->options->level >= 3)
        return cancel_check(e);
    if (storage_head(v->target->store, key, &head, &none) == 0 && head.attested) {
        v->told->attested++;
        if (pack_name(name, key) && memcmp(head.sha256, name, 32) != 0
            && !verify_bad(v, key, size, false, "the store's own hash is not its name"))
            verify_set(v->bad, n);
    }
    return cancel_check(e);
}

/* The target's own index does not name the pack. What lies there all the same is read,
 * since sync brings a lost index back and takes the pack as it is. */
static void
check_unnamed(struct verify *v, const struct folder *f, uint32_t n, const char *key,
              uint64_t size)
{
    const struct listed_pack *info = in_folder(f, key);

    if (v->options->level < 3 || !info || repo_refused(v->repo, v->target, key))
        return;
    v->told->packs++;
    if (info->size == size)
        verify_set(v->unnamed, n);
    else if (!verify_bad(v, key, size, false, "its size is wrong"))
        verify_set(v->bad, n);
}

static int
check_presence(struct verify *v, struct err *e)
{
    struct folder f = { 0 };
    int rc = storage_list(v->target->store, "pack/", folder_listed, &f, e);

    for (uint32_t n = 0; n < v->pack_count && rc == 0; n++) {
        char key[PACK_KEY_LEN + 1];
        uint8_t name[32];
        uint64_t size;
        rc = index_pack(repo_index(v->repo), n, name, &size, e);
        if (rc <= 0)
            continue;
        pack_key(key, name);
        rc = 0;
        if (!repo_listed(v->repo, v->index, n)) {
            check_unnamed(v, &f, n, key, size);
            continue;
        }
        rc = check_pack(v, &f, n, key, size, e);
        if (v->options->level < 3) /* else it counts when it is read */
            atomic_fetch_add(&v->progress.packs, 1);
        verify_tick(v);
    }
    mem_free(f.packs);
    return rc;
}

/* All of it was read, and is good or made so: that is remembered. */
static void
note_verified(struct verify *v, uint64_t unhealed, int64_t begun_s)
{
    struct state *state = repo_state(v->repo);
    AUTOBUF struct buf unread = BUF(64);
    uint8_t when[8];
    struct err e = { 0 };

    if (v->options->level < 3 || v->result->unhealed > unhealed)
        return;
    fleet_note(repo_fleet(v->repo), v->target, HEALTH_CLEARED);
    put_u64(when, (uint64_t)begun_s);
    int rc = state_about_put(state, v->target->name, "verified",
                             slice_of(when, sizeof when), &e);
    if (rc == 0)
        rc = state_about_get(state, v->target->name, "unread", &unread, &e);
    if (rc == 1 && unread.len == 8 && (int64_t)get_u64(unread.ptr) < begun_s)
        rc = state_about_put(state, v->target->name, "unread", SLICE(""), &e);
    if (rc < 0)
        log_info("%s", err_text(&e));
}

static int
verify_target(struct verify *v, struct err *e)
{
    uint64_t unhealed = v->result->unhealed;
    int64_t begun_s = clock_now().s;

    v->present = mem_zalloc(v->pack_count / 8 + 1);
    v->unnamed = mem_zalloc(v->pack_count / 8 + 1);
    v->bad = mem_zalloc(v->pack_count / 8 + 1);
    v->next_pack = 0;
    int rc = check_presence(v, e);
    if (rc == 0)
        verify_chain(v);
    if (rc == 0 && v->options->level >= 3)
        rc = verify_read_packs(v, e);
    if (rc == 0 && v->options->level >= 2)
        rc = verify_structure(v, e);
    if (rc == 0 && v->options->level >= 3)
        rc = verify_logs(v, e);
    if (rc == 0)
        rc = verify_tell_files(v, e);
    if (rc == 0)
        note_verified(v, unhealed, begun_s);
    mem_free(v->present);
    mem_free(v->unnamed);
    mem_free(v->bad);
    return rc;
}

static int
verify_targets(struct verify *v, struct err *e)
{
    struct fleet *f = repo_fleet(v->repo);

    if (v->options->target && !fleet_find(f, v->options->target))
        return err_set(e, ERR_USAGE, 0, "there is no target called %s",
                       v->options->target);
    /* Written are packs, their index, and the snapshot: what another host stores
     * meanwhile would be taken for damage if they were looked for in that order. */
    if (repo_snapshots(v->repo, &v->snapshots, e) < 0 || repo_load_index(v->repo, e) < 0)
        return -1;
    v->pack_count = index_packs(repo_index(v->repo));
    v->needed = mem_zalloc(v->pack_count / 8 + 1);
    for (size_t i = 0; i < fleet_count(f); i++) {
        struct target *t = fleet_target(f, i);
        struct err one = { 0 };
        if (v->options->target && strcmp(v->options->target, t->name) != 0)
            continue;
        v->target = t;
        v->index = i;
        v->told = &v->result->targets[v->result->target_count++];
        v->told->name = t->name;
        verify_header(v);
        v->told->asked = target_is_up(f, t) && verify_target(v, &one) == 0;
        if (one.kind == ERR_CANCELLED || one.kind == ERR_IO) {
            *e = one;
            return -1;
        }
        if (one.kind != ERR_NONE)
            log_warn("target %s: %s", t->name, err_text(&one));
        v->result->unasked += !v->told->asked;
    }
    return 0;
}

static int
verify_all(struct verify *v, struct err *e)
{
    int rc = verify_targets(v, e);

    if (rc == 0)
        rc = verify_renew(v, e);
    if (rc == 0)
        rc = verify_windows(v, e);
    mem_free(v->needed);
    return rc;
}

int
engine_verify(struct repo *r, const struct verify_options *o,
              struct verify_result *result, struct err *e)
{
    struct verify v = { .repo = r, .options = o, .result = result };
    int64_t begun = clock_mono_ms();

    *result = (struct verify_result){ 0 };
    pthread_mutex_init(&v.lock, NULL);
    int rc = verify_all(&v, e);
    v.next_tick_ms = 0;
    verify_tick(&v);
    snapshot_list_release(&v.snapshots);
    pthread_mutex_destroy(&v.lock);
    result->elapsed_ms = clock_mono_ms() - begun;
    return rc;
}
