/*
 * clock: time as something passed in, so that tests and drills can bend it.
 *
 * Only clock.c asks the system. Ages of stored things are never taken from
 * here: they are differences between two readings of the store's own clock.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

struct clock_time {
    int64_t s; /* since 1970-01-01 UTC */
    int32_t ns;
};

struct clock_time clock_now(void);
int64_t clock_mono_ms(void); /* never goes backwards */
int64_t clock_boot_ms(void); /* the same, and goes on while the machine is suspended */
void clock_sleep_ms(int64_t ms);

/* The moment `ms` from now, for pthread_cond_timedwait(). */
struct timespec clock_after(int64_t ms);

/* Shifts what clock_now() tells by so many seconds: the fault "clock skew". */
void clock_skew(int64_t seconds);
/* As if the machine had been suspended for so long: for clock_boot_ms(). */
void clock_suspend(int64_t ms);

#endif
