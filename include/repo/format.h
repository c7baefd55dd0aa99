/*
 * format: the header that every object starts with, and the names of objects.
 *
 * drtool-format(5) is the truth about these bytes; the constants here repeat
 * it. A header's feature bits say what a program must know to read, to write
 * beside, or to delete the object.
 */
#ifndef REPO_FORMAT_H
#define REPO_FORMAT_H

#include "base/buf.h"
#include "base/err.h"

#define HEADER_LEN 64
#define FORMAT_MAJOR 1
#define ID_LEN 16 /* repository, target, session and host ids */

enum object_type { /* the letter in the header */
                   OBJECT_REPO = 'R',
                   OBJECT_SLOT = 'K',
                   OBJECT_CONF = 'C',
                   OBJECT_DATA = 'P',
                   OBJECT_META = 'M',
                   OBJECT_INDEX = 'I',
                   OBJECT_SNAP = 'S',
                   OBJECT_DONE = 'D',
                   OBJECT_GONE = 'G',
                   OBJECT_PIN = 'N',
                   OBJECT_MARK = 'W',
                   OBJECT_SWEEP = 'X',
                   OBJECT_DRILL = 'E',
                   OBJECT_LOG = 'L',
};

struct header {
    enum object_type type;
    uint16_t group;
    uint8_t repo[ID_LEN];
    uint8_t session[ID_LEN];
    uint32_t must_write, must_delete; /* unknown feature bits, as read */
};

void header_put(struct buf *out, const struct header *h);
/* Checks magic, CRC, version, feature bits, and that the object is a `type` of
 * repository `repo` (NULL: of any). ERR_CORRUPT, ERR_FORGED (other repository
 * or type) or ERR_UNSUPPORTED (made by a newer drtool). */
MUST_USE int header_parse(struct slice object, enum object_type type, const uint8_t *repo,
                          struct header *out, struct err *e);

/* The label that begins a signature or the associated data of an object. */
const char *format_label(enum object_type type);

/* "pack/4f/4f02…", 72 characters and a NUL. */
#define PACK_KEY_LEN 72
void pack_key(char out[PACK_KEY_LEN + 1], const uint8_t name[32]);
bool pack_name(uint8_t name[32], const char *key);

/* "snap/<host 16>/<seq 10>-<sha256 64>", the same for done, gone and pin. */
#define CHAIN_KEY_LEN (5 + 16 + 1 + 10 + 1 + 64)
#define CHAIN_SEQ_MAX UINT64_C(9999999999)
struct chain_name {
    char kind[5];  /* "snap", "done", "gone", "pin" */
    char host[17]; /* 16 hex digits */
    uint64_t seq;  /* at most CHAIN_SEQ_MAX */
    uint8_t sha256[32];
};
void chain_key(char out[CHAIN_KEY_LEN + 1], const struct chain_name *n);
bool chain_name(struct chain_name *out, const char *key);

/* True when the 64 hex digits at the end of `key` (before a dot) are the
 * object's SHA-256; for keys without a hash, true. */
bool format_hash_fits(const char *key, struct slice object);
/* The hash in the name; false when it has none. */
bool format_hash_of(const char *key, uint8_t out[32]);

#endif
