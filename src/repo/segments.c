#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "codec/record.h"

#include "impl.h"
#include "lists.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum gc_tag { GC_TARGET = 1, GC_PACKS = 2 };

#define GC_OBJECT_MAX ((size_t)64 << 20)

/* A day passes from the mark to the first delete: who looked within the hour, however
 * long he takes for the put, has seen the mark of all that is deleted. */
#define FRESH_MS (3600 * 1000)

static void
set_bit(uint8_t *bits, uint32_t i)
{
    bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << i % 8);
}

static bool
get_bit(const uint8_t *bits, uint32_t i)
{
    return bits[i / 8] >> i % 8 & 1;
}

/* A pack of a host that is not trusted is left out: it must not be deduplicated
 * against. */
struct taking {
    struct repo *repo;
    struct buf *numbers;
};

static int
take_pack(void *arg, const struct segment_pack *p, struct err *e)
{
    struct taking *t = arg;
    uint32_t number = 0;

    if (index_add(t->repo->index, p->name, p->size, &p->directory, &number, e) < 0)
        return -1;
    if (!p->revoked) /* else it is read, but nothing new relies on it */
        buf_put_u32(t->numbers, number);
    return 0;
}

static int
take_segment(struct repo *r, struct target *t, const char *key, struct buf *numbers,
             struct err *e)
{
    struct taking taking = { r, numbers };

    if (segment_read(r, t, key, take_pack, &taking, e) < 0)
        return -1;
    return index_segment_add(r->index, key, buf_slice(numbers), e);
}

/* Makes room for `count` bits. */
static void
grow_bits(struct listed *l, uint32_t count)
{
    if (count <= l->pack_count)
        return;
    size_t old = (l->pack_count + 7) / 8, new = ((size_t)count + 7) / 8;
    l->packs = mem_resize(l->packs, new + 1);
    memset(l->packs + old, 0, new + 1 - old);
    l->pack_count = count;
}

struct listing {
    struct repo *repo;
    struct target *target;
    struct listed *listed;
};

/* Marks the packs of a segment as listed there. */
static void
note_listed(struct listing *l, struct slice numbers)
{
    grow_bits(l->listed, index_packs(l->repo->index));
    for (size_t i = 0; i + 4 <= numbers.len; i += 4) {
        uint32_t n = get_u32(numbers.ptr + i);
        if (n < l->listed->pack_count)
            set_bit(l->listed->packs, n);
    }
}

static int
index_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct listing *l = arg;
    struct repo *r = l->repo;
    AUTOBUF struct buf numbers = BUF((size_t)4 << 20);
    struct err bad = { 0 };
    int rc = index_segment_get(r->index, o->key, &numbers, e);

    if (rc < 0)
        return -1;
    if (rc == 0 && o->size > SEGMENT_MAX)
        return 0;
    if (rc == 0 && take_segment(r, l->target, o->key, &numbers, &bad) < 0) {
        if (bad.kind != ERR_CORRUPT && bad.kind != ERR_FORGED && bad.kind != ERR_NOT_FOUND
            && bad.kind != ERR_UNSUPPORTED) {
            *e = bad;
            return -1;
        }
        log_warn("target %s: %s is not used: %s", l->target->name, o->key,
                 err_text(&bad));
        return 0;
    }
    note_listed(l, buf_slice(&numbers));
    return 0;
}

static int
known_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct listing *l = arg;
    AUTOBUF struct buf numbers = BUF((size_t)4 << 20);

    if (index_segment_get(l->repo->index, o->key, &numbers, e) < 0)
        return -1;
    note_listed(l, buf_slice(&numbers));
    return 0;
}

int
repo_list_index(struct repo *r, size_t target, struct err *e)
{
    struct target *t = fleet_target(r->fleet, target);
    struct listing l = { r, t, &r->listed[target] };

    return storage_list(t->store, "index/", known_listed, &l, e);
}

