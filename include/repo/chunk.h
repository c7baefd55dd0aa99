/*
 * chunk: a piece of content, named by a keyed hash and sealed once.
 *
 * A session key per class seals all chunks of one run; each chunk has a key
 * of its own, derived from it and everything that tells what the chunk is, so
 * the nonce can be zero. The session key travels, sealed to the class's
 * public key, in the key table of every pack that needs it.
 * Bytes: drtool-format(5) CHUNKS.
 */
#ifndef REPO_CHUNK_H
#define REPO_CHUNK_H

#include "base/random.h"
#include "codec/zip.h"
#include "repo/keys.h"

#define CHUNK_RAW_MAX (4u << 20) /* plain bytes */
#define CHUNK_STORED_MAX (CHUNK_RAW_MAX + 65536)
#define SEALED_KEY_LEN (KEY_LEN + BOX_LEN)

enum chunk_kind {                   /* part of the format */
                  KIND_FILE = 1,    /* bytes of one file */
                  KIND_BUNDLE = 2,  /* contents of small files, end to end */
                  KIND_NODE = 3,    /* a node of the manifest */
                  KIND_EXTENTS = 4, /* a node of an extent tree */
                  KIND_XATTRS =
                      5, /* extended attributes that are too big for the manifest */
                  KIND_CONFIG = 6, /* the configuration, without secrets */
                  KIND_LOG = 7,    /* a piece of a database's log, in no pack */
};
enum chunk_class chunk_class_of(enum chunk_kind kind);
bool chunk_kind_known(unsigned kind);

enum chunk_encoding { ENCODING_RAW = 0, ENCODING_ZSTD = 1 };

/* One entry of a pack's key table. */
#define CHUNK_KEY_LEN 88
struct chunk_key {
    enum chunk_class class;
    enum suite suite;
    uint32_t epoch;
    uint8_t sealed[SEALED_KEY_LEN];
};
void chunk_key_put(struct buf *out, const struct chunk_key *k);
bool chunk_key_parse(struct slice s, struct chunk_key *k);

/* One entry of a pack's directory, and where a chunk lies. */
#define CHUNK_RECORD_LEN 52
struct chunk_record {
    struct chunk_id id;
    uint32_t counter; /* unique in its session and class */
    uint32_t offset;  /* in the pack */
    uint32_t stored;  /* bytes in the pack, the tag included */
    uint32_t raw;     /* plain bytes */
    uint8_t key;      /* number in the pack's key table */
    uint8_t encoding;
    uint8_t kind;
};

/* The keys with which one run seals. Shared by threads; read-only. */
struct session {
    uint8_t id[ID_LEN];
    struct chunk_key key[3]; /* by class */
    struct hmac_key prk[3];
};
struct session *session_new(const struct keys *k, struct random *r);
void session_free(struct session *s);
DEFINE_CLEANUP(struct session, session_free)

/* What one thread needs to seal and open. */
struct chunk_tools {
    struct aead *aead;
    struct zip *zip;
    struct buf packed; /* room for compression */
};
void chunk_tools_init(struct chunk_tools *t, int level);
void chunk_tools_release(struct chunk_tools *t);

/* Compresses (unless `store`) and seals `plain`; fills all of `rec` but offset
 * and key; `out` needs chunk_room(plain.len) bytes. */
size_t chunk_room(size_t plain);
void chunk_seal(struct chunk_tools *t, const struct keys *k, const struct session *s,
                enum chunk_kind kind, const struct chunk_id *id, uint32_t counter,
                struct slice plain, bool store, uint8_t *out, struct chunk_record *rec);

/* Opens a chunk into out[rec->raw] and checks that it is the one `rec` names.
 * `prk` is the opened session key of its table entry. */
MUST_USE int chunk_open(struct chunk_tools *t, const struct keys *k, enum suite suite,
                        const struct hmac_key *prk, const struct chunk_record *rec,
                        struct slice sealed, uint8_t *out, struct err *e);

/* Opens a sealed session key; ERR_DENIED when these keys may not. */
MUST_USE int chunk_key_open(const struct keys *k, const struct chunk_key *key,
                            struct hmac_key *prk, struct err *e);

#endif
