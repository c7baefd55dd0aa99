#include "base/fs.h"
#include "base/log.h"
#include "base/text.h"
#include "codec/record.h"

#include "impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* drtool-format(5) CONFIGURATION RECORDS. */
enum tag { TAG_SEQ = 1, TAG_PREVIOUS = 2, TAG_TIME = 3, TAG_HOST = 4, TAG_REVOKE = 5 };
enum host_tag { HOST_ID = 1, HOST_PUB = 2, HOST_NAME = 3 };

bool
repo_signer(void *arg, const uint8_t signer[ID_LEN], uint8_t pub[KEY_LEN])
{
    const struct repo *r = arg;

    if (memcmp(signer, signer_root, ID_LEN) == 0) {
        memcpy(pub, r->keys->root_pub, KEY_LEN);
        return true;
    }
    if (memcmp(signer, signer_maintain, ID_LEN) == 0) {
        memcpy(pub, r->keys->maintain_pub, KEY_LEN);
        return true;
    }
    for (size_t i = 0; i < r->host_count; i++)
        if (memcmp(r->hosts[i].id, signer, ID_LEN) == 0) {
            memcpy(pub, r->hosts[i].pub, KEY_LEN);
            return true;
        }
    return false;
}

bool
repo_revoked(const struct repo *r, const uint8_t host[ID_LEN])
{
    for (size_t i = 0; i < r->host_count; i++)
        if (memcmp(r->hosts[i].id, host, ID_LEN) == 0)
            return r->hosts[i].revoked;
    return false;
}

const char *
repo_host_of(const struct repo *r, const uint8_t id[ID_LEN])
{
    for (size_t i = 0; i < r->host_count; i++)
        if (memcmp(r->hosts[i].id, id, ID_LEN) == 0)
            return r->hosts[i].name;
    return NULL;
}

static int
take_host(struct repo *r, struct slice record, struct err *e)
{
    struct slice name = record_get(record, HOST_NAME);
    struct host h = { .revoked = false };

    if (r->host_count == HOSTS_MAX || name.len >= sizeof h.name
        || !record_copy(record, HOST_ID, h.id, ID_LEN)
        || !record_copy(record, HOST_PUB, h.pub, KEY_LEN))
        return err_set(e, ERR_FORGED, 0, "a configuration record is malformed");
    memcpy(h.name, name.ptr, name.len);
    r->hosts[r->host_count++] = h;
    return 0;
}

/* Applies one record, which must follow the head. */
static int
apply(struct repo *r, struct slice object, struct err *e)
{
    AUTOBUF struct buf plain = BUF(CONF_OBJECT_MAX), aad = BUF(256);
    uint8_t signer[ID_LEN], previous[32] = { 0 };
    struct header h;
    struct slice body, v;
    uint16_t tag;

    signed_associated(&aad, OBJECT_CONF, object);
    if (signed_open(object, OBJECT_CONF, r->keys->repo_id, repo_signer, r, &h, signer,
                    &body, e)
            < 0
        || crypto_unlock(&plain, r->keys->conf_key, buf_slice(&aad), body, e) < 0)
        return -1;
    struct slice rec = buf_slice(&plain);
    (void)!record_copy(rec, TAG_PREVIOUS, previous, 32);
    if (!record_valid(rec) || memcmp(signer, signer_root, ID_LEN) != 0
        || record_u64(rec, TAG_SEQ) != (uint64_t)(r->conf_seq + 1)
        || (r->conf_seq >= 0 && memcmp(previous, r->conf_head, 32) != 0))
        return err_set(e, ERR_FORGED, 0, "the chain of configuration records is broken");
    struct reader rd = reader_of(rec);
    while (record_next(&rd, &tag, &v)) {
        if (tag == TAG_HOST && take_host(r, v, e) < 0)
            return -1;
        for (size_t i = 0; tag == TAG_REVOKE && i < r->host_count; i++)
            if (v.len == ID_LEN && memcmp(r->hosts[i].id, v.ptr, ID_LEN) == 0)
                r->hosts[i].revoked = true;
    }
    r->conf_seq++;
    sha256(object, r->conf_head);
    return 0;
}

