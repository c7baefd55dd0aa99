#include "repo/keys.h"
#include "base/random.h"
#include "base/text.h"
#include "codec/record.h"

#include "bundle.h"

#include <assert.h>
#include <string.h>

static const struct {
    enum role role;
    const char *name;
} roles[] = {
    { ROLE_ADMIN, "admin" },
    { ROLE_READER, "reader" },
    { ROLE_MAINTAIN, "maintain" },
    { ROLE_WRITER, "writer" },
};

const char *
role_name(enum role r)
{
    for (size_t i = 0; i < COUNT_OF(roles); i++)
        if (roles[i].role == r)
            return roles[i].name;
    return "unknown";
}

bool
role_parse(const char *name, enum role *out)
{
    for (size_t i = 0; i < COUNT_OF(roles); i++)
        if (strcmp(roles[i].name, name) == 0) {
            *out = roles[i].role;
            return true;
        }
    return false;
}

struct keys *
keys_new(void)
{
    return crypto_alloc(sizeof(struct keys));
}

void
keys_free(struct keys *k)
{
    if (k)
        crypto_free(k);
}

static void
keys_derive(struct keys *k)
{
    static const char dir[] = "drt-dir_", cut[] = "drt-cut_";
    uint8_t t[KEY_LEN];

    hmac_key(&k->id_mac, slice_of(k->k_id, KEY_LEN));
    crypto_derive(t, k->k_dir, dir, 1);
    hmac_key(&k->dir_prk, slice_of(t, KEY_LEN));
    crypto_derive(k->index_key, k->k_dir, dir, 2);
    crypto_derive(k->conf_key, k->k_dir, dir, 3);
    crypto_derive(t, k->k_dir, dir, 4);
    hmac_key(&k->name_mac, slice_of(t, KEY_LEN));
    crypto_derive(k->cache_key, k->k_dir, dir, 5);
    crypto_derive(k->host_key, k->k_dir, dir, 6);
    crypto_derive(k->log_key, k->k_dir, dir, 7);
    crypto_derive(t, k->k_cut, cut, 1);
    crypto_expand(k->gear, sizeof k->gear, t, SLICE("drtool-v1/gear"));
    crypto_derive(t, k->k_cut, cut, 2);
    memcpy(k->bundle_cut, t, sizeof k->bundle_cut);
    crypto_derive(t, k->k_cut, cut, 3);
    memcpy(k->manifest_cut, t, sizeof k->manifest_cut);
    crypto_wipe(t, sizeof t);
}

void
keys_generate(struct keys *k)
{
    struct epoch *first = &k->epochs[0];

    k->role = ROLE_ADMIN;
    random_bytes(NULL, k->repo_id, ID_LEN);
    random_bytes(NULL, k->root_seed, SEED_LEN);
    random_bytes(NULL, k->maintain_seed, SEED_LEN);
    random_bytes(NULL, k->k_id, KEY_LEN);
    random_bytes(NULL, k->k_cut, KEY_LEN);
    random_bytes(NULL, k->k_dir, KEY_LEN);
    sign_public(k->root_pub, k->root_seed);
    sign_public(k->maintain_pub, k->maintain_seed);
    k->has_root = k->has_maintain = true;
    first->number = 1;
    for (int c = CLASS_DATA; c <= CLASS_META; c++) {
        box_generate(&first->pair[c]);
        first->can_open[c] = true;
    }
    k->epoch_count = 1;
    keys_derive(k);
}

const struct epoch *
keys_epoch(const struct keys *k, uint32_t number)
{
    for (size_t i = 0; i < k->epoch_count; i++)
        if (k->epochs[i].number == number)
            return &k->epochs[i];
    return NULL;
}

const struct epoch *
keys_newest_epoch(const struct keys *k)
{
    return &k->epochs[k->epoch_count - 1];
}

bool
keys_can_open(const struct keys *k, enum chunk_class c)
{
    return k->epochs[0].can_open[c];
}

void
keys_chunk_id(const struct keys *k, uint8_t kind, struct slice plain,
              struct chunk_id *out)
{
    struct slice parts[] = { { &kind, 1 }, plain };

    hmac_sha256(&k->id_mac, parts, 2, out->bytes);
}

void
keys_content_id(const struct keys *k, struct slice content, uint8_t out[CONTENT_ID_LEN])
{
    struct slice parts[] = { SLICE("entry"), content };
    uint8_t mac[SHA256_LEN];

    hmac_sha256(&k->id_mac, parts, 2, mac);
    memcpy(out, mac, CONTENT_ID_LEN);
}

void
keys_host_tag(const struct keys *k, const uint8_t host_id[ID_LEN], char out[17])
{
    struct slice parts[] = { { host_id, ID_LEN } };
    uint8_t mac[SHA256_LEN];

    hmac_sha256(&k->name_mac, parts, 1, mac);
    text_hex(out, mac, 8);
}

