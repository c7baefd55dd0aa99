/*
 * Preloaded: the wall clock is SKEW seconds off, all other clocks are
 * right. For servers that refuse a clock that is wrong.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int
clock_gettime(clockid_t clock, struct timespec *t)
{
    const char *skew = getenv("SKEW");
    long rc = syscall(SYS_clock_gettime, clock, t);

    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) && skew)
        t->tv_sec += atol(skew);
    return (int)rc;
}

time_t
time(time_t *out)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    if (out)
        *out = t.tv_sec;
    return t.tv_sec;
}
