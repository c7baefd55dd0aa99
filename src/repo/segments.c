#include "base/log.h"
#include "base/text.h"
#include "codec/record.h"

#include "impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An index segment: the directories of some packs, locked under the index key
 * and signed by who made it. Its plain body is a record with a field per pack:
 * drtool-format(5) INDEX SEGMENTS. */
enum segment_tag { TAG_PACK = 1 };
enum pack_tag {
    PACK_NAME = 1,
    PACK_SIZE = 2,
    PACK_ORIGIN = 3,
    PACK_SIGNATURE = 4,
    PACK_DIRECTORY = 5
};
enum gc_tag { GC_TARGET = 1, GC_PACKS = 2 };

#define SEGMENT_MAX ((size_t)120 << 20)
#define SEGMENT_PACKS 256 /* a segment is published when so many packs are pending, */
#define SEGMENT_BYTES ((size_t)16 << 20) /* or so many bytes of directories */
#define GC_OBJECT_MAX ((size_t)64 << 20)

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

/* What a host signs about a pack it made: repository, name, size, directory. */
static void
origin_message(const struct repo *r, const uint8_t name[32], uint64_t size,
               struct slice directory, struct buf *out)
{
    uint8_t hash[32];

    sha256(directory, hash);
    buf_put(out, r->keys->repo_id, ID_LEN);
    buf_put(out, name, 32);
    buf_put_u64(out, size);
    buf_put(out, hash, 32);
}

static void
put_pack(const struct repo *r, struct buf *out, const uint8_t name[32], uint64_t size,
         struct slice directory)
{
    AUTOBUF struct buf message = BUF(256);
    uint8_t sig[SIGN_LEN];

    origin_message(r, name, size, directory, &message);
    sign_make(sig, r->host_seed, "drtool-v1/pack", buf_slice(&message));
    record_put(out, PACK_NAME, slice_of(name, 32));
    record_put_u64(out, PACK_SIZE, size);
    record_put(out, PACK_ORIGIN, slice_of(r->host_id, ID_LEN));
    record_put(out, PACK_SIGNATURE, slice_of(sig, sizeof sig));
    record_put(out, PACK_DIRECTORY, directory);
}

/* Checks one pack's field and adds it to the local index. A pack of a host
 * that is not trusted is left out: it must not be deduplicated against. */
static int
take_pack(struct repo *r, struct slice rec, struct buf *numbers, struct err *e)
{
    AUTOBUF struct buf message = BUF(256);
    uint8_t name[32], origin[ID_LEN], sig[SIGN_LEN], pub[KEY_LEN];
    uint64_t size = record_u64(rec, PACK_SIZE);
    struct slice directory = record_get(rec, PACK_DIRECTORY);
    struct directory d;
    uint32_t number = 0;
    struct err bad = { 0 };

    if (!record_copy(rec, PACK_NAME, name, 32)
        || !record_copy(rec, PACK_ORIGIN, origin, ID_LEN)
        || !record_copy(rec, PACK_SIGNATURE, sig, SIGN_LEN)
        || directory_parse(directory, size, &d, e) < 0)
        return err_set(e, ERR_CORRUPT, 0, "an index segment is malformed");
    origin_message(r, name, size, d.plain, &message);
    if (!repo_signer(r, origin, pub)
        || sign_check(sig, pub, "drtool-v1/pack", buf_slice(&message), &bad) < 0) {
        log_warn("a pack of an unknown host is not used");
        return 0;
    }
    if (index_add(r->index, name, size, &d, &number, e) < 0)
        return -1;
    if (!repo_revoked(r, origin)) /* else it is read, but nothing new relies on it */
        buf_put_u32(numbers, number);
    return 0;
}

static int
take_segment(struct repo *r, struct target *t, const char *key, struct buf *numbers,
             struct err *e)
{
    AUTOBUF struct buf object = BUF(SEGMENT_MAX), plain = BUF(SEGMENT_MAX);
    AUTOBUF struct buf aad = BUF(256);
    struct range range = { .key = key };
    uint8_t signer[ID_LEN];
    struct header h;
    struct slice body, v;
    uint16_t tag;

