/*
 * sched: threads that run one at a time, on a clock that nobody waits for.
 *
 * The program under test is linked with its pthread calls turned to the ones here
 * (ld --wrap) and with the clock of this file instead of base/clock.c. Between
 * sched_begin() and the end of the process only one thread runs; which is next is
 * drawn from a seed, at locks, waits, sleeps and the calls of storages. When all
 * wait, the clock jumps to the first moment that anyone waits for. So the same seed
 * gives the same run, and hours of waiting take no time.
 *
 * Threads belong to a host, as those that they start do. A host that dies is never
 * run again, wherever its threads stand: that is what a kill leaves of a process.
 */
#ifndef TESTS_SIM_SCHED_H
#define TESTS_SIM_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#define HOSTS 2
#define HOST_NONE (-1)

/* In memory that the processes of one run share. */
struct sim_clock {
    int64_t ms;            /* since the run began */
    int64_t skew_s[HOSTS]; /* what a host's own clock is wrong by */
};

/* The calling thread becomes one of no host. */
void sched_begin(struct sim_clock *clock, uint64_t seed);
uint32_t sched_draw(uint32_t below); /* from the seed */

typedef void sched_fn(void *arg);
void sched_run(int host, sched_fn *fn, void *arg); /* starts a thread of that host */
void sched_wait_all(void); /* until the threads of all hosts have ended or died */

int sched_host(void); /* of the calling thread */
/* The host dies at its `steps`-th step from now on; 0: it does not. */
void sched_die_after(int host, uint64_t steps);
bool sched_died(int host);
/* At its `steps`-th step from now on nothing of the host runs for `ms`, as when a
 * machine is suspended; 0: never. */
void sched_suspend(int host, uint64_t steps, int64_t ms);
uint64_t sched_steps(int host);

void sched_sleep(int64_t ms); /* of the simulated clock */

#endif
