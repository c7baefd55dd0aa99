#include "base/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t skew_s, suspended_ms;

struct clock_time
clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (struct clock_time){ t.tv_sec + atomic_load(&skew_s), (int32_t)t.tv_nsec };
}

static int64_t
ms_of(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t
clock_mono_ms(void)
{
    return ms_of(CLOCK_MONOTONIC);
}

int64_t
clock_boot_ms(void)
{
    return ms_of(CLOCK_BOOTTIME) + atomic_load(&suspended_ms);
}

void
clock_sleep_ms(int64_t ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        continue;
}

struct timespec
clock_after(int64_t ms)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    int64_t ns = t.tv_nsec + ms % 1000 * 1000000;
    return (struct timespec){ t.tv_sec + ms / 1000 + ns / 1000000000, ns % 1000000000 };
}

void
clock_skew(int64_t seconds)
{
    atomic_store(&skew_s, seconds);
}

void
clock_suspend(int64_t ms)
{
    atomic_fetch_add(&suspended_ms, ms);
}
