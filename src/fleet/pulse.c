#include "fleet/pulse.h"

#include <stdlib.h>
#include <string.h>

#define WEIGHT 0.1        /* of a new reading; the first ones weigh more */
#define RATE_GUESS 1000.0 /* bytes/ms, before anything large was read */

static double
smooth(double old, double fresh, unsigned count)
{
    double w = count < 10 ? 1.0 / (count + 1) : WEIGHT;

    return old + (fresh - old) * w;
}

static double
expected(const struct pulse *p, uint64_t bytes)
{
    double rate = p->rate > 0 ? p->rate : RATE_GUESS;

    return p->latency_ms + (double)bytes / rate;
}

void
pulse_add(struct pulse *p, uint64_t bytes, int64_t ms)
{
    double took = ms > 0 ? (double)ms : 0.5; /* the clock's grain */
    double hoped = expected(p, bytes);

    p->ratios[p->count % PULSE_KEPT] = (float)(took / (hoped > 1 ? hoped : 1));
    if (bytes <= PULSE_SMALL || p->count == 0) {
        p->latency_ms = smooth(p->latency_ms, took, p->count);
    } else {
        double moving = took > p->latency_ms * 1.1 ? took - p->latency_ms : took * 0.5;
        double rate = (double)bytes / (moving > 0.5 ? moving : 0.5);
        p->rate = p->rate > 0 ? smooth(p->rate, rate, p->count) : rate;
    }
    p->count++;
}

int64_t
pulse_expected_ms(const struct pulse *p, uint64_t bytes)
{
    return (int64_t)expected(p, bytes);
}

static int
by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

int64_t
pulse_late_ms(const struct pulse *p, uint64_t bytes)
{
    unsigned n = p->count < PULSE_KEPT ? p->count : PULSE_KEPT;
    float sorted[PULSE_KEPT];

    if (n < PULSE_FEW)
        return PULSE_UNKNOWN_MS + (int64_t)expected(p, bytes);
    memcpy(sorted, p->ratios, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_size);
    double hoped = expected(p, bytes);
    double late = sorted[(n * 95 + 99) / 100 - 1] * (hoped > 1 ? hoped : 1);
    return late > PULSE_LATE_MIN_MS ? (int64_t)late : PULSE_LATE_MIN_MS;
}

int64_t
pulse_hang_ms(const struct pulse *p, uint64_t bytes)
{
    return PULSE_HANG_MS + (int64_t)(3 * expected(p, bytes));
}
