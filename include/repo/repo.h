/*
 * repo: one repository: its keys, its fleet, its local state, opened together.
 *
 * repo_open() unlocks the keys (from a slot kept locally or on a target),
 * asks each target whether it is ours, and follows the chain of configuration
 * records. Targets that are away, empty or foreign are left out with a
 * warning; only when none is left and nothing is kept locally does it fail. A
 * place whose header is damaged, but whose signed records show that it is ours,
 * is read; who writes gives it a new header first, or leaves it out.
 *
 * Loading chunks may be done from any thread; everything else belongs to the
 * thread that opened.
 */
#ifndef REPO_REPO_H
#define REPO_REPO_H

#include "conf/config.h"
#include "fleet/fleet.h"
#include "repo/index.h"
#include "repo/snapshot.h"

struct repo;

struct repo_options {
    const struct conf *conf;
    bool write;                   /* takes the lock of this host, starts no lanes yet */
    const struct buf *passphrase; /* or recovery code, instead of the configuration's
                                   * key; may be NULL */
    bool temporary;     /* keeps nothing: a state folder of its own, removed at close */
    bool log;           /* for a database's log: with the state, spool and lock of its
                         * own, so that it waits for no backup, and without the index */
    bool as_found;      /* mends no target's header and records: verify tells of them */
    int64_t wait_ms;    /* for the lock */
    uint64_t seed;      /* of a test; 0: the kernel's random numbers */
    int64_t breaker_ms; /* of the targets, for tests; 0: the usual */
    struct storage *(*wrap)(void *arg, const char *target, struct storage *inner);
    void *wrap_arg;
};

MUST_USE int repo_open(const struct repo_options *o, struct repo **out, struct err *e);
void repo_close(struct repo *r);
DEFINE_CLEANUP(struct repo, repo_close)

/* Makes a repository on all targets of the configuration, which must be
 * reachable and empty, and the key file it names. `passphrase` may be NULL.
 * The recovery code is told once. */
MUST_USE int repo_init(const struct repo_options *o, const struct buf *passphrase,
                       char code[CODE_TEXT_LEN + 1], struct err *e);

/* Makes this host a member of the repository that its targets hold, with a key of
 * role admin, and a key file for what it will do alone. */
struct join_options {
    const char *name;     /* of the host; NULL: the system's */
    const char *key_file; /* to be made; NULL: none */
    enum role role;       /* that it gets */
};
struct join_result {
    char host[65];
    unsigned namesakes; /* other hosts that are called so */
    unsigned hosts;     /* that the repository knows now */
    char slot[22];      /* of the key file; "": none was made */
};
/* ERR_EXISTS when this host is a member already and nothing is left to be made. The
 * open repository is *out, also when only the key file could not be made. */
MUST_USE int repo_join(const struct repo_options *o, const struct join_options *j,
                       struct join_result *res, struct repo **out, struct err *e);

/* Makes an empty place of the configuration a target: header, slots and
 * configuration records. What it lacks beyond that is sync's work. ERR_DENIED
 * without role admin, ERR_EXISTS when it is a target already.
 *
 * A place that is another target of ours than this host knew, and was made before that
 * one, is refused by every run: this takes it for what it is now, with any key. */
MUST_USE int repo_target_add(struct repo *r, struct target *t, struct err *e);

const struct keys *repo_keys(const struct repo *r);
struct fleet *repo_fleet(struct repo *r);
struct state *repo_state(struct repo *r);
struct index *repo_index(struct repo *r);
struct random *repo_random(struct repo *r);
const char *repo_dir(const struct repo *r);
/* The level of zstd that suits the moment. */
int repo_level(struct repo *r);
const char *repo_host_name(const struct repo *r);
const uint8_t *repo_host_id(const struct repo *r);
const uint8_t *repo_conf_head(const struct repo *r);

/* Names of hosts that the configuration records know; NULL: unknown. */
const char *repo_host_of(const struct repo *r, const uint8_t id[ID_LEN]);
const char *repo_host_tagged(const struct repo *r, const char *tag);

/* What is wrong with the header of a target that is ours by its records; NULL:
 * nothing. *missing: it is not there. */
const struct err *repo_header_damage(const struct repo *r, size_t target, bool *missing);
/* Writes it anew. ERR_DENIED without role admin. */
MUST_USE int repo_mend_header(struct repo *r, size_t target, struct err *e);

/* The configuration records, oldest first. */
typedef int repo_record_fn(void *arg, const char *key, struct slice object,
                           struct err *e);
MUST_USE int repo_records(struct repo *r, repo_record_fn *fn, void *arg, struct err *e);

