/*
 * state: what this host remembers of a repository, in SQLite.
 *
 * state.db (WAL, synchronous=FULL) holds the queue of objects that are not
 * everywhere yet, pending packs, known index segments, lost packs, target
 * states, high-water marks and runs. cache.db holds copies of checked objects and
 * nodes and may be deleted at any time. Both are a memory, never the truth:
 * losing them costs listings and transfers, no data that a target has.
 *
 * Every call may be made from any thread; calls are short and serialized.
 * Errors are ERR_IO, or ERR_FULL when the disk is full.
 */
#ifndef STATE_STATE_H
#define STATE_STATE_H

#include "base/buf.h"

struct state;

/* `dir` exists. With `temporary` nothing is fsynced (read-only use). */
MUST_USE int state_open(const char *dir, bool temporary, struct state **out,
                        struct err *e);
void state_close(struct state *s);
DEFINE_CLEANUP(struct state, state_close)

/* Several changes as one; nested calls are not allowed. The thread that began
 * holds the state until it ends: commit or abort. */
MUST_USE int state_begin(struct state *s, struct err *e);
MUST_USE int state_commit(struct state *s, struct err *e);
void state_abort(struct state *s);

/* Named values. 1 found (appended to out), 0 not, -1. */
MUST_USE int state_get(struct state *s, const char *name, struct buf *out, struct err *e);
MUST_USE int state_put(struct state *s, const char *name, struct slice value,
                       struct err *e);

/* Named values about one target. 1 found (appended to out), 0 not, -1. */
MUST_USE int state_about_get(struct state *s, const char *target, const char *name,
                             struct buf *out, struct err *e);
MUST_USE int state_about_put(struct state *s, const char *target, const char *name,
                             struct slice value, struct err *e);
/* A new place has the name of an old one: what was known of that one goes, and what
 * it was seen to take has to be sent again. */
MUST_USE int state_target_new(struct state *s, const char *target, struct err *e);
/* It is a target no longer: nothing of it is kept. */
MUST_USE int state_target_gone(struct state *s, const char *target, struct err *e);

/* The queue: object `key` still has to go to `target`. Ranks order the
 * delivery: packs, then index segments, then snapshots. */
enum queue_rank { RANK_PACK, RANK_INDEX, RANK_SNAP };

struct queue_row {
    int64_t id;
    const char *target, *key;
    uint64_t size;
    uint8_t sha256[32];
    enum queue_rank rank;
};

typedef int state_queue_fn(void *arg, const struct queue_row *row, struct err *e);

MUST_USE int state_queue_add(struct state *s, const struct queue_row *row, int64_t *id,
                             struct err *e);
/* A row that ended is remembered until state_queue_release(): who has an object
 * decides whether the spool must keep it. */
enum queue_end {
    QUEUE_WAITS,
    QUEUE_DELIVERED,
    QUEUE_DROPPED, /* not to be sent there after all, or nobody has it any more */
};
MUST_USE int state_queue_end(struct state *s, int64_t id, enum queue_end how,
                             struct err *e);
/* Those that wait, in the order added, at most `limit` rows with an id above
 * `after`; target NULL: of all targets. The callback must not call state. */
MUST_USE int state_queue_list(struct state *s, const char *target, int64_t after,
                              unsigned limit, state_queue_fn *fn, void *arg,
                              struct err *e);
/* The highest id ever given; 0: none. */
MUST_USE int state_queue_last(struct state *s, int64_t *id, struct err *e);
/* Rows and bytes that wait for one target. */
MUST_USE int state_queue_sum(struct state *s, const char *target, uint64_t *rows,
                             uint64_t *bytes, struct err *e);
/* Does any object of the rank not have arrived at the target? 1, 0, -1. */
MUST_USE int state_queue_lacks(struct state *s, const char *target, enum queue_rank rank,
                               struct err *e);
/* Calls fn for each row of `key`, also for those that ended. The callback must not
 * call state. */
typedef void state_queue_holder_fn(void *arg, const char *target, enum queue_end how);
MUST_USE int state_queue_holders(struct state *s, const char *key,
                                 state_queue_holder_fn *fn, void *arg, struct err *e);
/* Forgets the rows of `key` that ended; NULL: nothing. */
MUST_USE int state_queue_release(struct state *s, const char *key, struct err *e);
/* The first key behind `after` that has rows which ended, appended to `key`. 1, 0
 * there is none, -1. */
MUST_USE int state_queue_ended(struct state *s, const char *after, struct buf *key,
                               struct err *e);

/* Packs made here that no segment on a target names yet: the name, and the
 * record that repo/ keeps about it. Published: in a segment that is queued. */
typedef int state_blob_fn(void *arg, struct slice name, struct slice value,
                          struct err *e);
MUST_USE int state_pending_put(struct state *s, struct slice pack, struct slice record,
                               struct err *e);
