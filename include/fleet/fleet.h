/*
 * fleet: all targets of a repository, and the rule how many must hold a thing.
 *
 * Writing: fleet_put() is safe in the spool when it returns; each target has
 * a lane that delivers the queue in the order put, at its own pace, with as many
 * requests at once as help. The lane of a target that does not answer rests until
 * the target's breaker (fleet/health.h) lets it probe whether it is back; what it
 * did not deliver stays in the queue (state.db) for the next run or `sync`. An
 * object that W targets hold may leave the spool: a lane that still needs it reads
 * it back from a target that has it.
 *
 * Reading: fleet_get() asks one target after the other until the bytes pass
 * the caller's check, so nothing is believed before it was checked. One that is
 * late with its answer is overtaken by the next (src/fleet/hedge.h); when all went
 * silent just now it waits for the first to come back.
 *
 * Any thread may call anything, except open, start, stop and close.
 */
#ifndef FLEET_FLEET_H
#define FLEET_FLEET_H

#include "conf/config.h"
#include "fleet/health.h"
#include "fleet/pulse.h"
#include "state/state.h"
#include "storage/storage.h"
#include "storage/wrap.h"

#include <stdatomic.h>

#define FLEET_TARGETS_MAX 16

struct fleet;

/* Totals of struct traffic. */
struct traffic_sum {
    uint64_t calls, failures, put_bytes, put_ms, get_bytes, get_ms;
};

struct target {
    struct fleet *fleet;
    const struct conf_target *conf;
    const char *name;
    const char *site;
    struct storage *store;
    uint8_t id[16];            /* from its repository header */
    struct health health;      /* under the fleet's lock, as is why */
    struct pulse pulse;        /* of its reads; under the same lock */
    struct err why;            /* what made it leave those that answer */
    struct traffic traffic;    /* of this run */
    struct traffic_sum before; /* of the runs before */
    bool forgotten;            /* see fleet_forget() */
    atomic_ullong bytes_sent, objects_sent, bytes_read, reads, bad_reads;
};

struct fleet_options {
    const struct conf_target *targets;
    size_t target_count;
    unsigned quorum;     /* 0: all of 1 or 2, 2 of 3 and more */
    bool distinct_sites; /* a quorum over one stands on at least two sites */
    enum read_order order;
    const char *spool_dir;
    uint64_t spool_max;
    struct state *state;
    int64_t breaker_ms; /* of a breaker that has just opened; 0: HEALTH_WAIT_MS */
    /* Puts a wrapper round a target's storage; NULL: none. Faults come in here. */
    struct storage *(*wrap)(void *arg, const char *target, struct storage *inner);
    void *wrap_arg;
};

MUST_USE int fleet_open(const struct fleet_options *o, struct fleet **out, struct err *e);
void fleet_close(struct fleet *f);
DEFINE_CLEANUP(struct fleet, fleet_close)

size_t fleet_count(const struct fleet *f);
struct target *fleet_target(struct fleet *f, size_t i);
struct target *fleet_find(struct fleet *f, const char *name); /* NULL: none */
/* How many targets must hold a thing; with `but` as if the fleet were without it,
 * more than there are then if the options ask for that. */
unsigned fleet_quorum(const struct fleet *f, const struct target *but);
/* True when the targets i with have[i] are W; with distinct_sites on at least two
 * sites where the fleet has them and W is over 1. */
bool fleet_quorum_met(const struct fleet *f, const bool *have, const struct target *but);

/* All that this host's runs had with the target. */
struct traffic_sum target_traffic(const struct target *t);

/* Does it answer, as far as we know, and is it ours? While lanes run, one that was
 * away is not before its lane has looked. */
bool target_is_up(struct fleet *f, const struct target *t);
enum target_state target_state(struct fleet *f, const struct target *t);
/* Who it is was found out: TARGET_UP (ours), TARGET_EMPTY or TARGET_FOREIGN; `why`
 * may be NULL. */
void fleet_found(struct fleet *f, struct target *t, enum target_state s,
                 const struct err *why);
/* What made a target leave those that answer, copied. */
void fleet_why(struct fleet *f, const struct target *t, struct err *why);
/* The caller cannot go on with this target for now, because a call of it failed:
 * one that is silent is down at once. Errors about one object change nothing. */
void fleet_fail(struct fleet *f, struct target *t, const struct err *why);
/* Nothing of this run is remembered about it. */
void fleet_forget(struct fleet *f, struct target *t);
/* Something happened that is no error: level, cleared. */
void fleet_note(struct fleet *f, struct target *t, enum health_event what);

