#include "base/fs.h"
#include "codec/record.h"

#include "impl.h"

#include <string.h>

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

const char *
repo_host_tagged(const struct repo *r, const char *tag)
{
    char have[17];

    for (size_t i = 0; i < r->host_count; i++) {
        keys_host_tag(r->keys, r->hosts[i].id, have);
        if (strcmp(have, tag) == 0)
            return r->hosts[i].name;
    }
    return NULL;
}

/* This host: id, seed and machine, as a record under the host key. */
enum self_tag { SELF_ID = 1, SELF_SEED = 2, SELF_MACHINE = 3, SELF_NAME = 4 };

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

/* The state that keeps the identity, opened as *own when it is another one. */
static struct state *
host_state(struct repo *r, struct state **own, struct err *e)
{
    if (!r->host_dir)
        return r->state;
    return state_open(r->host_dir, false, own, e) < 0 ? NULL : *own;
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
    record_put_str(&rec, SELF_NAME, r->host_named ? r->host_name : NULL);
    random_bytes(NULL, nonce, sizeof nonce);
    crypto_lock(&locked, r->keys->host_key, nonce, SLICE("drtool-v1/host"),
                buf_slice(&rec));
    crypto_wipe(rec.ptr, rec.len);
    struct state *own = NULL, *state = host_state(r, &own, e);
    int rc = state ? state_put(state, "host", buf_slice(&locked), e) : -1;
    state_close(own);
    return rc;
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
    struct slice name = record_get(buf_slice(&rec), SELF_NAME);
    if (name.len > 0 && name.len < sizeof r->host_name) {
        memcpy(r->host_name, name.ptr, name.len);
        r->host_name[name.len] = 0;
        r->host_named = true;
    }
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
host_load(struct repo *r, struct err *e)
{
    AUTOBUF struct buf locked = BUF(1024);
    uint8_t pub[KEY_LEN];

    struct state *own = NULL, *state = host_state(r, &own, e);
    int rc = state ? state_get(state, "host", &locked, e) : -1;
    state_close(own);
    if (rc < 0)
        return -1;
    if (locked.len > 0 && load_self(r, buf_slice(&locked), e) < 0)
        return -1;
    if (locked.len == 0) {
        host_new(r);
        if (host_store(r, e) < 0)
            return -1;
    }
    r->enrolled = repo_signer(r, r->host_id, pub);
    return 0;
}

int
repo_load_host(struct repo *r, struct err *e)
{
    AUTOBUF struct buf object = BUF(CONF_OBJECT_MAX);
    char key[81];

    if (host_load(r, e) < 0)
        return -1;
    if (r->enrolled)
        return 0;
    if (conf_enroll(r, &object, key, e) < 0
        || fleet_put(r->fleet, key, RANK_PACK, buf_slice(&object), e) < 0
        || conf_keep(r, buf_slice(&object), e) < 0)
        return -1;
    r->enrolled = true;
    return 0;
}
