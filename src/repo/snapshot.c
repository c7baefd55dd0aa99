#include "repo/snapshot.h"
#include "base/random.h"
#include "codec/record.h"
#include "source/facts.h"

#include "signed.h"

#include <assert.h>
#include <string.h>

/* drtool-format(5) SNAPSHOTS. */
enum tag {
    TAG_SOURCE = 1,
    TAG_KIND = 2,
    TAG_HOST = 3,
    TAG_HOST_ID = 4,
    TAG_SEQ = 5,
    TAG_STARTED = 6,
    TAG_ENDED = 7,
    TAG_ROOT = 8,
    TAG_LEVEL = 9,
    TAG_ENTRIES = 10,
    TAG_BYTES = 11,
    TAG_FLAGS = 12,
    TAG_ISSUES = 13,
    TAG_TAG = 14,
    TAG_PREVIOUS = 15,
    TAG_PARENT = 16,
    TAG_REPLACES = 17,
    TAG_CONF = 18,
    TAG_CONFIG = 19,
    TAG_IDENTITY = 20,
    TAG_VERSION = 21,
    TAG_ADDED = 22,
    TAG_FACTS = 23,
};

#define SEALED_AT (4 + SEALED_KEY_LEN) /* epoch, then the session key, then the rest */

void
snapshot_release(struct snapshot *s)
{
    mem_free(s->source);
    mem_free(s->kind);
    mem_free(s->host);
    mem_free(s->identity);
    mem_free(s->version);
    for (size_t i = 0; i < s->tag_count; i++)
        mem_free(s->tags[i]);
    buf_release(&s->facts);
    buf_release(&s->config);
    *s = (struct snapshot){ 0 };
}

static void
put_time(struct buf *out, uint16_t tag, struct clock_time t)
{
    uint8_t b[12];

    put_u64(b, (uint64_t)t.s);
    put_u32(b + 8, (uint32_t)t.ns);
    record_put(out, tag, slice_of(b, sizeof b));
}

static struct clock_time
get_time(struct slice record, uint16_t tag)
{
    uint8_t b[12] = { 0 };

    return record_copy(record, tag, b, sizeof b)
             ? (struct clock_time){ (int64_t)get_u64(b), (int32_t)get_u32(b + 8) }
             : (struct clock_time){ 0, 0 };
}

static void
put_hash(struct buf *out, uint16_t tag, const uint8_t hash[32])
{
    static const uint8_t zero[32];

    if (memcmp(hash, zero, 32) != 0)
        record_put(out, tag, slice_of(hash, 32));
}

static void
put_body(struct buf *out, const struct snapshot *s)
{
    record_put_str(out, TAG_SOURCE, s->source);
    record_put_str(out, TAG_KIND, s->kind);
    record_put_str(out, TAG_HOST, s->host);
    record_put(out, TAG_HOST_ID, slice_of(s->host_id, ID_LEN));
    record_put_u64(out, TAG_SEQ, s->seq);
    put_time(out, TAG_STARTED, s->started);
    put_time(out, TAG_ENDED, s->ended);
    record_put(out, TAG_ROOT, slice_of(s->root.id.bytes, 32));
    record_put_u64(out, TAG_LEVEL, s->root.level);
    record_put_u64(out, TAG_ENTRIES, s->root.entries);
    record_put_u64(out, TAG_BYTES, s->root.bytes);
    record_put_u64(out, TAG_FLAGS, s->flags);
    record_put_u64(out, TAG_ISSUES, s->issues);
    record_put_u64(out, TAG_ADDED, s->added);
    for (size_t i = 0; i < s->tag_count; i++)
        record_put_str(out, TAG_TAG, s->tags[i]);
    put_hash(out, TAG_PREVIOUS, s->previous);
    put_hash(out, TAG_PARENT, s->parent);
    put_hash(out, TAG_REPLACES, s->replaces);
    put_hash(out, TAG_CONF, s->conf_head);
    record_put(out, TAG_CONFIG, buf_slice(&s->config));
    record_put_str(out, TAG_IDENTITY, s->identity);
    record_put_str(out, TAG_VERSION, s->version);
    if (s->facts.len)
        record_put(out, TAG_FACTS, buf_slice(&s->facts));
}

/* The key of one snapshot's body: from the session's metadata key and its
 * sequence number, so that one session may seal several. */
static void
body_key(uint8_t key[KEY_LEN], const struct hmac_key *prk, uint64_t seq)
{
    uint8_t info[22];

    memcpy(info, "drtool-v1/snap", 14);
    put_u64(info + 14, seq);
    crypto_expand32(key, prk, slice_of(info, sizeof info));
}

