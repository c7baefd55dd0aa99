#include "base/text.h"
#include "codec/record.h"

#include "impl.h"

#include <stdio.h>
#include <string.h>

#define SEGMENT_PACKS 256 /* a segment is published when so many packs are pending, */
#define SEGMENT_BYTES ((size_t)16 << 20) /* or so many bytes of directories */

#define OWN_CACHED_MAX ((size_t)1 << 20) /* a larger segment is read when it is wanted */

/* What is kept of a pack that no segment names yet. */
enum pending_tag { PENDING_SIZE = 1, PENDING_DIRECTORY = 2 };

int
pending_open(struct repo *r, struct slice name, struct slice locked, struct buf *plain,
             struct segment_pack *p, struct err *e)
{
    if (name.len != 32)
        return err_set(e, ERR_CORRUPT, 0, "the local state is damaged");
    if (crypto_unlock(plain, r->keys->cache_key, SLICE("drtool-v1/pending"), locked, e)
        < 0)
        return -1;
    memcpy(p->name, name.ptr, 32);
    p->size = record_u64(buf_slice(plain), PENDING_SIZE);
    p->revoked = false;
    return directory_parse(record_get(buf_slice(plain), PENDING_DIRECTORY), p->size,
                           &p->directory, e);
}

int
pending_keep(struct repo *r, const uint8_t name[32], uint64_t size,
             struct slice directory, struct err *e)
{
    AUTOBUF struct buf rec = BUF(PENDING_MAX), locked = BUF(PENDING_MAX);
    uint8_t nonce[NONCE_LEN];

    record_put_u64(&rec, PENDING_SIZE, size);
    record_put(&rec, PENDING_DIRECTORY, directory);
    random_bytes(NULL, nonce, sizeof nonce);
    crypto_lock(&locked, r->keys->cache_key, nonce, SLICE("drtool-v1/pending"),
                buf_slice(&rec));
    return state_pending_put(r->state, slice_of(name, 32), buf_slice(&locked), e);
}

int
repo_store_pack(struct repo *r, struct pack_done *p, uint32_t number, struct err *e)
{
    AUTOFREE char *path = TAKE(p->path);
    char key[PACK_KEY_LEN + 1];

    pack_key(key, p->name);
    r->pending_packs++;
    r->pending_bytes += p->directory.len;
    /* Pending first: a kill between the two costs a look at next start, the
     * other way round the pack's chunks would be sent again. */
    int rc = pending_keep(r, p->name, p->size, buf_slice(&p->directory), e);
    buf_release(&p->directory);
    if (rc < 0 || fleet_put_file(r->fleet, key, RANK_PACK, path, p->size, p->name, e) < 0
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
note_published(void *arg, struct err *e)
{
    const struct publishing *p = arg;

    for (size_t i = 0; i + 32 <= p->names.len; i += 32)
        if (state_pending_published(p->repo->state, slice_of(p->names.ptr + i, 32), e)
            < 0)
            return -1;
    return 0;
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
    if (object.len <= OWN_CACHED_MAX) /* the next run need not read it back */
        cache_put(r->state, slice_str(key), buf_slice(&object));
    return fleet_put_with(r->fleet, key, RANK_INDEX, buf_slice(&object), note_published,
                          p, e);
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
    segment_put_pack(p->repo, &p->plain, name.ptr,
                     record_u64(buf_slice(&rec), PENDING_SIZE),
                     record_get(buf_slice(&rec), PENDING_DIRECTORY));
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
