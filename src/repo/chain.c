#include "base/log.h"
#include "base/text.h"
#include "codec/record.h"

#include "chain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* drtool-format(5) CONFIGURATION RECORDS. */
enum tag {
    TAG_SEQ = 1,
    TAG_PREVIOUS = 2,
    TAG_TIME = 3,
    TAG_HOST = 4,
    TAG_REVOKE = 5,
    TAG_ALSO = 6
};
enum host_tag { HOST_ID = 1, HOST_PUB = 2, HOST_NAME = 3 };

#define ALSO_MAX 1000 /* tips that one record names */

static void
record_release(struct conf_record *c)
{
    buf_release(&c->object);
    buf_release(&c->plain);
}

void
conf_release(struct repo *r)
{
    for (size_t i = 0; i < r->record_count; i++)
        record_release(&r->records[i]);
    mem_free(r->records);
    r->records = NULL;
    r->record_count = r->record_cap = 0;
}

static int
by_place(const void *a, const void *b)
{
    const struct conf_record *x = a, *y = b;

    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    return memcmp(x->hash, y->hash, 32);
}

struct conf_record *
chain_find(const struct repo *r, uint64_t seq, const uint8_t hash[32])
{
    struct conf_record want = { .seq = seq };

    memcpy(want.hash, hash, 32);
    return r->record_count
             ? bsearch(&want, r->records, r->record_count, sizeof *r->records, by_place)
             : NULL;
}

/* Some number: the records are few, and so are those that are named so. */
static struct conf_record *
find_hash(const struct repo *r, struct slice hash)
{
    for (size_t i = 0; i < r->record_count; i++)
        if (slice_equal(hash, slice_of(r->records[i].hash, 32)))
            return &r->records[i];
    return NULL;
}

void
chain_name_of(char key[CONF_KEY_LEN + 1], uint64_t seq, const uint8_t hash[32])
{
    char hex[65];

    text_hex(hex, hash, 32);
    snprintf(key, CONF_KEY_LEN + 1, "conf/%010u-%s", (unsigned)seq, hex);
}

bool
chain_parse_name(const char *key, uint64_t *seq, uint8_t hash[32])
{
    char digits[11], back[CONF_KEY_LEN + 1];

    if (strlen(key) != CONF_KEY_LEN || key[15] != '-')
        return false;
    memcpy(digits, key + 5, 10);
    digits[10] = 0;
    if (!text_uint(digits, UINT32_MAX, seq) || !text_unhex(hash, 32, key + 16))
        return false;
    chain_name_of(back, *seq, hash);
    return strcmp(key, back) == 0;
}

static bool
parse_host(struct slice record, struct host *h)
{
    struct slice name = record_get(record, HOST_NAME);

    *h = (struct host){ .revoked = false };
    if (name.len >= sizeof h->name || !record_copy(record, HOST_ID, h->id, ID_LEN)
        || !record_copy(record, HOST_PUB, h->pub, KEY_LEN))
        return false;
    if (name.len)
        memcpy(h->name, name.ptr, name.len);
    return true;
}

/* Are the fields such as root writes them? */
static bool
well_formed(struct conf_record *c)
{
    struct slice rec = buf_slice(&c->plain), v;
    struct reader rd = reader_of(rec);
    bool first = record_get(rec, TAG_PREVIOUS).len == 0;
    struct host h;
    uint16_t tag;

    c->seq = record_u64(rec, TAG_SEQ);
    if (!record_valid(rec) || c->seq > UINT32_MAX || first != (c->seq == 0)
        || (!first && !record_copy(rec, TAG_PREVIOUS, c->previous, 32)))
        return false;
    while (record_next(&rd, &tag, &v))
        if (tag == TAG_HOST && !parse_host(v, &h))
            return false;
    return true;
}

/* Checks all that one record tells of itself. */
static int
open_record(struct repo *r, struct slice object, struct conf_record *c, struct err *e)
{
    AUTOBUF struct buf aad = BUF(256);
    uint8_t signer[ID_LEN];
    struct header h;
    struct slice body;

    if (signed_open(object, OBJECT_CONF, r->keys->repo_id, repo_signer, r, &h, signer,
                    &body, e)
        < 0)
        return -1;
    signed_associated(&aad, OBJECT_CONF, object);
    if (crypto_unlock(&c->plain, r->keys->conf_key, buf_slice(&aad), body, e) < 0)
        return -1;
    if (memcmp(signer, signer_root, ID_LEN) != 0 || !well_formed(c))
        return err_set(e, ERR_FORGED, 0, "the configuration record is malformed");
    sha256(object, c->hash);
    buf_put_slice(&c->object, object);
    return 0;
}