int
repo_take_segment(struct repo *r, size_t target, const char *key, struct err *e)
{
    struct target *t = fleet_target(r->fleet, target);
    struct listing l = { r, t, &r->listed[target] };
    struct object_info o;

    if (storage_head(t->store, key, &o, e) < 0) {
        if (e->kind != ERR_NOT_FOUND)
            return -1;
        *e = (struct err){ 0 };
        return 0;
    }
    o.key = key;
    return known_listed(&l, &o, e) < 0 ? -1 : 1;
}

static int
by_name(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

/* One mark or sweep: the packs that it names are as good as gone there. */
static int
gc_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct listing *l = arg;
    struct repo *r = l->repo;
    size_t len = strlen(o->key);
    bool mark = len > 5 && strcmp(o->key + len - 5, ".mark") == 0;
    bool sweep = len > 6 && strcmp(o->key + len - 6, ".sweep") == 0;
    AUTOBUF struct buf object = BUF(GC_OBJECT_MAX);
    uint8_t signer[ID_LEN], target[ID_LEN];
    struct header h;
    struct slice body;

    if (!mark && !sweep)
        return 0;
    if (o->size > GC_OBJECT_MAX)
        return err_set(e, ERR_CORRUPT, 0, "%s is too large", o->key);
    if (repo_get_small(r, l->target, o->key, &object, e) < 0
        || signed_open(buf_slice(&object), mark ? OBJECT_MARK : OBJECT_SWEEP,
                       r->keys->repo_id, repo_signer, r, &h, signer, &body, e)
               < 0)
        return err_in(e, "target %s: %s", l->target->name, o->key);
    if (memcmp(signer, signer_maintain, ID_LEN) != 0 || !record_valid(body)
        || !record_copy(body, GC_TARGET, target, ID_LEN)
        || memcmp(target, l->target->id, ID_LEN) != 0)
        return err_set(e, ERR_FORGED, 0, "target %s: %s is not a record of this target",
                       l->target->name, o->key);
    struct slice packs = record_get(body, GC_PACKS);
    for (size_t i = 0; i + 32 <= packs.len; i += 32) {
        struct listed *x = l->listed;
        x->condemned = mem_grow(x->condemned, &x->condemned_cap, x->condemned_count + 1,
                                sizeof *x->condemned);
        memcpy(x->condemned[x->condemned_count++], packs.ptr + i, 32);
    }
    return 0;
}

int
repo_take_gc(struct repo *r, struct target *t, size_t index, const struct kept_list *gc,
             struct err *e)
{
    struct listed fresh = { 0 }, *l = &r->listed[index];
    struct listing listing = { r, t, &fresh };

    if (lists_each(gc, gc_listed, &listing, e) < 0) {
        mem_free(fresh.condemned);
        return -1;
    }
    if (fresh.condemned_count > 0)
        qsort(fresh.condemned, fresh.condemned_count, sizeof *fresh.condemned, by_name);
    pthread_mutex_lock(&r->gc_lock);
    mem_free(l->condemned);
    l->condemned = fresh.condemned;
    l->condemned_count = fresh.condemned_count;
    l->condemned_cap = fresh.condemned_cap;
    l->gc_ms = gc->asked_ms;
    pthread_mutex_unlock(&r->gc_lock);
    return 0;
}

int
repo_load_gc(struct repo *r, struct target *t, size_t index, struct err *e)
{
    struct kept_list gc = { .prefix = "gc/" };

    lists_ask(t, &gc, 1);
    int rc = repo_take_gc(r, t, index, &gc, e);
    lists_release(&gc, 1);
    return rc;
}

static bool
condemned(struct repo *r, size_t target, const uint8_t name[32])
{
    struct listed *l = &r->listed[target];

    pthread_mutex_lock(&r->gc_lock);
    bool hit = l->condemned_count > 0
            && bsearch(name, l->condemned, l->condemned_count, 32, by_name);
    pthread_mutex_unlock(&r->gc_lock);
    return hit;
}

static size_t
index_of(const struct repo *r, const struct target *t)
{
    size_t i = 0;

    while (fleet_target(r->fleet, i) != t)
        i++;
    return i;
}

