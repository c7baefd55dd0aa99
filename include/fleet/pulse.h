/*
 * pulse: how fast a target has answered reads, and when an answer is late.
 *
 * A read of n bytes is expected to take `latency + n / rate`, both smoothed over
 * the reads so far. Late is what takes longer than 95 of the last 100 compared
 * with what was expected of them, but never under PULSE_LATE_MIN_MS. One that takes
 * three times as long as expected, and PULSE_HANG_MS more, is taken to hang. Pure,
 * as fleet/health.h: the caller serializes and measures.
 * Source: Dean, Barroso: The Tail at Scale, CACM 2013, "Hedged requests".
 */
#ifndef FLEET_PULSE_H
#define FLEET_PULSE_H

#include <stdint.h>

#define PULSE_KEPT 64 /* reads */
#define PULSE_FEW 8   /* under so many reads PULSE_UNKNOWN_MS is late */
#define PULSE_LATE_MIN_MS 50
#define PULSE_UNKNOWN_MS 1000
#define PULSE_HANG_MS 3000
#define PULSE_SMALL 65536 /* bytes: up to here a read tells the latency */

struct pulse {
    double latency_ms;
    double rate;              /* bytes/ms; 0: not known yet */
    float ratios[PULSE_KEPT]; /* actual over expected, a ring */
    unsigned count;           /* reads so far */
};

void pulse_add(struct pulse *p, uint64_t bytes, int64_t ms);
int64_t pulse_expected_ms(const struct pulse *p, uint64_t bytes);
int64_t pulse_late_ms(const struct pulse *p, uint64_t bytes);
int64_t pulse_hang_ms(const struct pulse *p, uint64_t bytes);

#endif
