#include "crypto/seal.h"

#include <assert.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static_assert(KEY_LEN == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key");
static_assert(NONCE_LEN == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce");
static_assert(BOX_LEN == crypto_box_SEALBYTES, "box");
static_assert(SIGN_LEN == crypto_sign_BYTES, "signature");
static_assert(ARGON_SALT_LEN == crypto_pwhash_SALTBYTES, "salt");

void
crypto_init(void)
{
    struct rlimit no_core = { 0, 0 };

    if (sodium_init() < 0) {
        fputs("drtool: libsodium does not start on this system\n", stderr);
        abort();
    }
    setrlimit(RLIMIT_CORE, &no_core);
}

void
crypto_wipe(void *p, size_t len)
{
    sodium_memzero(p, len);
}

bool
crypto_equal(const void *a, const void *b, size_t len)
{
    return sodium_memcmp(a, b, len) == 0;
}

void *
crypto_alloc(size_t size)
{
    void *p = sodium_malloc(size);

    if (!p) {
        fprintf(stderr,
                "drtool: no locked memory for keys (%zu bytes); "
                "see ulimit -l\n",
                size);
        abort();
    }
    memset(p, 0, size);
    return p;
}

void
crypto_free(void *p)
{
    sodium_free(p);
}

void
crypto_derive(uint8_t out[KEY_LEN], const uint8_t key[KEY_LEN], const char *context,
              uint64_t number)
{
    assert(strlen(context) == crypto_kdf_CONTEXTBYTES);
    crypto_kdf_derive_from_key(out, KEY_LEN, number, context, key);
}

void
crypto_expand32(uint8_t out[KEY_LEN], const struct hmac_key *prk, struct slice info)
{
    static const uint8_t one = 1;
    struct slice parts[] = { info, { &one, 1 } };

    hmac_sha256(prk, parts, 2, out);
}

void
crypto_expand(uint8_t *out, size_t len, const uint8_t prk[KEY_LEN], struct slice info)
{
    struct hmac_key k;
    uint8_t t[SHA256_LEN];

    assert(len <= 255 * SHA256_LEN);
    hmac_key(&k, slice_of(prk, KEY_LEN));
    for (uint8_t i = 1; len > 0; i++) {
        struct slice parts[] = { { t, i > 1 ? sizeof t : 0 }, info, { &i, 1 } };
        size_t n = len < sizeof t ? len : sizeof t;
        hmac_sha256(&k, parts, 3, t);
        memcpy(out, t, n);
        out += n;
        len -= n;
    }
    sodium_memzero(&k, sizeof k);
    sodium_memzero(t, sizeof t);
}

enum suite
crypto_best_suite(void)
{
    return crypto_aead_aes256gcm_is_available() ? SUITE_AES256_GCM
                                                : SUITE_CHACHA20_POLY1305;
}

bool
crypto_suite_known(unsigned suite)
{
    return suite == SUITE_AES256_GCM || suite == SUITE_CHACHA20_POLY1305;
}

struct aead {
    EVP_CIPHER_CTX *ctx;
    EVP_CIPHER *gcm, *chacha;
};

struct aead *
aead_new(void)
{
    struct aead *a = mem_alloc(sizeof *a);

    a->ctx = EVP_CIPHER_CTX_new();
    a->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    a->chacha = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    if (!a->ctx || !a->gcm || !a->chacha) {
        fputs("drtool: libcrypto lacks AES-256-GCM or ChaCha20-Poly1305\n", stderr);
        abort();
    }
    return a;
}

void
aead_free(struct aead *a)
{
    if (!a)
        return;
    EVP_CIPHER_CTX_free(a->ctx);
    EVP_CIPHER_free(a->gcm);
    EVP_CIPHER_free(a->chacha);
    mem_free(a);
}

static const EVP_CIPHER *
cipher_of(const struct aead *a, enum suite suite)
{
    return suite == SUITE_AES256_GCM ? a->gcm : a->chacha;
}

static const uint8_t zero_nonce[12];

void
aead_seal(struct aead *a, enum suite suite, const uint8_t key[KEY_LEN], struct slice aad,
          struct slice plain, uint8_t *out)
{
    int n = 0, m = 0;

    assert(plain.len < INT32_MAX);
    int ok = EVP_EncryptInit_ex2(a->ctx, cipher_of(a, suite), key, zero_nonce, NULL) == 1
          && EVP_EncryptUpdate(a->ctx, NULL, &n, aad.ptr, (int)aad.len) == 1
          && EVP_EncryptUpdate(a->ctx, out, &n, plain.ptr, (int)plain.len) == 1
          && EVP_EncryptFinal_ex(a->ctx, out + n, &m) == 1
          && EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, out + n + m)
                 == 1;
    assert(ok && (size_t)(n + m) == plain.len);
}

int
aead_open(struct aead *a, enum suite suite, const uint8_t key[KEY_LEN], struct slice aad,
          struct slice sealed, uint8_t *out, struct err *e)
{
    uint8_t tag[TAG_LEN];
    int n = 0, m = 0;

    if (sealed.len < TAG_LEN || sealed.len > INT32_MAX)
        return err_set(e, ERR_CORRUPT, 0, "a sealed chunk has a wrong length");
    size_t len = sealed.len - TAG_LEN;
    memcpy(tag, sealed.ptr + len, TAG_LEN);
    if (EVP_DecryptInit_ex2(a->ctx, cipher_of(a, suite), key, zero_nonce, NULL) != 1
        || EVP_DecryptUpdate(a->ctx, NULL, &n, aad.ptr, (int)aad.len) != 1
        || EVP_DecryptUpdate(a->ctx, out, &n, sealed.ptr, (int)len) != 1
        || EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) != 1
        || EVP_DecryptFinal_ex(a->ctx, out + n, &m) != 1)
        return err_set(e, ERR_CORRUPT, 0, "the seal of a chunk does not hold");
    return 0;
}