bool
repo_refused(struct repo *r, const struct target *t, const char *key)
{
    uint8_t name[32];

    return pack_name(name, key) && condemned(r, index_of(r, t), name);
}

/* The records that were read last are those of today. */
static bool
is_fresh(struct repo *r, size_t target)
{
    pthread_mutex_lock(&r->gc_lock);
    int64_t asked = r->listed[target].gc_ms;
    pthread_mutex_unlock(&r->gc_lock);
    return asked != 0 && clock_boot_ms() - asked < FRESH_MS;
}

int
repo_may_put(void *arg, struct target *t, const char *key, struct err *e)
{
    struct repo *r = arg;
    size_t i = index_of(r, t);
    uint8_t name[32];

    if (!pack_name(name, key))
        return 1;
    if (!is_fresh(r, i) && repo_load_gc(r, t, i, e) < 0)
        return -1;
    return !condemned(r, i, name);
}

static bool
listed_anywhere(struct repo *r, uint32_t number)
{
    for (size_t i = 0; i < fleet_count(r->fleet); i++)
        if (repo_listed(r, i, number))
            return true;
    return false;
}

/* A pack of our own that no segment named yet. 1 it goes on waiting; 0 it is to be
 * forgotten: a target's segment names it, or it is nowhere; -1. */
static int
take_pending(struct repo *r, struct slice name, struct slice locked, struct err *e)
{
    AUTOBUF struct buf plain = BUF(locked.len);
    char key[PACK_KEY_LEN + 1];
    struct segment_pack pack;
    uint32_t number = 0;

    if (pending_open(r, name, locked, &plain, &pack, e) < 0)
        return -1;
    int known = index_known(r->index, pack.name, &pack.directory, &number, e);
    if (known < 0)
        return -1;
    if (known == 1 && listed_anywhere(r, number)) /* no target need be asked */
        return 0;
    pack_key(key, name.ptr);
    if (!fleet_holds(r->fleet, key)) /* killed before it was in the spool */
        return 0;
    if (index_add(r->index, pack.name, pack.size, &pack.directory, &number, e) < 0)
        return -1;
    grow_bits(&r->listed[FLEET_TARGETS_MAX - 1], index_packs(r->index));
    set_bit(r->listed[FLEET_TARGETS_MAX - 1].packs, number);
    return 1;
}

/* Adds the packs of an earlier run to the index, one at a time: they may be many, and
 * the state is not held while the targets are asked. The names of those to be forgotten
 * go to `over`. */
static int
take_all_pending(struct repo *r, struct buf *over, struct err *e)
{
    AUTOBUF struct buf name = BUF(32), locked = BUF(PENDING_MAX);
    int64_t id = 0;
    int rc;

    do {
        buf_clear(&name);
        buf_clear(&locked);
        rc = state_pending_next(r->state, &id, &name, &locked, e);
        int waits = rc == 1 ? take_pending(r, buf_slice(&name), buf_slice(&locked), e)
                            : 1;
        if (waits < 0)
            return -1;
        if (waits == 0)
            buf_put_slice(over, buf_slice(&name));
    } while (rc == 1);
    return rc;
}

static int
drop_pending(struct repo *r, struct slice names, struct err *e)
{
    if (state_begin(r->state, e) < 0)
        return -1;
    for (size_t i = 0; i + 32 <= names.len; i += 32)
        if (state_pending_drop(r->state, slice_sub(names, i, 32), e) < 0) {
            state_abort(r->state);
            return -1;
        }
    return state_commit(r->state, e);
}

static int
load_pending(struct repo *r, struct err *e)
{
    AUTOBUF struct buf over = BUF((size_t)1 << 24);

    if (take_all_pending(r, &over, e) < 0)
        return -1;
    return r->write && over.len > 0 ? drop_pending(r, buf_slice(&over), e) : 0;
}

/* Is a pack of the index not finished, lost, or condemned anywhere? 1, 0, -1. */
static int
is_bad(struct repo *r, uint32_t number, struct err *e)
{
    uint8_t name[32];
    uint64_t size;
    int ended = index_pack(r->index, number, name, &size, e);

    if (ended <= 0 || repo_lost(r, name))
        return ended < 0 ? -1 : 1;
    for (size_t i = 0; i < fleet_count(r->fleet); i++)
        if (r->listed[i].condemned_count > 0 && condemned(r, i, name))
            return 1;
    return 0;
}

