#include "repo/chunk.h"

#include <assert.h>
#include <string.h>

enum chunk_class
chunk_class_of(enum chunk_kind kind)
{
    return kind == KIND_FILE || kind == KIND_BUNDLE || kind == KIND_LOG ? CLASS_DATA
                                                                        : CLASS_META;
}

bool
chunk_kind_known(unsigned kind)
{
    return kind >= KIND_FILE && kind <= KIND_LOG;
}

void
chunk_key_put(struct buf *out, const struct chunk_key *k)
{
    buf_put_u8(out, (uint8_t)k->class);
    buf_put_u8(out, (uint8_t)k->suite);
    buf_put_u16(out, 0);
    buf_put_u32(out, k->epoch);
    buf_put(out, k->sealed, sizeof k->sealed);
}

bool
chunk_key_parse(struct slice s, struct chunk_key *k)
{
    struct reader r = reader_of(s);

    k->class = (enum chunk_class)read_u8(&r);
    k->suite = (enum suite)read_u8(&r);
    read_u16(&r);
    k->epoch = read_u32(&r);
    read_copy(&r, k->sealed, sizeof k->sealed);
    return !r.bad && (k->class == CLASS_DATA || k->class == CLASS_META)
        && crypto_suite_known(k->suite);
}

struct session *
session_new(const struct keys *k, struct random *rnd)
{
    struct session *s = crypto_alloc(sizeof *s);
    const struct epoch *ep = keys_newest_epoch(k);
    uint8_t key[KEY_LEN], seed[KEY_LEN];

    random_bytes(rnd, s->id, ID_LEN);
    for (int c = CLASS_DATA; c <= CLASS_META; c++) {
        random_bytes(rnd, key, sizeof key);
        random_bytes(rnd, seed, sizeof seed);
        s->key[c].class = (enum chunk_class)c;
        s->key[c].suite = crypto_best_suite();
        s->key[c].epoch = ep->number;
        box_seal(s->key[c].sealed, ep->pair[c].pub, seed, slice_of(key, sizeof key));
        hmac_key(&s->prk[c], slice_of(key, sizeof key));
    }
    crypto_wipe(key, sizeof key);
    crypto_wipe(seed, sizeof seed);
    return s;
}

void
session_free(struct session *s)
{
    if (s)
        crypto_free(s);
}

void
chunk_tools_init(struct chunk_tools *t, int level)
{
    t->aead = aead_new();
    t->zip = zip_new(level);
    t->packed = BUF(CHUNK_STORED_MAX);
}

void
chunk_tools_release(struct chunk_tools *t)
{
    aead_free(t->aead);
    zip_free(t->zip);
    buf_release(&t->packed);
}

size_t
chunk_room(size_t plain)
{
    return zip_bound(plain) + TAG_LEN;
}

/* The key of one chunk, and the data that its seal binds. */
static void
chunk_secret(uint8_t key[KEY_LEN], const struct hmac_key *prk, enum suite suite,
             const struct chunk_record *rec)
{
    uint8_t info[15 + 2 + 32 + 4 + 1 + 4 + 4], *p = info;

    memcpy(p, "drtool-v1/chunk", 15);
    p += 15;
    *p++ = (uint8_t)chunk_class_of(rec->kind);
    *p++ = (uint8_t)suite;
    memcpy(p, rec->id.bytes, 32);
    put_u32(p + 32, rec->counter);
    p[36] = rec->encoding;
    put_u32(p + 37, rec->raw);
    put_u32(p + 41, rec->stored);
    assert(p + 45 == info + sizeof info);
    crypto_expand32(key, prk, slice_of(info, sizeof info));
}

#define AAD_LEN (ID_LEN + 2 + 32)

