/*
 * net: the lines between the hosts and the targets, and what the stores at their
 * ends do besides storing. All of it is drawn from the seed of sim/sched.h; what a
 * call suffers is done by the fault wrapper of storage/wrap.h.
 */
#ifndef TESTS_SIM_NET_H
#define TESTS_SIM_NET_H

#include "sim/sched.h"
#include "storage/storage.h"

#define TARGETS 3
#define LATE_MAX 512 /* objects that are not listed yet */
#define DELETED_MAX 256

/* One host's way to one target; the moments are of the simulated clock. */
struct line {
    uint32_t latency_ms;      /* at most, there and back each */
    uint32_t faults;          /* of 1000 calls */
    unsigned modes;           /* bits of enum fault_mode that may be drawn */
    int64_t gone_ms, back_ms; /* nothing gets through from the one to the other */
    bool remote;              /* not STORAGE_LOCAL: hedged, several senders */
};

struct late {
    int64_t until_ms; /* 0: free */
    char key[STORAGE_KEY_MAX + 1];
};

struct store {
    uint32_t late_ms; /* a put is listed so much later, at most */
    int64_t skew_s;   /* of its clock */
    struct late late[LATE_MAX];
    char deleted[DELETED_MAX][STORAGE_KEY_MAX + 1]; /* packs; the oldest are forgotten */
    unsigned deleted_count;
    char back[STORAGE_KEY_MAX + 1]; /* one of them that was put again; "": none */
};

struct net {
    struct line line[HOSTS][TARGETS];
    struct store store[TARGETS];
};

/* Round `inner`, a folder, for whichever host calls. */
struct storage *net_wrap(struct net *net, size_t target, struct storage *inner);
void net_heal(struct net *net); /* all lines and stores do as they should */
bool net_lags(const struct net *net, size_t target); /* does it list late just now? */

#endif
