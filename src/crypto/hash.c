#include "crypto/hash.h"

#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

/* The low-level SHA256_ calls are deprecated in OpenSSL 3 but are the only
 * ones that let a state be copied without an allocation per chunk. */
#define OPENSSL_SUPPRESS_DEPRECATED
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <openssl/sha.h>

struct sha256 {
    SHA256_CTX ctx;
};

void
sha256(struct slice data, uint8_t out[SHA256_LEN])
{
    SHA256(data.ptr, data.len, out);
}

struct sha256 *
sha256_new(void)
{
    struct sha256 *h = mem_alloc(sizeof *h);

    sha256_reset(h);
    return h;
}

void
sha256_reset(struct sha256 *h)
{
    SHA256_Init(&h->ctx);
}

void
sha256_feed(struct sha256 *h, struct slice data)
{
    SHA256_Update(&h->ctx, data.ptr, data.len);
}

void
sha256_end(struct sha256 *h, uint8_t out[SHA256_LEN])
{
    SHA256_Final(out, &h->ctx);
}

void
sha256_free(struct sha256 *h)
{
    if (h)
        OPENSSL_cleanse(h, sizeof *h);
    mem_free(h);
}

static void
pad_state(uint32_t out[8], struct slice key, uint8_t fill)
{
    uint8_t block[64];
    SHA256_CTX c;

    memset(block, fill, sizeof block);
    for (size_t i = 0; i < key.len; i++)
        block[i] ^= key.ptr[i];
    SHA256_Init(&c);
    SHA256_Update(&c, block, sizeof block);
    for (int i = 0; i < 8; i++)
        out[i] = c.h[i];
    OPENSSL_cleanse(block, sizeof block);
    OPENSSL_cleanse(&c, sizeof c);
}

void
hmac_key(struct hmac_key *k, struct slice key)
{
    assert(key.len <= 64);
    pad_state(k->inner, key, 0x36);
    pad_state(k->outer, key, 0x5c);
}

static void
resume(SHA256_CTX *c, const uint32_t state[8])
{
    SHA256_Init(c);
    for (int i = 0; i < 8; i++)
        c->h[i] = state[i];
    c->Nl = 512; /* one block of 64 bytes has gone in */
}

void
hmac_sha256(const struct hmac_key *k, const struct slice *parts, size_t n,
            uint8_t out[SHA256_LEN])
{
    SHA256_CTX c;

    resume(&c, k->inner);
    for (size_t i = 0; i < n; i++)
        SHA256_Update(&c, parts[i].ptr, parts[i].len);
    SHA256_Final(out, &c);
    resume(&c, k->outer);
    SHA256_Update(&c, out, SHA256_LEN);
    SHA256_Final(out, &c);
}

void
md5(struct slice data, uint8_t out[16])
{
    unsigned len = 16;

    int ok = EVP_Digest(data.ptr, data.len, out, &len, EVP_md5(), NULL);
    assert(ok == 1 && len == 16);
}

void
base64(char *out, struct slice data)
{
    EVP_EncodeBlock((unsigned char *)out, data.ptr, (int)data.len);
}
