/* What the files of repo/ share about an open repository. */
#ifndef REPO_IMPL_H
#define REPO_IMPL_H

#include "repo/repo.h"

#include "signed.h"

#include <pthread.h>

#define HOSTS_MAX 1024
#define CONF_RECORDS_MAX 10000
#define CONF_OBJECT_MAX 65536
#define SMALL_OBJECT_MAX ((size_t)4 << 20)
#define OPENED_KEYS 32
#define SPAN_LEN ((size_t)512 << 10)
#define SPANS 2

struct host {
    uint8_t id[ID_LEN], pub[KEY_LEN];
    char name[65];
    bool revoked;
};

struct opened_key {
    uint32_t number;
    bool used;
    struct hmac_key prk;
    enum suite suite;
};

/* A piece of a metadata pack, read ahead. */
struct span {
    uint32_t pack;
    uint64_t offset;
    struct buf bytes;
};

/* What one target's listings said. */
struct listed {
    uint8_t *packs; /* a bit per pack of the local index */
    uint32_t pack_count;
    uint8_t (*condemned)[32]; /* sorted names, from gc/ */
    size_t condemned_count, condemned_cap;
    int64_t gc_ms; /* when gc/ was asked for, by clock_boot_ms(); 0: never */
};

/* A header that is no good. Whether the place is ours nevertheless is found out
 * when the hosts are known. */
struct doubt {
    enum { HEADER_GOOD, HEADER_DAMAGED, HEADER_MISSING } header;
    bool ours;
    struct err why;
};

struct repo {
    const struct conf *conf;
    char *dir;
    char *host_dir; /* of the state that has this host's identity; NULL: of this one */
    bool temporary, write, log, as_found, index_temporary;
    int lock_fd, index_lock_fd;
    struct state *state;
    struct fleet *fleet;
    struct keys *keys;
    struct index *index;
    char *index_dir;
    struct random random;
    /* This host. */
    bool enrolled;
    uint8_t host_id[ID_LEN], *host_seed; /* locked memory */
    char host_tag[17], host_name[65];
    bool host_named; /* by its operator: remembered */
    uint64_t next_seq;
    uint8_t last_snapshot[32];
    /* The configuration records, and what follows from them. */
    struct conf_record *records;
    size_t record_count, record_cap;
    struct host *hosts;
    size_t host_count;
    int64_t conf_seq; /* of the head; -1: none */
    uint8_t conf_head[32];
    bool rollback_seen;
    struct doubt doubts[FLEET_TARGETS_MAX];
    struct kept_list *early[FLEET_TARGETS_MAX]; /* conf/, asked for beside the header */
    /* Listings. */
    struct listed listed[FLEET_TARGETS_MAX];
    uint8_t *usable; /* a bit per pack below usable_count; NULL: all are */
    uint32_t usable_count;
    struct buf lost; /* sorted names of packs that were on no target */
    pthread_mutex_t gc_lock;
    unsigned pending_packs; /* made in this run, in no index segment yet */
    size_t pending_bytes;
    /* Loading. */
    pthread_mutex_t load_lock;
    struct opened_key *opened; /* OPENED_KEYS, locked memory */
    unsigned opened_next;
    pthread_mutex_t span_lock; /* taken before load_lock */
    struct chunk_tools tools;  /* under span_lock, as the spans */
    struct span spans[SPANS];
    unsigned span_next;
};

/* unlock.c */
MUST_USE int repo_unlock(struct repo *r, const struct buf *passphrase, struct err *e);

/* repo.c: opens without asking whether this host is a member. */
MUST_USE int repo_open_as_is(const struct repo_options *o, struct repo **out,
                             struct err *e);

/* probe.c: who among the targets is ours. */
MUST_USE int repo_probe(struct repo *r, struct err *e);
/* Is a place with a bad header ours, by what its records say? True when the target
 * is up now. Its configuration records have been followed. */
bool repo_settle(struct repo *r, struct target *t, size_t index);

/* identity.c: which target a place is, by its header. */
#define REPO_OBJECT_MAX 4096
void repo_header_object(const struct keys *k, const uint8_t target_id[ID_LEN],
                        int64_t made_s, struct buf *out);
/* Is it ours, and the one that this host knows, or one that took its place? Fills the
 * target's id. ERR_FORGED, ERR_CORRUPT, ERR_UNSUPPORTED. */
MUST_USE int repo_check_header(struct repo *r, struct target *t, struct slice object,
                               struct err *e);
/* When a target is made that takes the place of this one: later than it. */
int64_t repo_made_now(struct repo *r, const struct target *t);
/* When this one was made; for a new header of the same target. */
int64_t repo_made(struct repo *r, const struct target *t);
MUST_USE int repo_keep_identity(struct repo *r, const struct target *t, int64_t made_s,
                                struct err *e);
