/* What the files of the local index share. Lock order: lock, then pack_lock. */
#ifndef REPO_INDEX_IMPL_H
#define REPO_INDEX_IMPL_H

#include "repo/index.h"
#include "state/state.h"

#include "runs.h"
#include "table.h"

#include <pthread.h>
#include <stdatomic.h>

#define FRESH_MAX 65536 /* records in memory before they become a run */
#define PACK_RECORD 40  /* name 32 | size 4 | ended 4 */
#define KEYS_RECENT 8

struct segment {
    char *key;
    struct buf packs;
};

struct index {
    char *dir;
    bool write;
    struct state *state;
    pthread_rwlock_t lock;
    struct runs runs;
    unsigned made; /* how often the runs were made anew */
    struct table packs, keys;
    pthread_mutex_t pack_lock; /* a record of `packs` is written or read again */
    atomic_bool tables_bad;    /* damaged since they were opened */
    atomic_uint pack_count;
    uint32_t key_count;
    struct chunk_key recent[KEYS_RECENT]; /* the keys added last */
    uint32_t recent_number[KEYS_RECENT];
    unsigned recent_count;
    uint8_t (*fresh)[RUN_RECORD]; /* open addressing by prefix */
    bool *used;
    size_t fresh_count;
    struct segment *segments; /* added since the last flush */
    size_t segment_count, segment_cap;
    index_refill_fn *refill;
    void *refill_arg;
};

/* What was whole when it was opened is damaged now, and cannot be mended: -1. */
int index_broken(const struct index *x, struct err *e);
/* From here on the folder does not open any more. */
void index_mark_damaged(const struct index *x);
bool index_is_marked(const struct index *x);
/* index_flush() with the lock held for writing. */
MUST_USE int index_flush_held(struct index *x, struct err *e);
/* Makes the runs anew, with the lock held for writing; `why` is what was met. */
MUST_USE int index_remake(struct index *x, const struct err *why, struct err *e);

#endif
