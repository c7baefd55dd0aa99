/*
 * keys: the keys of a repository, and the slots that keep them.
 *
 * A slot is an object that wraps a bundle: the keys of one role, sealed under
 * a passphrase, a key file or a recovery code. All key material lives in
 * locked memory, is wiped by keys_free(), and never goes into an error.
 * A `struct keys` is read-only once opened, so any thread may use it.
 */
#ifndef REPO_KEYS_H
#define REPO_KEYS_H

#include "crypto/hash.h"
#include "crypto/seal.h"
#include "repo/format.h"
#include "source/entry.h"

#define EPOCHS_MAX 16
#define BUNDLE_MAX 8192 /* bytes */
#define SLOT_MAX (BUNDLE_MAX + 512)

enum role { ROLE_ADMIN = 1, ROLE_READER = 2, ROLE_MAINTAIN = 3, ROLE_WRITER = 4 };
const char *role_name(enum role r);
bool role_parse(const char *name, enum role *out);

enum chunk_class { CLASS_DATA = 1, CLASS_META = 2 };

struct epoch {
    uint32_t number;
    struct box_pair pair[3]; /* by class */
    bool can_open[3];        /* the private half is there */
};

struct keys {
    enum role role;
    uint16_t group;
    uint8_t repo_id[ID_LEN];
    uint8_t root_pub[KEY_LEN], maintain_pub[KEY_LEN];
    uint8_t root_seed[SEED_LEN], maintain_seed[SEED_LEN];
    bool has_root, has_maintain;
    uint8_t k_id[KEY_LEN], k_cut[KEY_LEN], k_dir[KEY_LEN];
    struct epoch epochs[EPOCHS_MAX];
    size_t epoch_count;
    /* Derived by keys_derive(), see drtool-format(5) KEYS. */
    struct hmac_key id_mac, dir_prk;
    uint8_t index_key[KEY_LEN], conf_key[KEY_LEN], cache_key[KEY_LEN], host_key[KEY_LEN],
        log_key[KEY_LEN];
    struct hmac_key name_mac;
    uint8_t gear[2048], bundle_cut[16], manifest_cut[16];
};

struct keys *keys_new(void);
void keys_free(struct keys *k);
DEFINE_CLEANUP(struct keys, keys_free)
void keys_generate(struct keys *k); /* a new repository's, role admin */

const struct epoch *keys_epoch(const struct keys *k, uint32_t number); /* NULL: unknown */
const struct epoch *keys_newest_epoch(const struct keys *k);
bool keys_can_open(const struct keys *k, enum chunk_class c);

/* Ids. The kind is the first byte of what is hashed. */
void keys_chunk_id(const struct keys *k, uint8_t kind, struct slice plain,
                   struct chunk_id *out);
void keys_content_id(const struct keys *k, struct slice content,
                     uint8_t out[CONTENT_ID_LEN]);
void keys_host_tag(const struct keys *k, const uint8_t host_id[ID_LEN], char out[17]);

/* What opens a slot. */
enum slot_kind { SLOT_PASSPHRASE = 1, SLOT_FILE = 2, SLOT_CODE = 3 };
const char *slot_kind_name(enum slot_kind k);

/* Builds a slot object for `role`; `key` gets its name, "keys/…". */
MUST_USE int slot_make(const struct keys *k, enum role role, enum slot_kind kind,
                       struct slice secret, struct buf *out, char key[22], struct err *e);
/* Opens it: 1 and *out, 0 when the secret is not this slot's, -1 when the slot
 * is damaged. */
MUST_USE int slot_open(struct slice object, enum slot_kind kind, struct slice secret,
                       struct keys **out, struct err *e);
struct slot_info {
    enum slot_kind kind;
    enum role role;
    uint8_t repo_id[ID_LEN];
};
MUST_USE int slot_info(struct slice object, struct slot_info *out, struct err *e);

/* Key files and recovery codes as text. */
#define KEY_FILE_SECRET 32
#define CODE_SECRET 20
#define CODE_TEXT_LEN 44 /* nine groups of four, eight dashes */
void key_file_text(const uint8_t secret[KEY_FILE_SECRET], struct buf *out);
MUST_USE int key_file_parse(struct slice text, uint8_t secret[KEY_FILE_SECRET],
                            struct err *e);
void code_text(const uint8_t secret[CODE_SECRET], char out[CODE_TEXT_LEN + 1]);
/* Case, dashes and blanks do not matter; O is 0, I and L are 1. A mistyped
 * code fails its check characters: ERR_USAGE. */
MUST_USE int code_parse(const char *text, uint8_t secret[CODE_SECRET], struct err *e);

#endif
