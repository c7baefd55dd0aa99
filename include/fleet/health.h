/*
 * health: how one target is, decided from what its answers were.
 *
 * Pure: no I/O, no threads, no clock of its own. The caller serializes the
 * calls on one `struct health` and passes the time of a clock that never goes
 * backwards.
 *
 *                    answer          +-----------------------------+
 *      new --------------------> up <|                             |
 *       |                      ^  ^  | throttled: for 30 s         |
 *       |        nothing waits |  |  +-- throttled <---------------+-- "slow down"
 *       |                      |  |
 *       |            catching up  |  every row of the queue that an earlier run or
 *       |                ^        |  a time of being down left is delivered in it
 *       | no answer      | answer |
 *       v                |        |
 *      down ---------> probing ---+        down: HEALTH_OPEN_AFTER operations in a
 *       ^   time is over  |                row went unanswered (each with its own
 *       +-----------------+                retries); the wait doubles, 15 s to 5 min
 *            no answer
 *
 *   from each of these:  --- our credentials were refused ---> denied
 *                        --- its disk or quota is full ------> full (still read)
 *                        --- HEALTH_WRONG_MAX wrong bytes ---> quarantined (still
 *                                                              written, read last)
 *   denied is tried again as down is; full by one put after each wait, and left
 *   when one succeeds; quarantined is left by HEALTH_CLEARED alone (a verify that
 *   read everything and found, or left, no damage) and come back to from probing.
 *
 * empty and foreign are what repo/ found there: not ours to use in this run.
 *
 * Parallel requests: additive increase, multiplicative decrease, as long as
 * more of them move more bytes. Source: Chiu, Jain: Analysis of the Increase
 * and Decrease Algorithms for Congestion Avoidance, 1989; the breaker:
 * Nygard, Release It!, chapter "Stability Patterns".
 */
#ifndef FLEET_HEALTH_H
#define FLEET_HEALTH_H

#include "base/buf.h"
#include "base/err.h"

#define HEALTH_OPEN_AFTER 5  /* exhausted operations in a row */
#define HEALTH_WAIT_MS 15000 /* of a breaker that has just opened */
#define HEALTH_WAIT_MAX_MS 300000
#define HEALTH_THROTTLED_MS 30000
#define HEALTH_WRONG_MAX 3   /* objects with wrong bytes */
#define HEALTH_WINDOW_MAX 32 /* parallel requests */

enum target_state {
    TARGET_NEW, /* not asked yet */
    TARGET_UP,
    TARGET_THROTTLED,
    TARGET_DOWN, /* does not answer; the breaker is open */
    TARGET_PROBING,
    TARGET_CATCHING_UP,
    TARGET_QUARANTINED, /* has served wrong bytes */
    TARGET_FULL,
    TARGET_DENIED,  /* refuses our credentials */
    TARGET_EMPTY,   /* answers, but holds no repository */
    TARGET_FOREIGN, /* holds another repository, or a forged header */
    TARGET_STATES,
};
const char *target_state_name(enum target_state s);

enum health_event {
    HEALTH_ANSWER,   /* a request was answered, whatever the answer */
    HEALTH_OURS,     /* the same, and who it is was looked at */
    HEALTH_STORED,   /* the same, and it was a put that succeeded */
    HEALTH_SLOWDOWN, /* the answer was to come later */
    HEALTH_SILENCE,  /* an operation was given up: no answer for all its tries */
    HEALTH_AWAY,     /* the folder or bucket is not there */
    HEALTH_REFUSED,  /* credentials */
    HEALTH_NO_ROOM,
    HEALTH_WRONG,   /* an object whose bytes do not fit its name */
    HEALTH_BEHIND,  /* objects of earlier times wait for it */
    HEALTH_LEVEL,   /* nothing waits for it any more */
    HEALTH_CLEARED, /* everything on it was read and is good */
};

struct health {
    enum target_state state;
    int64_t since_s;     /* wall clock; for people only */
    int64_t entered_ms;  /* the same moment on the steady clock */
    int64_t next_try_ms; /* down, denied, full: not asked before this */
    int64_t wait_ms;     /* how long that was; 0: it answered since */
    int64_t first_wait_ms;
    enum target_state was; /* in an earlier run, and since when */
    int64_t was_since_s;
    unsigned silences; /* in a row */
    unsigned wrong;    /* since cleared */
    bool behind;
    bool unsure;   /* it was away since it was last known to be ours */
    bool was_good; /* it has answered since health_init() */
    /* Parallel requests. */
    unsigned window, window_max;
    unsigned answers; /* of this round, which is `window` answers long */
    uint64_t round_bytes;
    int64_t round_began_ms;
    double best_rate; /* bytes/ms of the round before the trial */
    bool trial;       /* this round is one with a request more */
    unsigned hold;    /* rounds until the next trial */
};

/* `max` parallel requests at most, 1 to HEALTH_WINDOW_MAX; `wait_ms` 0:
 * HEALTH_WAIT_MS. */
void health_init(struct health *h, unsigned max, int64_t wait_ms);

struct health_now {
    int64_t ms; /* a clock that never goes backwards */
    int64_t s;  /* the wall clock */
};

/* Takes what happened; true when the state changed. */
bool health_event(struct health *h, enum health_event what, struct health_now now);
/* What the last error of a call means for the target: an event; -1: nothing, it
 * is about one object or about us. */
int health_meaning(const struct err *e);

/* What repo/ found: up (ours), empty or foreign. */
void health_found(struct health *h, enum target_state s, struct health_now now);

/* May a request be sent now, or a put? When the time of a target that is down or
 * denied is over it becomes probing, and who asked is the probe: nobody else gets
 * true before health_event(). */
bool health_may_try(struct health *h, bool put, struct health_now now);
/* Milliseconds until health_may_try() may turn true by time alone; -1: never. */
int64_t health_wait_ms(const struct health *h, struct health_now now);
/* Without side effects: the place in the order of reading, 0 first; -1: not read. */
int health_read_rank(const struct health *h);
/* Is it one that answers, as far as we know? */
bool health_answers(const struct health *h);

/* Counts an answer of `bytes` for the number of parallel requests. */
void health_pace(struct health *h, uint64_t bytes, struct health_now now);

/* For state.db: what is worth remembering between runs. Who answered then may be
 * silent now, so a state that is recalled only lends its `since` to the first one
 * that is found, if that is the same. */
#define HEALTH_KEPT 16
void health_keep(const struct health *h, struct buf *out);
/* False, and nothing changed, when the bytes are not that. */
bool health_recall(struct health *h, struct slice kept);

#endif
