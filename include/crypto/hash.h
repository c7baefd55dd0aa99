/*
 * hash: SHA-256 (libcrypto, FIPS 180-4) in one go or in pieces.
 */
#ifndef CRYPTO_HASH_H
#define CRYPTO_HASH_H

#include "base/buf.h"

#define SHA256_LEN 32

void sha256(struct slice data, uint8_t out[SHA256_LEN]);

struct sha256; /* one running hash; one thread at a time */
struct sha256 *sha256_new(void);
void sha256_reset(struct sha256 *h);
void sha256_feed(struct sha256 *h, struct slice data);
void sha256_end(struct sha256 *h, uint8_t out[SHA256_LEN]); /* then reset before reuse */
void sha256_free(struct sha256 *h);
DEFINE_CLEANUP(struct sha256, sha256_free)

/* HMAC-SHA-256 (RFC 2104) with the key's two pads computed once. Copying the
 * struct is safe; hmac_key() wipes nothing, the owner does. */
struct hmac_key {
    uint32_t inner[8], outer[8]; /* SHA-256 states after the pads */
};
void hmac_key(struct hmac_key *k, struct slice key); /* at most 64 bytes */
/* The MAC over the concatenation of the `n` parts. */
void hmac_sha256(const struct hmac_key *k, const struct slice *parts, size_t n,
                 uint8_t out[SHA256_LEN]);

void md5(struct slice data, uint8_t out[16]); /* only for S3's Content-MD5 */

/* Base64 with padding (RFC 4648), NUL-terminated; out holds 4*(len+2)/3+1. */
void base64(char *out, struct slice data);

#endif
