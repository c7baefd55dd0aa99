/*
 * seal: authenticated encryption, sealed boxes, signatures, key derivation.
 *
 * Bulk chunks use libcrypto's AEADs under keys that are used once; everything
 * small uses libsodium. A failed opening says only that: ERR_CORRUPT.
 * Source: NIST SP 800-38D, RFC 8439, RFC 5869, RFC 8032, libsodium's
 * documentation of sealed boxes, XChaCha20-Poly1305 and crypto_kdf.
 */
#ifndef CRYPTO_SEAL_H
#define CRYPTO_SEAL_H

#include "base/buf.h"
#include "crypto/hash.h"

#define KEY_LEN 32
#define TAG_LEN 16
#define NONCE_LEN 24
#define BOX_LEN 48  /* what a sealed box adds */
#define SIGN_LEN 64 /* a signature */
#define SEED_LEN 32 /* an Ed25519 private key, as its seed */

void crypto_init(void); /* once, before anything else; ends the program on failure */
void crypto_wipe(void *p, size_t len);
bool crypto_equal(const void *a, const void *b, size_t len); /* constant time */
void *crypto_alloc(size_t size); /* locked, guarded, not in core dumps, zeroed */
void crypto_free(void *p);       /* wipes */

/* Long-lived keys from long-lived keys: crypto_kdf with an 8-byte context. */
void crypto_derive(uint8_t out[KEY_LEN], const uint8_t key[KEY_LEN], const char *context,
                   uint64_t number);
/* HKDF-Expand (RFC 5869 2.3) with SHA-256; `prk` is a uniform key. */
void crypto_expand(uint8_t *out, size_t len, const uint8_t prk[KEY_LEN],
                   struct slice info);
void crypto_expand32(uint8_t out[KEY_LEN], const struct hmac_key *prk, struct slice info);

/* AEAD suites of chunks; the values are part of the format. */
enum suite { SUITE_AES256_GCM = 1, SUITE_CHACHA20_POLY1305 = 2 };
enum suite crypto_best_suite(void); /* AES where the CPU has it */
bool crypto_suite_known(unsigned suite);

struct aead; /* reusable state, one thread at a time */
struct aead *aead_new(void);
void aead_free(struct aead *a);
DEFINE_CLEANUP(struct aead, aead_free)

/* Nonce 0: `key` must never have sealed anything. `out` gets plain.len bytes
 * and the tag; it may be where `plain` is. */
void aead_seal(struct aead *a, enum suite suite, const uint8_t key[KEY_LEN],
               struct slice aad, struct slice plain, uint8_t *out);
/* `out` gets sealed.len - TAG_LEN bytes, to be used only after 0. */
MUST_USE int aead_open(struct aead *a, enum suite suite, const uint8_t key[KEY_LEN],
                       struct slice aad, struct slice sealed, uint8_t *out,
                       struct err *e);

/* XChaCha20-Poly1305 for small things: appends nonce | sealed | tag. */
void crypto_lock(struct buf *out, const uint8_t key[KEY_LEN],
                 const uint8_t nonce[NONCE_LEN], struct slice aad, struct slice plain);
/* Appends the plain bytes. */
MUST_USE int crypto_unlock(struct buf *out, const uint8_t key[KEY_LEN], struct slice aad,
                           struct slice locked, struct err *e);

struct box_pair {
    uint8_t pub[KEY_LEN];
    uint8_t sec[KEY_LEN];
};
void box_generate(struct box_pair *p);
/* Seals to a public key: out holds plain.len + BOX_LEN. `seed` is 32 random
 * bytes, for the ephemeral pair, so that a test can repeat it. */
void box_seal(uint8_t *out, const uint8_t pub[KEY_LEN], const uint8_t seed[KEY_LEN],
              struct slice plain);
MUST_USE int box_open(uint8_t *out, const struct box_pair *p, struct slice sealed,
                      struct err *e);

void sign_public(uint8_t pub[KEY_LEN], const uint8_t seed[SEED_LEN]);
/* Signs label | SHA-256(data). */
void sign_make(uint8_t out[SIGN_LEN], const uint8_t seed[SEED_LEN], const char *label,
               struct slice data);
MUST_USE int sign_check(const uint8_t sig[SIGN_LEN], const uint8_t pub[KEY_LEN],
                        const char *label, struct slice data, struct err *e);

/* 64 bytes from a passphrase by Argon2id; over 4 GiB or 16 passes is refused. */
#define ARGON_SALT_LEN 16
MUST_USE int crypto_stretch(uint8_t out[64], struct slice passphrase,
                            const uint8_t salt[ARGON_SALT_LEN], uint32_t passes,
                            uint32_t memory_kib, struct err *e);
void crypto_stretch_cost(uint32_t *passes, uint32_t *memory_kib); /* MODERATE */

/* A keyed 64-bit hash for cut decisions: SipHash-2-4. */
uint64_t crypto_short_hash(const uint8_t key[16], struct slice data);

#endif