/* No target is up: -1 with what the targets said, DENIED only if all say so. */
int fleet_nobody(struct fleet *f, struct err *e);

/* Runs fn once for each target that is up, at once, each in a thread of its own. */
typedef void fleet_each_fn(void *arg, struct target *t, size_t index);
void fleet_each(struct fleet *f, bool also_new, fleet_each_fn *fn, void *arg);

/* What writing needs to know of the repository. `may_put` tells, just before the put,
 * whether an object may be there: 1; 0 the target's prune records name it; -1. `probe`
 * asks one that was away whether it answers and is still ours: 0, or -1. Both are
 * called by lanes; either may be NULL. */
struct fleet_rules {
    int (*may_put)(void *arg, struct target *t, const char *key, struct err *e);
    int (*probe)(void *arg, struct target *t, size_t index, struct err *e);
    void *arg;
};
MUST_USE int fleet_start(struct fleet *f, const struct fleet_rules *rules, struct err *e);

/* Bytes put by this run that no target has yet: what waits for the one that is least
 * behind of those that answer. 0 when none does. */
uint64_t fleet_backlog(struct fleet *f);

/* A file in the spool, written by the caller, becomes an object. */
char *fleet_spool_tmp(struct fleet *f); /* a new name in the spool; free it */
/* Takes the file `tmp` (fsynced by the caller) as object `key` for every
 * target, or for `only`. Waits while the spool is full and lanes make
 * progress; ERR_QUORUM when it is full and too few targets are left. */
MUST_USE int fleet_put_file(struct fleet *f, const char *key, enum queue_rank rank,
                            const char *tmp, uint64_t size, const uint8_t sha256[32],
                            struct err *e);
MUST_USE int fleet_put(struct fleet *f, const char *key, enum queue_rank rank,
                       struct slice data, struct err *e);
/* The same with changes of the state that belong to it: `also` is called in the
 * transaction that queues the object, so that neither is there without the other. */
typedef int fleet_also_fn(void *arg, struct err *e);
MUST_USE int fleet_put_with(struct fleet *f, const char *key, enum queue_rank rank,
                            struct slice data, fleet_also_fn *also, void *arg,
                            struct err *e);
/* Queues an object that some target holds for one that lacks it. */
MUST_USE int fleet_copy(struct fleet *f, const char *key, enum queue_rank rank,
                        uint64_t size, const uint8_t sha256[32], struct target *to,
                        struct err *e);

/* Is the object in the spool, or on a target that answers? */
bool fleet_holds(struct fleet *f, const char *key);

/* Does the object wait for any target? True when that cannot be told. */
bool fleet_queued(struct fleet *f, const char *key);

/* Everything put so far; fleet_wait() tells when a target has it all. */
int64_t fleet_position(struct fleet *f);
/* 1 delivered, 0 the time is over, -1 it takes nothing for now (e is the target's). */
MUST_USE int fleet_wait(struct fleet *f, struct target *t, int64_t position,
                        int64_t timeout_ms, struct err *e);
void fleet_stop(struct fleet *f); /* ends the lanes, tidies the spool */

/* Checks the bytes a target served; 0, or -1 with ERR_CORRUPT or ERR_FORGED. */
typedef int fleet_check_fn(void *arg, struct slice data, struct err *e);

/* Appends the range to `out` from the first target whose bytes pass `check`
 * (NULL: any bytes). `from` NULL: any target, in the order of health and the rule.
 * NOT_FOUND: no target has it; CORRUPT: none has a good copy; UNAVAIL: none
 * answers. */
MUST_USE int fleet_get(struct fleet *f, struct target *from, const struct range *r,
                       fleet_check_fn *check, void *arg, struct buf *out, struct err *e);

/* The whole object `key` of `size` bytes into a spool file whose SHA-256 was
 * checked; the caller unlinks it. Memory: one window, not the object. */
MUST_USE int fleet_fetch(struct fleet *f, const struct target *not_from, const char *key,
                         uint64_t size, const uint8_t sha256[32], char **path,
                         struct err *e);

/* Objects of which a target served no or wrong bytes in this run. */
typedef void fleet_bad_fn(void *arg, const struct target *t, const char *key);
void fleet_bad_list(struct fleet *f, fleet_bad_fn *fn, void *arg);

#endif