int
conf_take(struct repo *r, struct slice object, struct err *e)
{
    struct conf_record c = { .object = BUF(CONF_OBJECT_MAX),
                             .plain = BUF(CONF_OBJECT_MAX) };
    int rc = open_record(r, object, &c, e);

    if (rc == 0 && !chain_find(r, c.seq, c.hash)) {
        if (r->record_count == CONF_RECORDS_MAX) {
            rc = err_set(e, ERR_CORRUPT, 0, "too many configuration records");
        } else {
            size_t i = r->record_count;
            r->records = mem_grow(r->records, &r->record_cap, i + 1, sizeof *r->records);
            for (; i > 0 && by_place(&r->records[i - 1], &c) > 0; i--)
                r->records[i] = r->records[i - 1];
            r->records[i] = c;
            r->record_count++;
            return 1;
        }
    }
    record_release(&c);
    return rc;
}

static void
add_host(struct repo *r, struct slice record)
{
    struct host h;

    if (!parse_host(record, &h))
        return;
    for (size_t i = 0; i < r->host_count; i++)
        if (memcmp(r->hosts[i].id, h.id, ID_LEN) == 0)
            return;
    if (r->host_count < HOSTS_MAX)
        r->hosts[r->host_count++] = h;
    else
        log_warn("host %s is over the %d that a repository may have: what it stored "
                 "cannot be read",
                 h.name, HOSTS_MAX);
}

static void
revoke(struct repo *r, struct slice id)
{
    for (size_t i = 0; i < r->host_count; i++)
        if (slice_equal(id, slice_of(r->hosts[i].id, ID_LEN)))
            r->hosts[i].revoked = true;
}

void
chain_settle_hosts(struct repo *r)
{
    static const enum tag order[] = { TAG_HOST, TAG_REVOKE };

    r->host_count = 0;
    for (size_t pass = 0; pass < COUNT_OF(order); pass++)
        for (size_t i = 0; i < r->record_count; i++) {
            struct reader rd = reader_of(buf_slice(&r->records[i].plain));
            struct slice v;
            uint16_t tag;
            while (record_next(&rd, &tag, &v))
                if (tag == order[pass] && tag == TAG_HOST)
                    add_host(r, v);
                else if (tag == order[pass])
                    revoke(r, v);
        }
}

/* Marks what a record names; the first of it that is nowhere, as hex, to `gone`.
 * False when there is such. */
static bool
mark_named(struct repo *r, const struct conf_record *c, char gone[65])
{
    struct reader rd = reader_of(buf_slice(&c->plain));
    struct slice v;
    uint16_t tag;

    while (record_next(&rd, &tag, &v)) {
        bool back = tag == TAG_PREVIOUS && c->seq > 0;
        if ((!back && tag != TAG_ALSO) || v.len != 32)
            continue;
        struct conf_record *named = back ? chain_find(r, c->seq - 1, c->previous)
                                         : find_hash(r, v);
        if (!named) {
            text_hex(gone, v.ptr, 32);
            return false;
        }
        named->named = true;
    }
    return true;
}

bool
chain_settle(struct repo *r, bool told)
{
    char key[CONF_KEY_LEN + 1], gone[65];
    bool whole = true;

    for (size_t i = 0; i < r->record_count; i++)
        r->records[i].named = false;
    for (size_t i = 0; i < r->record_count; i++) {
        const struct conf_record *c = &r->records[i];
        if (mark_named(r, c, gone))
            continue;
        whole = false;
        chain_name_of(key, c->seq, c->hash);
        if (told)
            log_warn("%s names the configuration record %.12s, which no target shows: "
                     "lost, hidden or rolled back?",
                     key, gone);
    }
    chain_settle_hosts(r);
    r->conf_seq = -1;
    for (size_t i = r->record_count; i > 0; i--) {
        const struct conf_record *c = &r->records[i - 1];
        if (c->seq < r->records[r->record_count - 1].seq)
            break;
        r->conf_seq = (int64_t)c->seq;
        memcpy(r->conf_head, c->hash, 32);
    }
    return whole;
}

