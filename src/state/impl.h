/* What the files of state/ share: one struct state, a file for each thing it keeps. */
#ifndef STATE_IMPL_H
#define STATE_IMPL_H

#include "state/state.h"

#include "sql.h"

#include <pthread.h>

/* Cache entries are gathered into transactions of so many: each costs a write. */
#define CACHE_PUTS 64

struct state {
    struct sql main, cache;
    pthread_mutex_t lock; /* recursive: held from begin to commit */
    pthread_mutex_t cache_lock;
    struct {
        struct buf name, value;
    } puts[CACHE_PUTS]; /* not written yet */
    unsigned put_count;
};

/* Runs one statement under the lock. */
MUST_USE int state_run(struct state *s, const char *query, struct err *e,
                       const char *types, ...);

void cache_open(struct state *s, const char *dir); /* one that is damaged goes */
void cache_flush(struct state *s); /* writes what was gathered, or forgets it */

#endif