static void
associated(uint8_t aad[AAD_LEN], const struct keys *k, const struct chunk_record *rec)
{
    memcpy(aad, k->repo_id, ID_LEN);
    aad[ID_LEN] = (uint8_t)chunk_class_of(rec->kind);
    aad[ID_LEN + 1] = rec->kind;
    memcpy(aad + ID_LEN + 2, rec->id.bytes, 32);
}

void
chunk_seal(struct chunk_tools *t, const struct keys *k, const struct session *s,
           enum chunk_kind kind, const struct chunk_id *id, uint32_t counter,
           struct slice plain, bool store, uint8_t *out, struct chunk_record *rec)
{
    enum chunk_class class = chunk_class_of(kind);
    uint8_t key[KEY_LEN], aad[AAD_LEN];

    assert(plain.len <= CHUNK_RAW_MAX);
    size_t packed = store ? 0 : zip_squeeze(t->zip, plain, out, zip_bound(plain.len));
    struct slice body = packed ? slice_of(out, packed) : plain;
    *rec = (struct chunk_record){
        .id = *id,
        .counter = counter,
        .stored = (uint32_t)(body.len + TAG_LEN),
        .raw = (uint32_t)plain.len,
        .encoding = packed ? ENCODING_ZSTD : ENCODING_RAW,
        .kind = (uint8_t)kind,
    };
    chunk_secret(key, &s->prk[class], s->key[class].suite, rec);
    associated(aad, k, rec);
    aead_seal(t->aead, s->key[class].suite, key, slice_of(aad, sizeof aad), body, out);
    crypto_wipe(key, sizeof key);
}

int
chunk_open(struct chunk_tools *t, const struct keys *k, enum suite suite,
           const struct hmac_key *prk, const struct chunk_record *rec,
           struct slice sealed, uint8_t *out, struct err *e)
{
    uint8_t key[KEY_LEN], aad[AAD_LEN];
    struct chunk_id id;
    size_t body = sealed.len - TAG_LEN;
    bool zipped = rec->encoding == ENCODING_ZSTD;

    if (sealed.len != rec->stored || rec->stored < TAG_LEN || rec->raw > CHUNK_RAW_MAX
        || rec->stored > CHUNK_STORED_MAX || rec->encoding > ENCODING_ZSTD
        || (!zipped && rec->raw != body) || !chunk_kind_known(rec->kind))
        return err_set(e, ERR_CORRUPT, 0, "a chunk's lengths do not fit");
    buf_clear(&t->packed);
    uint8_t *to = zipped ? buf_room(&t->packed, body + 1) : out;
    chunk_secret(key, prk, suite, rec);
    associated(aad, k, rec);
    int rc = aead_open(t->aead, suite, key, slice_of(aad, sizeof aad), sealed, to, e);
    crypto_wipe(key, sizeof key);
    if (rc == 0 && zipped)
        rc = zip_expand(t->zip, slice_of(to, body), out, rec->raw, e);
    if (rc < 0)
        return -1;
    keys_chunk_id(k, rec->kind, slice_of(out, rec->raw), &id);
    if (!chunk_id_equal(&id, &rec->id))
        return err_set(e, ERR_CORRUPT, 0, "a chunk is not what its id says");
    return 0;
}

int
chunk_key_open(const struct keys *k, const struct chunk_key *key, struct hmac_key *prk,
               struct err *e)
{
    const struct epoch *ep = keys_epoch(k, key->epoch);
    uint8_t session[KEY_LEN];

    if (!ep || !ep->can_open[key->class])
        return err_set(e, ERR_DENIED, 0,
                       "the key of role %s may not open %s (epoch %u); use a key of role "
                       "admin or reader",
                       role_name(k->role),
                       key->class == CLASS_DATA ? "stored data" : "metadata", key->epoch);
    if (box_open(session, &ep->pair[key->class],
                 slice_of(key->sealed, sizeof key->sealed), e)
        < 0)
        return -1;
    hmac_key(prk, slice_of(session, sizeof session));
    crypto_wipe(session, sizeof session);
    return 0;
}
