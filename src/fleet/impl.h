/* What the files of fleet/ share. Lock order: hedge's, fleet.lock, then state's. */
#ifndef FLEET_IMPL_H
#define FLEET_IMPL_H

#include "fleet/fleet.h"

#include <pthread.h>

#define LANE_SENDERS_MAX 16 /* parallel requests per remote target */
#define LANE_ITEMS 64       /* rows of the queue that a lane holds in memory */
#define FLEET_BAD_MAX 1000

struct item {
    int64_t id;
    char *key;
    uint64_t size;
    uint8_t sha256[32];
    enum queue_rank rank;
    enum { ITEM_WAITS, ITEM_BUSY, ITEM_DONE, ITEM_SKIPPED } state; /* SKIPPED: this run */
};

struct lane {
    struct fleet *fleet;
    struct target *target;
    size_t index;
    pthread_t threads[LANE_SENDERS_MAX];
    unsigned thread_count;
    struct item items[LANE_ITEMS]; /* in the order of the queue */
    unsigned item_count, busy;
    int64_t last_id;   /* the highest id taken from the queue */
    int64_t asked;     /* fleet.position when the queue was asked last; -1: never */
    bool probing;      /* a sender looks who the target is */
    bool drained;      /* it had nothing behind last_id then */
    unsigned failures; /* of items in a row */
    unsigned skipped;  /* items that nobody gives in this run */
    int64_t waiting;   /* bytes that this run has put and it has not sent */
    struct err why;    /* of the last failure */
    bool broken;       /* by our own means: the local state cannot be read */
};

struct bad_read {
    const struct target *target;
    char *key;
};

struct fleet {
    struct target targets[FLEET_TARGETS_MAX];
    struct lane lanes[FLEET_TARGETS_MAX];
    size_t count;
    unsigned quorum; /* as asked for; 0: fleet_quorum() knows */
    bool distinct_sites;
    struct state *state;
    char *spool_dir;
    uint64_t spool_max;
    int64_t breaker_ms;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t spooled; /* bytes in the spool */
    int64_t position;
    int64_t old_position; /* rows up to here were left by an earlier run */
    bool started, stopping;
    struct fleet_rules rules;
    enum read_order order;
    struct hedge *hedge;
    struct bad_read bad[FLEET_BAD_MAX];
    size_t bad_count;
};

struct health_now fleet_now(void);
/* Takes an event with the reason (NULL: none), and tells of a change. Without the
 * lock, as is fleet_outcome(): how one request ended, `why` NULL: well. */
void fleet_event(struct fleet *f, struct target *t, enum health_event what,
                 const struct err *why);
void fleet_outcome(struct fleet *f, struct target *t, bool put, uint64_t bytes,
                   const struct err *why);

/* Ends a read: the caller's check, what it means for the target, who served bad
 * bytes. `rc` and `e` are the storage's. */
int read_judge(struct fleet *f, struct target *t, const struct range *r, int rc,
               struct err *e, struct slice data, int64_t took_ms, fleet_check_fn *check,
               void *arg);
void read_worst(struct err *worst, const struct err *one); /* keeps what tells more */

void lane_start(struct fleet *f, size_t index);
void lane_stop(struct lane *l);

MUST_USE int memory_recall(struct fleet *f, struct target *t, struct err *e);
void memory_keep(struct fleet *f); /* what fails is told to nobody */

char *spool_path(const struct fleet *f, const char *key); /* free it */
/* Does the object wait for one target only? Then that one may have the file itself. */
bool spool_last_wants(struct fleet *f, const char *key);
/* A row of the queue has ended. Drops the spool file when no target waits for it any
 * more; one transaction, since each costs a write to the disk. */
MUST_USE int spool_ended(struct fleet *f, int64_t id, const char *key, enum queue_end how,
                         struct err *e);
/* Drops the spool file when no target waits for it, or when `quorum_is_enough`
 * and W targets have it. Without the lock. */
void spool_release(struct fleet *f, const char *key, bool quorum_is_enough);
void spool_scan(struct fleet *f); /* at the start: leftovers go, sizes are added up */
void spool_tidy(struct fleet *f); /* at the end: what W targets hold goes */

#endif