/* What is listed was finished. Only then need no pack's name be read when no pack is
 * condemned or lost. */
static bool
all_listed_are_good(const struct repo *r)
{
    size_t bad = r->lost.len;

    for (size_t i = 0; i < fleet_count(r->fleet); i++)
        bad += r->listed[i].condemned_count;
    return bad == 0;
}

/* Which packs count: listed somewhere or pending here, condemned nowhere and not
 * lost. When nobody answers, all that are finished may be listed. */
static int
judge(struct repo *r, bool anybody, struct err *e)
{
    uint32_t n = index_packs(r->index);
    bool good = anybody && all_listed_are_good(r);

    r->usable = mem_resize(r->usable, n / 8 + 1);
    memset(r->usable, 0, n / 8 + 1);
    for (uint32_t p = 0; p < n; p++) {
        bool listed = !anybody;
        for (size_t i = 0; i < FLEET_TARGETS_MAX && !listed; i++)
            listed = p < r->listed[i].pack_count && get_bit(r->listed[i].packs, p);
        int bad = !listed ? 1 : good ? 0 : is_bad(r, p, e);
        if (bad < 0)
            return -1;
        if (!bad)
            set_bit(r->usable, p);
    }
    r->usable_count = n;
    return 0;
}

static int
load_all(struct repo *r, struct err *e)
{
    bool anybody = false;
    struct err one = { 0 };

    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        struct target *t = fleet_target(r->fleet, i);
        struct listing l = { r, t, &r->listed[i] };
        struct kept_list lists[] = { { .prefix = "gc/" }, { .prefix = "index/" } };
        if (!target_is_up(r->fleet, t))
            continue;
        lists_ask(t, lists, COUNT_OF(lists));
        int rc = repo_take_gc(r, t, i, &lists[0], &one);
        if (rc == 0)
            rc = lists_each(&lists[1], index_listed, &l, &one);
        lists_release(lists, COUNT_OF(lists));
        if (rc < 0) {
            if (one.kind == ERR_CANCELLED || one.kind == ERR_IO) {
                *e = one;
                return -1;
            }
            if (one.kind == ERR_FORGED || one.kind == ERR_CORRUPT)
                fleet_found(r->fleet, t, TARGET_FOREIGN, &one);
            else
                fleet_fail(r->fleet, t, &one);
            continue;
        }
        anybody = true;
    }
    if (load_pending(r, e) < 0 || repo_load_lost(r, e) < 0
        || index_flush(r->index, e) < 0)
        return -1;
    return judge(r, anybody, e);
}

int
repo_load_index(struct repo *r, struct err *e)
{
    assert(fleet_count(r->fleet) < FLEET_TARGETS_MAX); /* the last is for pending */
    index_on_damage(r->index, NULL, NULL);
    int rc = load_all(r, e);
    if (rc < 0 && index_error(e) && r->index_lock_fd >= 0) {
        struct err why = *e;
        *e = (struct err){ 0 };
        rc = repo_renew_index(r, &why, e);
        if (rc == 0)
            rc = load_all(r, e);
    }
    if (rc < 0)
        return -1;
    index_on_damage(r->index, repo_refill_index, r);
    if (!r->write && !r->index_temporary) { /* a long restore holds up no backup */
        index_freeze(r->index);
        if (r->index_lock_fd >= 0)
            close(r->index_lock_fd);
        r->index_lock_fd = -1;
    }
    return 0;
}

bool
repo_usable(void *arg, uint32_t pack)
{
    struct repo *r = arg;

    return pack >= r->usable_count || get_bit(r->usable, pack);
}

bool
repo_listed(struct repo *r, size_t target, uint32_t pack)
{
    const struct listed *l = &r->listed[target];

    return pack < l->pack_count && get_bit(l->packs, pack);
}