/* The bundle: drtool-format(5) BUNDLES. */

static void
put_epoch(struct buf *out, const struct epoch *ep, enum role role)
{
    bool data = ep->can_open[CLASS_DATA] && (role == ROLE_ADMIN || role == ROLE_READER);
    bool meta = ep->can_open[CLASS_META] && role != ROLE_WRITER;
    size_t at = record_begin(out, BUNDLE_EPOCH);

    record_put_u64(out, EPOCH_NUMBER, ep->number);
    record_put(out, EPOCH_DATA_PUB, slice_of(ep->pair[CLASS_DATA].pub, KEY_LEN));
    record_put(out, EPOCH_META_PUB, slice_of(ep->pair[CLASS_META].pub, KEY_LEN));
    if (data)
        record_put(out, EPOCH_DATA_SEC, slice_of(ep->pair[CLASS_DATA].sec, KEY_LEN));
    if (meta)
        record_put(out, EPOCH_META_SEC, slice_of(ep->pair[CLASS_META].sec, KEY_LEN));
    record_end(out, at);
}

void
bundle_put(struct buf *out, const struct keys *k, enum role role)
{
    record_put_u64(out, BUNDLE_ROLE, role);
    record_put(out, BUNDLE_REPO, slice_of(k->repo_id, ID_LEN));
    record_put(out, BUNDLE_ROOT_PUB, slice_of(k->root_pub, KEY_LEN));
    record_put_u64(out, BUNDLE_GROUP, k->group);
    record_put(out, BUNDLE_K_ID, slice_of(k->k_id, KEY_LEN));
    record_put(out, BUNDLE_K_CUT, slice_of(k->k_cut, KEY_LEN));
    record_put(out, BUNDLE_K_DIR, slice_of(k->k_dir, KEY_LEN));
    record_put(out, BUNDLE_MAINTAIN_PUB, slice_of(k->maintain_pub, KEY_LEN));
    for (size_t i = 0; i < k->epoch_count; i++)
        put_epoch(out, &k->epochs[i], role);
    if (role == ROLE_ADMIN && k->has_root)
        record_put(out, BUNDLE_ROOT_SEED, slice_of(k->root_seed, SEED_LEN));
    if ((role == ROLE_ADMIN || role == ROLE_MAINTAIN) && k->has_maintain)
        record_put(out, BUNDLE_MAINTAIN_SEED, slice_of(k->maintain_seed, SEED_LEN));
}

static bool
get_epoch(struct slice record, struct epoch *ep)
{
    ep->number = (uint32_t)record_u64(record, EPOCH_NUMBER);
    ep->can_open[CLASS_DATA] = record_copy(record, EPOCH_DATA_SEC,
                                           ep->pair[CLASS_DATA].sec, KEY_LEN);
    ep->can_open[CLASS_META] = record_copy(record, EPOCH_META_SEC,
                                           ep->pair[CLASS_META].sec, KEY_LEN);
    return record_copy(record, EPOCH_DATA_PUB, ep->pair[CLASS_DATA].pub, KEY_LEN)
        && record_copy(record, EPOCH_META_PUB, ep->pair[CLASS_META].pub, KEY_LEN);
}

int
bundle_parse(struct slice bundle, struct keys *k, struct err *e)
{
    struct reader r = reader_of(bundle);
    struct slice v;
    uint16_t tag;

    k->role = (enum role)record_u64(bundle, BUNDLE_ROLE);
    k->group = (uint16_t)record_u64(bundle, BUNDLE_GROUP);
    bool ok = record_valid(bundle) && record_copy(bundle, BUNDLE_REPO, k->repo_id, ID_LEN)
           && record_copy(bundle, BUNDLE_ROOT_PUB, k->root_pub, KEY_LEN)
           && record_copy(bundle, BUNDLE_K_ID, k->k_id, KEY_LEN)
           && record_copy(bundle, BUNDLE_K_CUT, k->k_cut, KEY_LEN)
           && record_copy(bundle, BUNDLE_K_DIR, k->k_dir, KEY_LEN)
           && record_copy(bundle, BUNDLE_MAINTAIN_PUB, k->maintain_pub, KEY_LEN);
    while (ok && record_next(&r, &tag, &v))
        if (tag == BUNDLE_EPOCH)
            ok = k->epoch_count < EPOCHS_MAX
              && get_epoch(v, &k->epochs[k->epoch_count++]);
    if (!ok || k->epoch_count == 0)
        return err_set(e, ERR_CORRUPT, 0, "a key slot holds an incomplete bundle");
    k->has_root = record_copy(bundle, BUNDLE_ROOT_SEED, k->root_seed, SEED_LEN);
    k->has_maintain = record_copy(bundle, BUNDLE_MAINTAIN_SEED, k->maintain_seed,
                                  SEED_LEN);
    keys_derive(k);
    return 0;
}