void
crypto_lock(struct buf *out, const uint8_t key[KEY_LEN], const uint8_t nonce[NONCE_LEN],
            struct slice aad, struct slice plain)
{
    buf_put(out, nonce, NONCE_LEN);
    uint8_t *to = buf_room(out, plain.len + TAG_LEN);
    crypto_aead_xchacha20poly1305_ietf_encrypt(to, NULL, plain.ptr, plain.len, aad.ptr,
                                               aad.len, NULL, nonce, key);
    out->len += plain.len + TAG_LEN;
}

int
crypto_unlock(struct buf *out, const uint8_t key[KEY_LEN], struct slice aad,
              struct slice locked, struct err *e)
{
    if (locked.len < NONCE_LEN + TAG_LEN)
        return err_set(e, ERR_CORRUPT, 0, "a sealed record is too short");
    size_t len = locked.len - NONCE_LEN - TAG_LEN;
    uint8_t *to = buf_room(out, len);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(to, NULL, NULL, locked.ptr + NONCE_LEN,
                                                   len + TAG_LEN, aad.ptr, aad.len,
                                                   locked.ptr, key)
        != 0)
        return err_set(e, ERR_CORRUPT, 0, "the seal of a record does not hold");
    out->len += len;
    return 0;
}

void
box_generate(struct box_pair *p)
{
    crypto_box_keypair(p->pub, p->sec);
}

/* crypto_box_seal() takes its ephemeral pair from the kernel; this is the same
 * construction with the pair from a seed, and is opened by the same call. */
void
box_seal(uint8_t *out, const uint8_t pub[KEY_LEN], const uint8_t seed[KEY_LEN],
         struct slice plain)
{
    uint8_t sec[crypto_box_SECRETKEYBYTES], nonce[crypto_box_NONCEBYTES];
    crypto_generichash_state h;

    crypto_box_seed_keypair(out, sec, seed);
    crypto_generichash_init(&h, NULL, 0, sizeof nonce);
    crypto_generichash_update(&h, out, KEY_LEN);
    crypto_generichash_update(&h, pub, KEY_LEN);
    crypto_generichash_final(&h, nonce, sizeof nonce);
    int rc = crypto_box_easy(out + KEY_LEN, plain.ptr, plain.len, nonce, pub, sec);
    assert(rc == 0);
    sodium_memzero(sec, sizeof sec);
}

int
box_open(uint8_t *out, const struct box_pair *p, struct slice sealed, struct err *e)
{
    if (sealed.len < BOX_LEN
        || crypto_box_seal_open(out, sealed.ptr, sealed.len, p->pub, p->sec) != 0)
        return err_set(e, ERR_CORRUPT, 0, "a sealed session key does not open");
    return 0;
}

void
sign_public(uint8_t pub[KEY_LEN], const uint8_t seed[SEED_LEN])
{
    uint8_t sec[crypto_sign_SECRETKEYBYTES];

    crypto_sign_seed_keypair(pub, sec, seed);
    sodium_memzero(sec, sizeof sec);
}

/* What is signed: the label, so that no signature serves two purposes, and
 * the hash, so that 16 MiB are not hashed twice by Ed25519. */
static size_t
message(uint8_t out[128], const char *label, struct slice data)
{
    size_t len = strlen(label);

    assert(len + SHA256_LEN <= 128);
    memcpy(out, label, len);
    sha256(data, out + len);
    return len + SHA256_LEN;
}

void
sign_make(uint8_t out[SIGN_LEN], const uint8_t seed[SEED_LEN], const char *label,
          struct slice data)
{
    uint8_t m[128], pub[KEY_LEN], sec[crypto_sign_SECRETKEYBYTES];
    size_t len = message(m, label, data);

    crypto_sign_seed_keypair(pub, sec, seed);
    crypto_sign_detached(out, NULL, m, len, sec);
    sodium_memzero(sec, sizeof sec);
}

int
sign_check(const uint8_t sig[SIGN_LEN], const uint8_t pub[KEY_LEN], const char *label,
           struct slice data, struct err *e)
{
    uint8_t m[128];
    size_t len = message(m, label, data);

    if (crypto_sign_verify_detached(sig, m, len, pub) != 0)
        return err_set(e, ERR_FORGED, 0, "the signature does not fit");
    return 0;
}

void
crypto_stretch_cost(uint32_t *passes, uint32_t *memory_kib)
{
    *passes = crypto_pwhash_OPSLIMIT_MODERATE;
    *memory_kib = crypto_pwhash_MEMLIMIT_MODERATE / 1024;
}

int
crypto_stretch(uint8_t out[64], struct slice passphrase,
               const uint8_t salt[ARGON_SALT_LEN], uint32_t passes, uint32_t memory_kib,
               struct err *e)
{
    if (passes < 1 || passes > 16 || memory_kib < 8 || memory_kib > 4u << 20)
        return err_set(e, ERR_CORRUPT, 0, "a key slot asks for %u passes over %u KiB",
                       passes, memory_kib);
    if (crypto_pwhash(out, 64, (const char *)passphrase.ptr, passphrase.len, salt, passes,
                      (size_t)memory_kib * 1024, crypto_pwhash_ALG_ARGON2ID13)
        != 0)
        return err_set(e, ERR_IO, 0, "not enough memory for Argon2id (%u MiB)",
                       memory_kib / 1024);
    return 0;
}

uint64_t
crypto_short_hash(const uint8_t key[16], struct slice data)
{
    uint8_t h[crypto_shorthash_BYTES];

    crypto_shorthash(h, data.ptr, data.len, key);
    return get_u64(h);
}