/* Slots: fn gets each slot of the first target that answers. */
typedef int repo_slot_fn(void *arg, const char *key, const struct slot_info *info,
                         struct err *e);
MUST_USE int repo_slots(struct repo *r, repo_slot_fn *fn, void *arg, struct err *e);
/* What is a target's copy of a slot worth? Slots carry no hash: a copy is right when
 * this host has opened it, or else when most targets have the same. What should be
 * there is appended to `good`; with nothing appended it cannot be told, and *why says
 * the reason. One of slot_copy; -1 when the target does not answer. */
enum slot_copy { SLOT_RIGHT, SLOT_WRONG, SLOT_MISSING };
MUST_USE int repo_slot_judge(struct repo *r, const struct target *t, const char *key,
                             struct buf *good, struct err *why, struct err *e);
MUST_USE int repo_slot_add(struct repo *r, enum role role, enum slot_kind kind,
                           struct slice secret, char key[22], struct err *e);
/* The same with a new key file, which stays only if its slot is on all targets.
 * ERR_EXISTS when there is such a file. */
MUST_USE int repo_key_file_add(struct repo *r, enum role role, const char *path,
                               char key[22], struct err *e);
/* ERR_USAGE when it is the last slot of role admin. */
MUST_USE int repo_slot_remove(struct repo *r, const char *key, struct err *e);

/* Reads the lists of index segments and prune records of every target that is
 * up, and adds new segments to the local index. After it repo_usable() and
 * loading work. */
MUST_USE int repo_load_index(struct repo *r, struct err *e);
/* Does a pack count for deduplication: listed by a target, named by no prune
 * record, and not lost? An index_usable_fn; arg is the repo. */
bool repo_usable(void *arg, uint32_t pack);
/* Is it listed by (and not condemned on) this target? */
bool repo_listed(struct repo *r, size_t target, uint32_t pack);
/* Starts the fleet's lanes, which refuse what a target's prune records name, and
 * look whether a target that returns is still ours. */
MUST_USE int repo_start(struct repo *r, struct err *e);
/* Named by a mark or sweep there? */
bool repo_refused(struct repo *r, const struct target *t, const char *key);
/* The same just before a put, and by records that are not old: 1 it may be put; 0 it is
 * named; -1 they cannot be read. arg is the repo. Any thread. */
MUST_USE int repo_may_put(void *arg, struct target *t, const char *key, struct err *e);
/* Lists gc/ of one target anew, for the commit; the packs named there. */
MUST_USE int repo_load_gc(struct repo *r, struct target *t, size_t index, struct err *e);

/* Remembers that no target has a pack, though all of them were asked. From the
 * next run on what it held is stored anew, until the pack is back. */
MUST_USE int repo_note_lost(struct repo *r, const uint8_t name[32], struct err *e);

/* Loads a metadata chunk; a node_load_fn with the repo as arg. */
int repo_load_node(void *arg, enum chunk_kind kind, const struct chunk_id *id,
                   struct buf *out, struct err *e);
/* Keeps a metadata chunk just made in the local cache. */
void repo_cache_node(struct repo *r, const struct chunk_id *id, struct slice plain);

/* Where to read a chunk: a copy in a pack that counts, else in any that was
 * finished. 1, 0, -1. */
MUST_USE int repo_find(struct repo *r, const struct chunk_id *id, struct location *out,
                       struct err *e);
/* Loads and checks a chunk from wherever a good copy is, beginning at `at` (which
 * repo_find() gave): from every target, then from other packs that hold it. A
 * chunk that is nowhere is ERR_CORRUPT. */
MUST_USE int repo_load_anywhere(struct repo *r, struct chunk_tools *t,
                                struct target *from, const struct chunk_id *id,
                                const struct location *at, uint8_t *out, struct err *e);

/* Loads and checks one chunk into out[at->raw]. `from` NULL: any target. */
MUST_USE int repo_load_chunk(struct repo *r, struct chunk_tools *t, struct target *from,
                             const struct chunk_id *id, const struct location *at,
                             uint8_t *out, struct err *e);
/* Opens a chunk whose sealed bytes the caller has read. */
MUST_USE int repo_open_chunk(struct repo *r, struct chunk_tools *t,
                             const struct chunk_id *id, const struct location *at,
                             struct slice sealed, uint8_t *out, struct err *e);

/* Takes a finished pack: into the queue of every target, among the pending
 * ones, and into the local index under `number`. Publishes an index segment
 * when enough are pending. */
MUST_USE int repo_store_pack(struct repo *r, struct pack_done *p, uint32_t number,
                             struct err *e);
/* Publishes an index segment of the pending packs, if there are any. */
MUST_USE int repo_publish_index(struct repo *r, struct err *e);