void
snapshot_format(const struct keys *k, const struct session *session, struct snapshot *s,
                const uint8_t seed[SEED_LEN], struct buf *out)
{
    const struct chunk_key *ck = &session->key[CLASS_META];
    struct header h = { .type = OBJECT_SNAP, .group = k->group };
    AUTOBUF struct buf plain = BUF(SNAPSHOT_MAX), aad = BUF(256);
    uint8_t nonce[NONCE_LEN], key[KEY_LEN];

    put_body(&plain, s);
    memcpy(h.repo, k->repo_id, ID_LEN);
    memcpy(h.session, session->id, ID_LEN);
    header_put(out, &h);
    buf_put_u64(out, s->seq);
    buf_put_u32(out, ck->epoch);
    buf_put(out, ck->sealed, sizeof ck->sealed);
    buf_put_str(&aad, format_label(OBJECT_SNAP));
    buf_put_slice(&aad, buf_slice(out));
    random_bytes(NULL, nonce, sizeof nonce);
    body_key(key, &session->prk[CLASS_META], s->seq);
    crypto_lock(out, key, nonce, buf_slice(&aad), buf_slice(&plain));
    crypto_wipe(key, sizeof key);
    signed_end(out, OBJECT_SNAP, s->host_id, seed);
    sha256(buf_slice(out), s->id);
}

static int
take_body(struct slice body, struct snapshot *s, struct err *e)
{
    struct reader r = reader_of(body);
    struct slice v;
    uint16_t tag;

    if (!record_valid(body) || !record_copy(body, TAG_HOST_ID, s->host_id, ID_LEN)
        || !record_copy(body, TAG_ROOT, s->root.id.bytes, 32)
        || record_u64(body, TAG_LEVEL) >= TREE_LEVELS_MAX
        || record_u64(body, TAG_SEQ) != s->seq)
        return err_set(e, ERR_CORRUPT, 0, "a snapshot's body is malformed");
    s->source = record_str(body, TAG_SOURCE);
    s->kind = record_str(body, TAG_KIND);
    s->host = record_str(body, TAG_HOST);
    s->identity = record_str(body, TAG_IDENTITY);
    s->version = record_str(body, TAG_VERSION);
    s->started = get_time(body, TAG_STARTED);
    s->ended = get_time(body, TAG_ENDED);
    s->root.level = (uint8_t)record_u64(body, TAG_LEVEL);
    s->root.entries = record_u64(body, TAG_ENTRIES);
    s->root.bytes = record_u64(body, TAG_BYTES);
    s->flags = record_u64(body, TAG_FLAGS);
    s->issues = record_u64(body, TAG_ISSUES);
    s->added = record_u64(body, TAG_ADDED);
    while (record_next(&r, &tag, &v))
        if (tag == TAG_TAG && s->tag_count < TAGS_MAX) {
            char *text = mem_printf("%.*s", (int)v.len, (const char *)v.ptr);
            s->tags[s->tag_count++] = text;
        }
    /* Absent ones stay zero. */
    (void)!record_copy(body, TAG_PREVIOUS, s->previous, 32);
    (void)!record_copy(body, TAG_PARENT, s->parent, 32);
    (void)!record_copy(body, TAG_REPLACES, s->replaces, 32);
    (void)!record_copy(body, TAG_CONF, s->conf_head, 32);
    struct slice facts = record_get(body, TAG_FACTS);
    s->facts = BUF(FACTS_MAX);
    if (facts.len <= FACTS_MAX && facts_valid(facts))
        buf_put_slice(&s->facts, facts);
    s->config = BUF(SNAPSHOT_MAX);
    buf_put_slice(&s->config, record_get(body, TAG_CONFIG));
    return 0;
}

int
snapshot_parse(const struct keys *k, struct slice header, struct slice body,
               struct snapshot *s, struct err *e)
{
    AUTOBUF struct buf plain = BUF(SNAPSHOT_MAX), aad = BUF(256);
    struct chunk_key ck = { .class = CLASS_META };
    struct reader r = reader_of(body);
    struct hmac_key prk;
    uint8_t key[KEY_LEN];

    s->seq = read_u64(&r);
    ck.epoch = read_u32(&r);
    read_copy(&r, ck.sealed, sizeof ck.sealed);
    if (r.bad || body.len > SNAPSHOT_MAX)
        return err_set(e, ERR_CORRUPT, 0, "a snapshot is cut short");
    if (chunk_key_open(k, &ck, &prk, e) < 0)
        return -1;
    buf_put_str(&aad, format_label(OBJECT_SNAP));
    buf_put_slice(&aad, header);
    buf_put_slice(&aad, slice_sub(body, 0, 8 + SEALED_AT));
    body_key(key, &prk, s->seq);
    int rc = crypto_unlock(&plain, key, buf_slice(&aad), slice_of(r.ptr, r.left), e);
    crypto_wipe(key, sizeof key);
    crypto_wipe(&prk, sizeof prk);
    if (rc == 0)
        rc = take_body(buf_slice(&plain), s, e);
    if (rc < 0)
        return -1;
    return 0;
}