MUST_USE int state_pending_published(struct state *s, struct slice pack, struct err *e);
/* Was it published, and is still pending? 1, 0, -1. */
MUST_USE int state_pending_is_published(struct state *s, struct slice pack,
                                        struct err *e);
MUST_USE int state_pending_drop(struct state *s, struct slice pack, struct err *e);
MUST_USE int state_pending_list(struct state *s, bool published_too, state_blob_fn *fn,
                                void *arg, struct err *e);
/* The first behind the row `*id` (0: of all), published or not, appended to `pack` and
 * `record`; its row is *id then. 1, 0 there are no more, -1. */
MUST_USE int state_pending_next(struct state *s, int64_t *id, struct buf *pack,
                                struct buf *record, struct err *e);

/* Index segments that are in the local index, with the numbers of their packs. */
MUST_USE int state_segment_put(struct state *s, const char *key, struct slice packs,
                               struct err *e);
MUST_USE int state_segment_get(struct state *s, const char *key, struct buf *packs,
                               struct err *e); /* 1, 0, -1 */
MUST_USE int state_segment_list(struct state *s, state_blob_fn *fn, void *arg,
                                struct err *e); /* key, packs */

/* Snapshots that still have to be committed on a target, with their pack
 * names (32 bytes each). */
MUST_USE int state_commit_add(struct state *s, const char *snapshot, const char *target,
                              struct slice packs, struct err *e);
MUST_USE int state_commit_done(struct state *s, const char *snapshot, const char *target,
                               struct err *e);
/* The pack names of one. 1, 0, -1. */
MUST_USE int state_commit_get(struct state *s, const char *snapshot, const char *target,
                              struct buf *packs, struct err *e);
/* The first of a target behind the row `*id` (0: of all), appended to `snapshot`
 * and `packs`; its row is *id then. 1, 0 there are no more, -1. */
MUST_USE int state_commit_next(struct state *s, const char *target, int64_t *id,
                               struct buf *snapshot, struct buf *packs, struct err *e);
/* fn gets the snapshot's key as name and its pack names as value. */
MUST_USE int state_commit_list(struct state *s, const char *target, state_blob_fn *fn,
                               void *arg, struct err *e);

/* Snapshots that a successor has replaced and a target has yet to be told so. */
MUST_USE int state_void_add(struct state *s, const char *snapshot, const char *target,
                            struct err *e);
MUST_USE int state_void_done(struct state *s, const char *snapshot, const char *target,
                             struct err *e);
MUST_USE int state_void_first(struct state *s, const char *target, struct buf *snapshot,
                              struct err *e); /* 1, 0, -1 */

/* Objects of which a target has served no or wrong bytes, to be looked at by sync.
 * Noting one again changes nothing. */
MUST_USE int state_bad_add(struct state *s, const char *target, const char *key,
                           struct err *e);
/* The first of a target behind the row `*id` (0: of all), appended to `key`; its row
 * is *id then. 1, 0 there are no more, -1. */
MUST_USE int state_bad_next(struct state *s, const char *target, int64_t *id,
                            struct buf *key, struct err *e);
MUST_USE int state_bad_drop(struct state *s, int64_t id, struct err *e);

/* Packs that no target had when all were asked, those noted longest ago first.
 * To note one again puts it at the end. */
MUST_USE int state_lost_put(struct state *s, struct slice pack, struct err *e);
MUST_USE int state_lost_drop(struct state *s, struct slice pack, struct err *e);
/* fn gets the pack as name; the value is empty. */
MUST_USE int state_lost_list(struct state *s, state_blob_fn *fn, void *arg,
                             struct err *e);

/* The highest sequence number seen of a host at a target, and that snapshot. */
MUST_USE int state_mark_get(struct state *s, const char *target, const char *host,
                            uint64_t *seq, struct buf *snapshot, struct err *e);
MUST_USE int state_mark_put(struct state *s, const char *target, const char *host,
                            uint64_t seq, const char *snapshot, struct err *e);

/* Runs, for `status`: what happened last, as JSON made by the caller. */
MUST_USE int state_run_add(struct state *s, const char *kind, const char *subject,
                           int64_t ended_s, int status, const char *detail,
                           struct err *e);
struct run_row {
    const char *kind, *subject, *detail;
    int64_t ended_s;
    int status;
};
typedef int state_run_fn(void *arg, const struct run_row *row, struct err *e);
/* The newest `limit` runs, newest first. */
MUST_USE int state_run_list(struct state *s, unsigned limit, state_run_fn *fn, void *arg,
                            struct err *e);

/* The cache: checked objects and metadata chunks by name. A failing cache is
 * an empty one. */
bool cache_get(struct state *s, struct slice name, struct buf *out);
void cache_put(struct state *s, struct slice name, struct slice value);
void cache_trim(struct state *s, uint64_t max_bytes); /* least recently used first */

#endif
