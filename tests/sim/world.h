/*
 * world: two hosts, three targets, and what the hosts do there; each step in a
 * process of its own, as cron would start it. What a step shows is left in memory
 * that all processes share.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "repo/repo.h"
#include "sim/prune.h"

#define SEEN_MAX 200

enum deed {
    DO_NOTHING,
    DO_INIT, /* host 0 makes the repository, host 1 joins */
    DO_BACKUP,
    DO_SYNC,
    DO_RESTORE, /* the newest of a host's snapshots */
    DO_HEAL,    /* verify --heal */
    DO_VERIFY,
    DO_ADD,    /* target add */
    DO_FORGET, /* all that was decided to be, on the targets where it was */
    DO_PRUNE,  /* one target */
    DEEDS
};

/* What a host is to do in a step. */
struct task {
    enum deed deed;
    unsigned threads;
    uint64_t spool_max;
    uint64_t die_after;     /* steps; 0: it does not */
    uint64_t suspend_after; /* steps; 0: it is not */
    int64_t suspend_ms;
    size_t target;   /* of DO_ADD and DO_PRUNE */
    bool stays;      /* of DO_PRUNE: waits the day from mark to sweep */
    unsigned forget; /* of DO_FORGET: so many more, at most */
};

/* What came of it. */
struct outcome {
    bool ended; /* the host lived to tell */
    int rc;
    struct err e;
    enum status status;
    unsigned committed; /* bits of targets */
    char key[CHAIN_KEY_LEN + 1];
    bool rollback_seen;
    uint64_t unhealed, missing, damaged; /* of a verify */
    unsigned deleted;                    /* of a prune: packs */
    uint64_t steps;
};

/* A snapshot that the check found complete, on the targets `on`. */
struct seen {
    char key[CHAIN_KEY_LEN + 1];
    unsigned on;
    int host;
    bool read[TARGETS], good[TARGETS]; /* restored from there alone; and it was right */
    unsigned version;                  /* when good */
    struct err e;                      /* when not */
};

/* A snapshot that is to be kept no longer, on the targets `from`. */
struct forgotten {
    char key[CHAIN_KEY_LEN + 1];
    unsigned from;
    unsigned told; /* those of them where gone/ was put and nothing is left */
};

struct world {
    struct sim_clock clock;
    struct net net;
    struct outcome out[HOSTS];
    struct prune_plan plan[HOSTS][TARGETS];
    struct forgotten forgotten[SEEN_MAX];
    size_t forgotten_count;
    struct seen seen[SEEN_MAX];
    size_t seen_count;
    struct err trouble; /* of the check itself */
    bool full_check;    /* restores every snapshot from every target */
};

struct place {
    struct world *world; /* shared */
    char root[64];       /* of all folders */
    bool distinct_sites; /* the quorum stands on two; each target is one */
    unsigned forgetful;  /* the targets that keep snapshots for less long than ever */
    struct task task[HOSTS];
};

char *place_path(const struct place *p, const char *name); /* free it */
/* The folder of a target is at place_path("t0"), a host's files at "src0". */

/* Runs the tasks of both hosts at once in a new process. False: it crashed, hung, or
 * came to a deadlock. */
bool world_step(struct place *p, uint64_t seed);
/* Looks at each target alone, over good lines: which snapshots are complete there,
 * and does a restore of some (all, with full_check) give what it should? */
bool world_check(struct place *p, uint64_t seed);

#endif