/* Rebuilds a pack that one target must not take (or has lost) under a new
 * name, from what another target or the spool holds. */
MUST_USE int repo_repack(struct repo *r, const uint8_t name[32], uint64_t size,
                         struct err *e);

/* Snapshots. */
struct snapshot_row {
    char key[CHAIN_KEY_LEN + 1];
    struct chain_name name;
    uint32_t snap, done, gone; /* bit i: target i has it */
    uint32_t doubted;          /* bit i: target i has a done/ that nobody believes */
    bool checked;              /* its host has signed it under this name */
    bool loaded;
    struct snapshot info; /* when loaded */
};
/* One that a target holds complete, as its host has signed, and that none gives. */
struct snapshot_unread {
    struct chain_name name;
    struct err why;
};
struct snapshot_list {
    struct snapshot_row *rows; /* oldest first by start, then host and seq */
    size_t count, cap;
    struct snapshot_row *lost; /* complete once, and no target has the object */
    size_t lost_count, lost_cap;
    struct snapshot_unread *unread; /* those that are lost, too */
    size_t unread_count, unread_cap;
    uint32_t asked; /* targets that answered */
};
void snapshot_list_release(struct snapshot_list *l);
/* Lists all snapshots that are not gone everywhere, and those that were lost. What
 * cannot be opened is warned of and left out; with a key that opens no metadata
 * the rows are checked and not loaded. */
MUST_USE int repo_snapshots(struct repo *r, struct snapshot_list *out, struct err *e);
/* Did a target show less than this host has seen there? */
bool repo_rollback_seen(const struct repo *r);
/* Is it committed on at least one target? */
bool snapshot_committed(const struct snapshot_row *row);
/* Of the same source of the same host? Both are loaded then. */
bool snapshot_same_source(const struct snapshot_row *a, const struct snapshot_row *b);
/* Is row `k` the newest of its source and host that is committed anywhere? */
bool snapshot_is_newest(const struct snapshot_list *l, size_t k);
/* Finds [HOST:]SOURCE[@WHEN], SOURCE@latest or an id prefix. The latest is not told
 * from what can be read alone: when the same host has made a later one which is complete
 * and cannot be read, it is an error of that kind, and an older one has to be named. */
MUST_USE int repo_find_snapshot(const struct snapshot_list *l, const char *text,
                                struct snapshot_row **out, struct err *e);

/* The index segments (their keys, each with its NUL) that a target needs before a
 * snapshot on those packs can be restored from it alone. ERR_CORRUPT: there are none
 * for some. Called by one thread for each target. */
MUST_USE int repo_index_gaps(struct repo *r, size_t target, struct slice packs,
                             struct buf *keys, struct err *e);
/* A segment was copied to the target: asks it for that one, since its lists may be late,
 * and knows what it names as listed there. 1; 0 it is not there; -1. */
MUST_USE int repo_take_segment(struct repo *r, size_t target, const char *key,
                               struct err *e);

/* Makes a snapshot's object: fills host, sequence, chain and id of `s`, queues
 * it for every target, and remembers `packs` (32-byte names) for the commit. The
 * one it is a successor of (`replaced`; NULL: none) waits for no commit from then
 * on, but to be voided on every target. All of it, or nothing on failure. */
MUST_USE int repo_store_snapshot(struct repo *r, const struct session *session,
                                 struct snapshot *s, const char *replaced,
                                 struct slice packs, char key[CHAIN_KEY_LEN + 1],
                                 struct err *e);

/* Commits a snapshot whose object target `t` has: checks gc/, presence of its
 * packs, puts done/, and looks once more. 1 committed; 0 a pack is gone there
 * (its name is appended to `missing`, 32 bytes each; with none appended the
 * snapshot can never be completed there and nothing waits for it any more: it is
 * too old, voided, or not there and not on its way); -1. */
MUST_USE int repo_commit(struct repo *r, struct target *t, size_t index,
                         const char *snapshot_key, struct slice packs,
                         struct buf *missing, struct err *e);
/* Asks the target anew whether it has the snapshot, complete and not gone. 1 and
 * its object, 0, -1. */
MUST_USE int repo_is_done(struct repo *r, struct target *t, const char *snapshot_key,
                          struct object_info *snap, struct err *e);
/* Has the snapshot lain there for so long that it cannot be completed any more?
 * 1, 0, -1 (NOT_FOUND: it is not there). */
MUST_USE int repo_too_old(struct target *t, const char *snapshot_key, struct err *e);
/* Puts gone/ (void) for a snapshot on a target. */
MUST_USE int repo_void(struct repo *r, struct target *t, const char *snapshot_key,
                       struct err *e);

#endif