/* What is kept locally: a record with the objects in order, tag 1 each. */
static int
apply_kept(struct repo *r, struct buf *kept, struct err *e)
{
    struct slice v;
    uint16_t tag;

    if (state_get(r->state, "conf", kept, e) < 0)
        return -1;
    struct reader rd = reader_of(buf_slice(kept));
    while (record_next(&rd, &tag, &v))
        if (apply(r, v, e) < 0)
            return err_in(e, "the configuration records kept locally");
    return 0;
}

struct listing {
    char (*keys)[96];
    size_t count, cap;
};

static int
take_key(void *arg, const struct object_info *o, struct err *e)
{
    struct listing *l = arg;

    if (strlen(o->key) >= sizeof l->keys[0] || o->size > CONF_OBJECT_MAX)
        return 0;
    if (l->count == CONF_RECORDS_MAX)
        return err_set(e, ERR_CORRUPT, 0, "too many configuration records");
    l->keys = mem_grow(l->keys, &l->cap, l->count + 1, sizeof *l->keys);
    snprintf(l->keys[l->count++], sizeof l->keys[0], "%s", o->key);
    return 0;
}

/* "conf/<seq 10>-<sha256>" -> seq; -1 when it is none. */
static int64_t
seq_of(const char *key)
{
    char digits[11];
    uint64_t seq;

    if (strlen(key) != 5 + 10 + 1 + 64 || key[15] != '-')
        return -1;
    memcpy(digits, key + 5, 10);
    digits[10] = 0;
    return text_uint(digits, UINT32_MAX, &seq) ? (int64_t)seq : -1;
}

static void
record_key(char key[81], int64_t seq, struct slice object)
{
    uint8_t hash[32];
    char hex[65];

    sha256(object, hash);
    text_hex(hex, hash, 32);
    snprintf(key, 81, "conf/%010u-%s", (unsigned)seq, hex);
}

/* Gives a target the records behind number `newest` that it lacks: a host may
 * have entered with only some of the targets in reach, or this one was set back. */
static int
bring_up(struct target *t, int64_t newest, const struct buf *kept, struct err *e)
{
    struct reader rd = reader_of(buf_slice(kept));
    struct slice object;
    uint16_t tag;
    int rc = 0;

    log_info("target %s lacks configuration records behind number %lld; it gets them",
             t->name, (long long)newest);
    for (int64_t seq = 0; rc == 0 && record_next(&rd, &tag, &object); seq++) {
        struct body body = body_of(object);
        char key[81];
        if (seq <= newest)
            continue;
        record_key(key, seq, object);
        rc = storage_put(t->store, key, &body, 0, e);
    }
    return rc;
}

/* What following one target came to. */
struct followed {
    int64_t newest; /* number that it lists; -1: none */
    int64_t failed; /* number of the record that could not be taken */
    struct err why;
};

/* Follows what one target lists beyond our head. */
static void
follow(struct repo *r, struct target *t, struct buf *kept, struct followed *f)
{
    struct listing l = { 0 };
    struct err *e = &f->why;

    *f = (struct followed){ .newest = -1, .failed = -1 };
    if (storage_list(t->store, "conf/", take_key, &l, e) == 0)
        for (size_t i = 0; i < l.count && e->kind == ERR_NONE; i++) {
            AUTOBUF struct buf object = BUF(CONF_OBJECT_MAX);
            int64_t seq = seq_of(l.keys[i]);
            f->newest = seq > f->newest ? seq : f->newest;
            if (seq != r->conf_seq + 1)
                continue;
            f->failed = seq;
            if (repo_get_small(r, t, l.keys[i], &object, e) == 0
                && apply(r, buf_slice(&object), e) == 0)
                record_put(kept, 1, buf_slice(&object));
        }
    mem_free(l.keys);
}

/* A record that is damaged on one target and whole on another is for verify to
 * mend, and no reason to leave that target out. */