    if (storage_get(t->store, &range, &object, e) < 0)
        return -1;
    if (!format_hash_fits(key, buf_slice(&object)))
        return err_set(e, ERR_CORRUPT, 0, "the bytes do not fit the name");
    if (signed_open(buf_slice(&object), OBJECT_INDEX, r->keys->repo_id, repo_signer, r,
                    &h, signer, &body, e)
        < 0)
        return -1;
    signed_associated(&aad, OBJECT_INDEX, buf_slice(&object));
    if (crypto_unlock(&plain, r->keys->index_key, buf_slice(&aad), body, e) < 0)
        return -1;
    struct reader rd = reader_of(buf_slice(&plain));
    while (record_next(&rd, &tag, &v))
        if (tag == TAG_PACK && take_pack(r, v, numbers, e) < 0)
            return -1;
    if (rd.bad)
        return err_set(e, ERR_CORRUPT, 0, "an index segment is malformed");
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
    grow_bits(l->listed, index_packs(r->index));
    for (size_t i = 0; i + 4 <= numbers.len; i += 4) {
        uint32_t n = get_u32(numbers.ptr + i);
        if (n < l->listed->pack_count)
            set_bit(l->listed->packs, n);
    }
    return 0;
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
repo_load_gc(struct repo *r, struct target *t, size_t index, struct err *e)
{
    struct listed fresh = { 0 }, *l = &r->listed[index];
    struct listing listing = { r, t, &fresh };

    if (storage_list(t->store, "gc/", gc_listed, &listing, e) < 0) {
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
    pthread_mutex_unlock(&r->gc_lock);
    return 0;
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

bool
repo_refused(void *arg, const struct target *t, const char *key)
{
    struct repo *r = arg;
    uint8_t name[32];

    if (!pack_name(name, key))
        return false;
    for (size_t i = 0; i < fleet_count(r->fleet); i++)
        if (fleet_target(r->fleet, i) == t)
            return condemned(r, i, name);
    return false;
}

/* Packs of our own that no segment names yet. */
enum pending_tag { PENDING_SIZE = 1, PENDING_DIRECTORY = 2 };

struct pending {
    struct repo *repo;
    struct buf rows; /* a record of (name 1, locked 2) each, gathered first: the state
                      * is not held while the targets are asked */
    struct buf over; /* names of packs that are nowhere, or in a listed segment */
};

static int
gather_pending(void *arg, struct slice name, struct slice locked, struct err *e)
{
    struct pending *p = arg;

    if (name.len != 32)
        return err_set(e, ERR_CORRUPT, 0, "the local state is damaged");
    record_put(&p->rows, 1, name);
    record_put(&p->rows, 2, locked);
    return 0;
}

static int
take_pending(struct pending *p, struct slice name, struct slice locked, struct err *e)
{
    struct repo *r = p->repo;
    AUTOBUF struct buf rec = BUF(locked.len);
    char key[PACK_KEY_LEN + 1];
    struct directory d;
    uint32_t number = 0;

    pack_key(key, name.ptr);
    if (!fleet_holds(r->fleet, key)) { /* killed before it was in the spool */
        buf_put_slice(&p->over, name);
        return 0;
    }
    if (crypto_unlock(&rec, r->keys->cache_key, SLICE("drtool-v1/pending"), locked, e)
        < 0)
        return -1;
    uint64_t size = record_u64(buf_slice(&rec), PENDING_SIZE);
    if (directory_parse(record_get(buf_slice(&rec), PENDING_DIRECTORY), size, &d, e) < 0
        || index_add(r->index, name.ptr, size, &d, &number, e) < 0)
        return -1;
    for (size_t i = 0; i < fleet_count(r->fleet); i++)
        if (repo_listed(r, i, number)) {
            buf_put_slice(&p->over, name);
            break;
        }
    grow_bits(&r->listed[FLEET_TARGETS_MAX - 1], index_packs(r->index));
    set_bit(r->listed[FLEET_TARGETS_MAX - 1].packs, number);
    return 0;
}

/* Adds the packs of an earlier run to the index. Those that never got as far as
 * the spool are forgotten, and those that a target's segment names. */
static int
load_pending(struct repo *r, struct err *e)
{
    struct pending p = { r, BUF((size_t)1 << 30), BUF((size_t)1 << 24) };
    int rc = state_pending_list(r->state, true, gather_pending, &p, e);
    struct reader rd = reader_of(buf_slice(&p.rows));
    struct slice name, locked;
    uint16_t tag;

    while (rc == 0 && record_next(&rd, &tag, &name) && record_next(&rd, &tag, &locked))
        rc = take_pending(&p, name, locked, e);
    for (size_t i = 0; i + 32 <= p.over.len && rc == 0 && r->write; i += 32)
        rc = state_pending_drop(r->state, slice_of(p.over.ptr + i, 32), e);
    buf_release(&p.rows);
    buf_release(&p.over);
    return rc;
}

/* Which packs count: listed somewhere or pending here, condemned nowhere and not
 * lost. */
static void
judge(struct repo *r, bool anybody)
{
    uint32_t n = index_packs(r->index);

    r->usable = mem_resize(r->usable, n / 8 + 1);
    memset(r->usable, 0, n / 8 + 1);
    for (uint32_t p = 0; p < n; p++) {
        bool listed = !anybody;
        uint8_t name[32];
        uint64_t size;
        for (size_t i = 0; i < FLEET_TARGETS_MAX && !listed; i++)
            listed = p < r->listed[i].pack_count && get_bit(r->listed[i].packs, p);
        bool bad = !listed || !index_pack(r->index, p, name, &size) || repo_lost(r, name);
        for (size_t i = 0; i < fleet_count(r->fleet) && !bad; i++)
            bad = r->listed[i].condemned_count > 0 && condemned(r, i, name);
        if (!bad)
            set_bit(r->usable, p);
    }
    r->usable_count = n;
}

int
repo_load_index(struct repo *r, struct err *e)
{
    bool anybody = false;
    struct err one = { 0 };

    assert(fleet_count(r->fleet) < FLEET_TARGETS_MAX); /* the last is for pending */
    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        struct target *t = fleet_target(r->fleet, i);
        struct listing l = { r, t, &r->listed[i] };
        if (!target_is_up(r->fleet, t))
            continue;
        if (repo_load_gc(r, t, i, &one) < 0
            || storage_list(t->store, "index/", index_listed, &l, &one) < 0) {
            if (one.kind == ERR_CANCELLED || one.kind == ERR_IO) {
                *e = one;
                return -1;
            }
            if (one.kind == ERR_FORGED || one.kind == ERR_CORRUPT)
                fleet_set_state(r->fleet, t, TARGET_FOREIGN, &one);
            else
                fleet_fail(r->fleet, t, &one);
            continue;
        }
        anybody = true;
    }
    if (load_pending(r, e) < 0 || repo_load_lost(r, e) < 0
        || index_flush(r->index, e) < 0)
        return -1;
    judge(r, anybody);
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

int
repo_store_pack(struct repo *r, struct pack_done *p, uint32_t number, struct err *e)
{
    AUTOBUF struct buf rec = BUF(PACK_DIRECTORY_MAX), locked = BUF(PACK_DIRECTORY_MAX);
    AUTOFREE char *path = TAKE(p->path);
    uint8_t nonce[NONCE_LEN];
    char key[PACK_KEY_LEN + 1];

    pack_key(key, p->name);
    r->pending_packs++;
    r->pending_bytes += p->directory.len;
    record_put_u64(&rec, PENDING_SIZE, p->size);
    record_put(&rec, PENDING_DIRECTORY, buf_slice(&p->directory));
    buf_release(&p->directory);
    random_bytes(NULL, nonce, sizeof nonce);
    crypto_lock(&locked, r->keys->cache_key, nonce, SLICE("drtool-v1/pending"),
                buf_slice(&rec));
    /* Pending first: a kill between the two costs a look at next start, the
     * other way round the pack's chunks would be sent again. */
    if (state_pending_put(r->state, slice_of(p->name, 32), buf_slice(&locked), e) < 0
        || fleet_put_file(r->fleet, key, RANK_PACK, path, p->size, p->name, e) < 0
        || index_pack_end(r->index, number, p->name, p->size, e) < 0)
        return -1;
    bool full = r->pending_packs >= SEGMENT_PACKS || r->pending_bytes >= SEGMENT_BYTES;
    return full ? repo_publish_index(r, e) : 0;
}

struct publishing {
    struct repo *repo;
    struct buf plain;
    struct buf names; /* of the packs in it */
};

/* "index/<hour 8 hex>-<sha256>"; the hour by a target's clock. */
static void
segment_key(struct repo *r, struct slice object, char key[88])
{
    int64_t now = clock_now().s;
    uint8_t hash[32];
    char hex[65];

    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        struct target *t = fleet_target(r->fleet, i);
        struct err ignored = { 0 };
        if (target_is_up(r->fleet, t) && storage_now(t->store, &now, &ignored) == 0)
            break;
    }
    sha256(object, hash);
    text_hex(hex, hash, 32);
    snprintf(key, 88, "index/%08llx-%s", (unsigned long long)(now / 3600), hex);
}

static int
flush_segment(struct publishing *p, struct err *e)
{
    struct repo *r = p->repo;
    struct header h = { .type = OBJECT_INDEX, .group = r->keys->group };
    AUTOBUF struct buf object = BUF(SEGMENT_MAX), aad = BUF(256);
    uint8_t nonce[NONCE_LEN];
    char key[88];

    memcpy(h.repo, r->keys->repo_id, ID_LEN);
    header_put(&object, &h);
    signed_associated(&aad, OBJECT_INDEX, buf_slice(&object));
    random_bytes(NULL, nonce, sizeof nonce);
    crypto_lock(&object, r->keys->index_key, nonce, buf_slice(&aad),
                buf_slice(&p->plain));
    signed_end(&object, OBJECT_INDEX, r->host_id, r->host_seed);
    segment_key(r, buf_slice(&object), key);
    buf_clear(&p->plain);
    if (fleet_put(r->fleet, key, RANK_INDEX, buf_slice(&object), e) < 0)
        return -1;
    for (size_t i = 0; i + 32 <= p->names.len; i += 32)
        if (state_pending_published(r->state, slice_of(p->names.ptr + i, 32), e) < 0)
            return -1;
    return 0;
}

static int
publish_one(void *arg, struct slice name, struct slice locked, struct err *e)
{
    struct publishing *p = arg;
    AUTOBUF struct buf rec = BUF(locked.len);

    if (p->names.len == 32 * SEGMENT_PACKS || p->plain.len >= SEGMENT_BYTES)
        return 0; /* for the next one */
    if (name.len != 32
        || crypto_unlock(&rec, p->repo->keys->cache_key, SLICE("drtool-v1/pending"),
                         locked, e)
               < 0)
        return -1;
    size_t at = record_begin(&p->plain, TAG_PACK);
    put_pack(p->repo, &p->plain, name.ptr, record_u64(buf_slice(&rec), PENDING_SIZE),
             record_get(buf_slice(&rec), PENDING_DIRECTORY));
    record_end(&p->plain, at);
    buf_put_slice(&p->names, name);
    return 0;
}

int
repo_publish_index(struct repo *r, struct err *e)
{
    struct publishing p = { r, BUF(SEGMENT_MAX / 2), BUF(32 * SEGMENT_PACKS) };
    int rc;

    do {
        buf_clear(&p.names);
        rc = state_pending_list(r->state, false, publish_one, &p, e);
        if (rc == 0 && p.names.len > 0)
            rc = flush_segment(&p, e);
    } while (rc == 0 && p.names.len > 0);
    buf_release(&p.plain);
    buf_release(&p.names);
    if (rc < 0)
        return err_in(e, "publishing the index");
    r->pending_packs = 0;
    r->pending_bytes = 0;
    return 0;
}