/* A place that was refused because it is another target of ours than was known, and is
 * none of the others: takes it as that. 1; 0: it is no such place; -1. */
MUST_USE int repo_take_replaced(struct repo *r, struct target *t, struct err *e);

/* segments.c: lists index/ of a target anew, for what is known of it. */
MUST_USE int repo_list_index(struct repo *r, size_t target, struct err *e);

/* lost.c: packs that no target had when all were asked. New data does not rely on
 * them; those that are back are forgotten. */
MUST_USE int repo_load_lost(struct repo *r, struct err *e);
bool repo_lost(const struct repo *r, const uint8_t name[32]);

/* chain.c and follow.c: the configuration records. */
MUST_USE int repo_load_conf(struct repo *r, struct err *e);
/* The record that makes this host known; it follows the head. */
MUST_USE int conf_enroll(struct repo *r, struct buf *object, char key[81], struct err *e);
/* Makes the object of a record, with the root key. */
void conf_seal(const struct keys *k, const uint8_t nonce[NONCE_LEN], struct slice record,
               struct buf *object);
/* Checks a record by itself and takes it among the known ones. 1 it is new, 0 it
 * was known, -1. */
MUST_USE int conf_take(struct repo *r, struct slice object, struct err *e);
/* Takes a record just made among the known ones and remembers it. */
MUST_USE int conf_keep(struct repo *r, struct slice object, struct err *e);
/* follow.c: puts the known records on a target that it does not list. Changes nothing
 * in `r`, so a lane may call it. */
MUST_USE int conf_bring_up(struct repo *r, struct target *t, struct err *e);
void conf_release(struct repo *r);

/* host.c: this host and the others. */
MUST_USE int repo_load_host(struct repo *r, struct err *e); /* enrolls it if it may */
/* This host's identity, made when there is none; r->enrolled tells whether the
 * repository knows it. */
MUST_USE int host_load(struct repo *r, struct err *e);
/* Knows revoked hosts too: what they stored before stays readable. */
bool repo_signer(void *arg, const uint8_t signer[ID_LEN], uint8_t pub[KEY_LEN]);
/* New data is not deduplicated against what a revoked host stored. */
bool repo_revoked(const struct repo *r, const uint8_t host[ID_LEN]);
void host_new(struct repo *r);
MUST_USE int host_store(struct repo *r, struct err *e);

/* Gets snap/ from a target and checks what needs no key: hash, signature, and that
 * host and number of its name are those of its signer and its body. *header and
 * *body borrow from `object`. */
MUST_USE int repo_open_snapshot(struct repo *r, struct target *t, const char *key,
                                struct buf *object, struct slice *header,
                                struct slice *body, struct err *e);
/* Says of a listed object only that it is not to be believed; else the target (or
 * we) failed. */
bool repo_is_unbelievable(const struct err *e);

/* Opens done/ or gone/ and checks that it is about the snapshot its name tells,
 * on this target, and signed by who may: any host for done/, the snapshot's own
 * or maintenance for gone/. `snapshot` gets the snapshot's key. */
MUST_USE int repo_open_record(struct repo *r, struct target *t, const char *key,
                              enum object_type type, char snapshot[CHAIN_KEY_LEN + 1],
                              struct err *e);

/* segment.c: one index segment, as it lies on a target. */
#define SEGMENT_MAX ((size_t)120 << 20)
struct segment_pack {
    uint8_t name[32];
    uint64_t size;
    struct directory directory;
    bool revoked; /* of a host that is trusted no more */
};
typedef int segment_pack_fn(void *arg, const struct segment_pack *p, struct err *e);
/* Calls fn for each pack that a known host vouches for. */
MUST_USE int segment_read(struct repo *r, struct target *t, const char *key,
                          segment_pack_fn *fn, void *arg, struct err *e);
void segment_put_pack(const struct repo *r, struct buf *out, const uint8_t name[32],
                      uint64_t size, struct slice directory);

/* publish.c. What the state keeps of a pending pack; *p borrows from plain. */
#define PENDING_MAX PACK_DIRECTORY_MAX
MUST_USE int pending_keep(struct repo *r, const uint8_t name[32], uint64_t size,
                          struct slice directory, struct err *e);
MUST_USE int pending_open(struct repo *r, struct slice name, struct slice locked,
                          struct buf *plain, struct segment_pack *p, struct err *e);

/* renew.c: the local index again, in an empty folder before it is in use, or its
 * runs alone while it is (an index_refill_fn with the repo as arg). */
MUST_USE int repo_renew_index(struct repo *r, const struct err *why, struct err *e);
int repo_refill_index(void *arg, struct index_refill *f, struct err *e);

/* Reads a small object whose name carries its hash, from the cache or any
 * target (`from` NULL) and checks the hash. */
MUST_USE int repo_get_small(struct repo *r, struct target *from, const char *key,
                            struct buf *out, struct err *e);

#endif