static void
judge(struct repo *r, struct target *t, const struct followed *f, const struct buf *kept)
{
    struct err e = f->why;

    if (e.kind == ERR_CORRUPT && f->failed >= 0 && f->failed <= r->conf_seq) {
        log_info("target %s: %s", t->name, err_text(&e));
        return;
    }
    if (e.kind == ERR_NONE && f->newest < r->conf_seq && r->write && !r->as_found)
        (void)!bring_up(t, f->newest, kept, &e);
    if (e.kind == ERR_FORGED || e.kind == ERR_CORRUPT)
        fleet_found(r->fleet, t, TARGET_FOREIGN, &e);
    else if (e.kind != ERR_NONE)
        fleet_fail(r->fleet, t, &e);
}

/* Places with a bad header come last: with the hosts that the others know, their
 * records show whether they are ours. */
static void
follow_all(struct repo *r, struct buf *kept)
{
    struct followed f[FLEET_TARGETS_MAX];
    bool followed[FLEET_TARGETS_MAX] = { false };

    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        struct target *t = fleet_target(r->fleet, i);
        if (target_is_up(r->fleet, t)) {
            follow(r, t, kept, &f[i]);
            followed[i] = true;
        }
    }
    for (size_t i = 0; i < fleet_count(r->fleet); i++) {
        struct target *t = fleet_target(r->fleet, i);
        if (r->doubts[i].header == HEADER_GOOD
            || (r->doubts[i].header == HEADER_MISSING && !r->as_found))
            continue;
        follow(r, t, kept, &f[i]); /* takes nothing that root has not signed */
        followed[i] = repo_settle(r, t, i);
    }
    for (size_t i = 0; i < fleet_count(r->fleet); i++)
        if (followed[i])
            judge(r, fleet_target(r->fleet, i), &f[i], kept);
}

int
repo_load_conf(struct repo *r, struct err *e)
{
    AUTOBUF struct buf kept = BUF((size_t)64 << 20);

    r->hosts = mem_alloc(HOSTS_MAX * sizeof *r->hosts);
    r->conf_seq = -1;
    if (apply_kept(r, &kept, e) < 0)
        return -1;
    size_t before = kept.len;
    follow_all(r, &kept);
    if (kept.len > before && state_put(r->state, "conf", buf_slice(&kept), e) < 0)
        return -1;
    return 0;
}

int
repo_records(struct repo *r, repo_record_fn *fn, void *arg, struct err *e)
{
    AUTOBUF struct buf kept = BUF((size_t)64 << 20);
    struct slice object;
    uint16_t tag;
    int rc = 0;

    if (state_get(r->state, "conf", &kept, e) < 0)
        return -1;
    struct reader rd = reader_of(buf_slice(&kept));
    for (int64_t seq = 0; rc == 0 && record_next(&rd, &tag, &object); seq++) {
        char key[81];
        record_key(key, seq, object);
        rc = fn(arg, key, object, e);
    }
    return rc;
}

int
conf_enroll(struct repo *r, struct buf *object, char key[81], struct err *e)
{
    struct header h = { .type = OBJECT_CONF };
    AUTOBUF struct buf rec = BUF(1024), aad = BUF(256);
    uint8_t nonce[NONCE_LEN], pub[KEY_LEN];

    if (!r->keys->has_root)
        return err_set(e, ERR_DENIED, 0,
                       "this host is not known to the repository, and a key of role %s "
                       "cannot make it known; use a key of role admin once",
                       role_name(r->keys->role));
    sign_public(pub, r->host_seed);
    record_put_u64(&rec, TAG_SEQ, (uint64_t)(r->conf_seq + 1));
    if (r->conf_seq >= 0)
        record_put(&rec, TAG_PREVIOUS, slice_of(r->conf_head, 32));
    record_put_u64(&rec, TAG_TIME, (uint64_t)clock_now().s);
    size_t at = record_begin(&rec, TAG_HOST);
    record_put(&rec, HOST_ID, slice_of(r->host_id, ID_LEN));
    record_put(&rec, HOST_PUB, slice_of(pub, KEY_LEN));
    record_put_str(&rec, HOST_NAME, r->host_name);
    record_end(&rec, at);
    memcpy(h.repo, r->keys->repo_id, ID_LEN);
    header_put(object, &h);
    signed_associated(&aad, OBJECT_CONF, buf_slice(object));
    random_bytes(NULL, nonce, sizeof nonce);
    crypto_lock(object, r->keys->conf_key, nonce, buf_slice(&aad), buf_slice(&rec));
    signed_end(object, OBJECT_CONF, signer_root, r->keys->root_seed);
    record_key(key, r->conf_seq + 1, buf_slice(object));
    return 0;
}