int
chain_take_kept(struct repo *r, struct buf *kept, struct err *e)
{
    struct slice v;
    uint16_t tag;

    if (state_get(r->state, "conf", kept, e) < 0)
        return -1;
    struct reader rd = reader_of(buf_slice(kept));
    while (record_next(&rd, &tag, &v))
        if (conf_take(r, v, e) < 0)
            return err_in(e, "the configuration records kept locally");
    return 0;
}

int
conf_keep(struct repo *r, struct slice object, struct err *e)
{
    AUTOBUF struct buf kept = BUF(KEPT_MAX);

    if (conf_take(r, object, e) < 0 || state_get(r->state, "conf", &kept, e) < 0)
        return -1;
    record_put(&kept, 1, object);
    (void)chain_settle(r, false);
    return state_put(r->state, "conf", buf_slice(&kept), e);
}

/* This host, behind the head; what else nobody has named yet is named as seen. */
static void
put_fields(struct repo *r, struct buf *rec)
{
    uint8_t pub[KEY_LEN];
    size_t also = 0;

    sign_public(pub, r->host_seed);
    record_put_u64(rec, TAG_SEQ, (uint64_t)(r->conf_seq + 1));
    if (r->conf_seq >= 0)
        record_put(rec, TAG_PREVIOUS, slice_of(r->conf_head, 32));
    record_put_u64(rec, TAG_TIME, (uint64_t)clock_now().s);
    size_t at = record_begin(rec, TAG_HOST);
    record_put(rec, HOST_ID, slice_of(r->host_id, ID_LEN));
    record_put(rec, HOST_PUB, slice_of(pub, KEY_LEN));
    record_put_str(rec, HOST_NAME, r->host_name);
    record_end(rec, at);
    for (size_t i = 0; i < r->record_count && also < ALSO_MAX; i++) {
        const struct conf_record *c = &r->records[i];
        if (c->named || memcmp(c->hash, r->conf_head, 32) == 0)
            continue;
        record_put(rec, TAG_ALSO, slice_of(c->hash, 32));
        also++;
    }
}

void
conf_seal(const struct keys *k, const uint8_t nonce[NONCE_LEN], struct slice record,
          struct buf *object)
{
    struct header h = { .type = OBJECT_CONF };
    AUTOBUF struct buf aad = BUF(256);

    memcpy(h.repo, k->repo_id, ID_LEN);
    header_put(object, &h);
    signed_associated(&aad, OBJECT_CONF, buf_slice(object));
    crypto_lock(object, k->conf_key, nonce, buf_slice(&aad), record);
    signed_end(object, OBJECT_CONF, signer_root, k->root_seed);
}

int
repo_records(struct repo *r, repo_record_fn *fn, void *arg, struct err *e)
{
    for (size_t i = 0; i < r->record_count; i++) {
        const struct conf_record *c = &r->records[i];
        char key[CONF_KEY_LEN + 1];
        chain_name_of(key, c->seq, c->hash);
        if (fn(arg, key, buf_slice(&c->object), e) < 0)
            return -1;
    }
    return 0;
}

int
conf_enroll(struct repo *r, struct buf *object, char key[81], struct err *e)
{
    AUTOBUF struct buf rec = BUF(CONF_OBJECT_MAX - 1024);
    uint8_t nonce[NONCE_LEN], hash[32];

    if (!r->keys->has_root)
        return err_set(e, ERR_DENIED, 0,
                       "this host is not known to the repository, and a key of role %s "
                       "cannot make it known; use a key of role admin once",
                       role_name(r->keys->role));
    if (r->host_count == HOSTS_MAX || r->record_count == CONF_RECORDS_MAX)
        return err_set(e, ERR_UNSUPPORTED, 0,
                       "the repository knows %zu hosts already; no other may enter",
                       r->host_count);
    put_fields(r, &rec);
    random_bytes(NULL, nonce, sizeof nonce);
    conf_seal(r->keys, nonce, buf_slice(&rec), object);
    sha256(buf_slice(object), hash);
    chain_name_of(key, (uint64_t)(r->conf_seq + 1), hash);
    return 0;
}