/* This host: id, seed and machine, as a record under the host key. */
enum self_tag { SELF_ID = 1, SELF_SEED = 2, SELF_MACHINE = 3 };

static void
machine(const struct repo *r, uint8_t out[32])
{
    AUTOBUF struct buf id = BUF(256);
    struct err ignored = { 0 };

    if (fs_read("/etc/machine-id", 128, &id, &ignored) < 0)
        buf_clear(&id);
    struct slice parts[] = { SLICE("machine"), buf_slice(&id) };
    hmac_sha256(&r->keys->name_mac, parts, 2, out);
}

void
host_new(struct repo *r)
{
    random_bytes(NULL, r->host_id, ID_LEN);
    random_bytes(NULL, r->host_seed, SEED_LEN);
    keys_host_tag(r->keys, r->host_id, r->host_tag);
}

int
host_store(struct repo *r, struct err *e)
{
    AUTOBUF struct buf rec = BUF(512), locked = BUF(1024);
    uint8_t nonce[NONCE_LEN], m[32];

    machine(r, m);
    buf_room(&rec, 512);
    record_put(&rec, SELF_ID, slice_of(r->host_id, ID_LEN));
    record_put(&rec, SELF_SEED, slice_of(r->host_seed, SEED_LEN));
    record_put(&rec, SELF_MACHINE, slice_of(m, sizeof m));
    random_bytes(NULL, nonce, sizeof nonce);
    crypto_lock(&locked, r->keys->host_key, nonce, SLICE("drtool-v1/host"),
                buf_slice(&rec));
    crypto_wipe(rec.ptr, rec.len);
    return state_put(r->state, "host", buf_slice(&locked), e);
}

static int
load_self(struct repo *r, struct slice locked, struct err *e)
{
    AUTOBUF struct buf rec = BUF(1024);
    uint8_t m[32], kept[32];

    if (crypto_unlock(&rec, r->keys->host_key, SLICE("drtool-v1/host"), locked, e) < 0
        || !record_copy(buf_slice(&rec), SELF_ID, r->host_id, ID_LEN)
        || !record_copy(buf_slice(&rec), SELF_SEED, r->host_seed, SEED_LEN)
        || !record_copy(buf_slice(&rec), SELF_MACHINE, kept, 32))
        return err_set(e, ERR_FORGED, 0,
                       "the identity of this host in %s does not open "
                       "with this repository's keys",
                       r->dir);
    crypto_wipe(rec.ptr, rec.len);
    machine(r, m);
    if (memcmp(m, kept, 32) != 0)
        return err_set(e, ERR_FORGED, 0,
                       "the state in %s was made on another machine (a copied disk?); "
                       "remove it to enter the repository as a new host",
                       r->dir);
    keys_host_tag(r->keys, r->host_id, r->host_tag);
    return 0;
}

int
repo_load_host(struct repo *r, struct err *e)
{
    AUTOBUF struct buf locked = BUF(1024), object = BUF(CONF_OBJECT_MAX);
    AUTOBUF struct buf kept = BUF((size_t)64 << 20);
    char key[81];
    uint8_t pub[KEY_LEN];

    if (state_get(r->state, "host", &locked, e) < 0)
        return -1;
    if (locked.len > 0 && load_self(r, buf_slice(&locked), e) < 0)
        return -1;
    if (locked.len == 0) {
        host_new(r);
        if (host_store(r, e) < 0)
            return -1;
    }
    r->enrolled = repo_signer(r, r->host_id, pub);
    if (r->enrolled)
        return 0;
    if (conf_enroll(r, &object, key, e) < 0
        || fleet_put(r->fleet, key, RANK_PACK, buf_slice(&object), e) < 0
        || apply(r, buf_slice(&object), e) < 0
        || state_get(r->state, "conf", &kept, e) < 0)
        return -1;
    record_put(&kept, 1, buf_slice(&object));
    r->enrolled = true;
    return state_put(r->state, "conf", buf_slice(&kept), e);
}
