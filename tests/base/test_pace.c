/* The bucket in simulated time; the thin rest against the real clock, of which
 * nothing is asked but that it passes. */
#include "base/pace.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "support/ground.h"

#include <pthread.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define TAKERS 5
#define STEPS_MAX 200000 /* milliseconds of a simulation */

/* Takers that always want more: each asks for its next turn when it has had one. */
struct taker {
    size_t want;
    bool waits;
    size_t turn;
    uint64_t ticket;
    uint64_t had;
    int64_t began_ms, longest_ms;
};

struct sim {
    struct pace_bucket bucket;
    struct taker takers[TAKERS];
    size_t count;
    int64_t now_ms;
    uint64_t had;
    uint64_t by[STEPS_MAX + 1]; /* bytes had until then */
};

static struct sim sim;

static void
start(size_t takers)
{
    memset(&sim, 0, sizeof sim);
    sim.now_ms = 1000000;
    sim.count = takers;
    for (size_t i = 0; i < takers; i++)
        sim.takers[i].want = MIB;
}

/* All that this taker gets at this moment. */
static void
turns_of(struct taker *t)
{
    while (!t->waits || pace_bucket_wait(&sim.bucket, t->ticket) == 0) {
        if (t->waits) {
            int64_t took_ms = sim.now_ms - t->began_ms;
            t->had += t->turn;
            sim.had += t->turn;
            t->longest_ms = took_ms > t->longest_ms ? took_ms : t->longest_ms;
        }
        t->turn = pace_bucket_turn(&sim.bucket, t->want);
        t->ticket = pace_bucket_take(&sim.bucket, t->turn);
        t->began_ms = sim.now_ms;
        t->waits = true;
    }
}

/* `ms` pass, a millisecond at a time; `first` is where `by` begins. */
static void
pass(int64_t ms, uint64_t rate, size_t first)
{
    for (int64_t i = 0; i < ms; i++) {
        sim.now_ms++;
        pace_bucket_tick(&sim.bucket, sim.now_ms, rate);
        for (size_t k = 0; k < sim.count; k++)
            turns_of(&sim.takers[k]);
        sim.by[first + (size_t)i] = sim.had;
    }
}

static void
over_a_long_time_the_rate_is_exact(void **state)
{
    static const uint64_t rates[] = { KIB, 3000, 100000, 5 * MIB, 123456789 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rates); i++) {
        start(3);
        pace_bucket_tick(&sim.bucket, sim.now_ms, rates[i]);
        pass(100000, rates[i], 0);
        uint64_t turn = pace_bucket_turn(&sim.bucket, SIZE_MAX);
        assert_in_range(sim.had, rates[i] * 100 - turn, rates[i] * 100);
    }
}

/* How late those who wait look at the clock does not slow the whole. */
static void
a_clock_looked_at_seldom_loses_nothing(void **state)
{
    (void)state;
    start(2);
    pace_bucket_tick(&sim.bucket, sim.now_ms, MIB);
    for (int i = 0; i < 1000; i++) {
        sim.now_ms += 49;
        pass(1, MIB, 0);
    }
    assert_in_range(sim.had, MIB * 50 - 2 * 65536, MIB * 50);
}

/* After a pause and at any time later, no stretch has more than its own share
 * and a quarter of a second's. */
static void
no_stretch_of_time_has_more_than_a_burst_above_its_share(void **state)
{
    static const uint64_t rates[] = { 10 * KIB, 2 * MIB };
    static const uint64_t bursts[] = { PACE_BURST_MIN, MIB / 2 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rates); i++) {
        start(TAKERS);
        pace_bucket_tick(&sim.bucket, sim.now_ms, rates[i]);
        sim.now_ms += 3600000;
        pass(20000, rates[i], 0);
        assert_true(sim.by[0] <= bursts[i]);
        assert_true(sim.by[0] > bursts[i] - 65536);
        for (size_t a = 0; a < 20000; a += 37)
            for (size_t b = a + 1; b < 20000; b += 41)
                assert_true((sim.by[b] - sim.by[a]) * 1000
                            <= rates[i] * (b - a) + bursts[i] * 1000);
    }
}

static void
all_who_wait_get_the_same(void **state)
{
    (void)state;
    start(TAKERS);
    sim.takers[2].want = 65536; /* no more than others get at a time */
    pace_bucket_tick(&sim.bucket, sim.now_ms, 4 * MIB);
    pass(60000, 4 * MIB, 0);
    for (size_t i = 0; i < TAKERS; i++) {
        const struct taker *t = &sim.takers[i];
        assert_in_range(t->had, 4 * MIB * 60 / TAKERS - 2 * 65536,
                        4 * MIB * 60 / TAKERS + 2 * 65536);
        assert_in_range(t->longest_ms, 1, 1000 * TAKERS / 64 + 10);
    }
}

static void
who_comes_late_waits_for_one_turn_of_each(void **state)
{
    (void)state;
    start(TAKERS - 1);
    pace_bucket_tick(&sim.bucket, sim.now_ms, MIB);
    pass(10000, MIB, 0);
    sim.takers[TAKERS - 1].want = 100;
    sim.count = TAKERS;
    pass(2000, MIB, 0);
    assert_true(sim.takers[TAKERS - 1].had > 0);
    assert_in_range(sim.takers[TAKERS - 1].longest_ms, 1, 1000 * TAKERS / 16 + 10);
}

/* A slow stream goes in small steps: a server hangs up on one that pauses. */
static void
turns_are_short_even_at_a_low_rate(void **state)
{
    static const struct {
        uint64_t rate;
        size_t turn;
    } cases[] = {
        { KIB, 256 }, { 16 * KIB, KIB }, { MIB, 65536 }, { 1024 * MIB, 65536 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct pace_bucket b = { .rate = cases[i].rate };
        assert_int_equal(pace_bucket_turn(&b, SIZE_MAX), cases[i].turn);
        assert_int_equal(pace_bucket_turn(&b, 7), 7);
    }
}

/* From eight at a tenth of the rate: before, at and behind the hour. */
static void
a_long_run_follows_the_hours(void **state)
{
    static const struct pace_hours hours[] = { { MIB / 10, 480, 1080 }, { MIB, 0, 0 } };
    uint64_t had[3];

    (void)state;
    start(3);
    for (unsigned minute = 479; minute < 482; minute++) {
        uint64_t before = sim.had;
        pass(60000, pace_rate_at(hours, COUNT_OF(hours), minute), 0);
        had[minute - 479] = sim.had - before;
    }
    assert_in_range(had[0], MIB * 60 - 2 * 65536, MIB * 60 + 65536);
    /* those who waited at the hour are let go once */
    assert_in_range(had[1], MIB * 6 - 65536, MIB * 6 + 3 * 65536);
    assert_in_range(had[2], MIB * 6 - 65536, MIB * 6 + 65536);
}

/* Whoever waits for a slow turn does not wait it out when nothing limits any more. */
static void
the_end_of_the_limit_frees_all_who_wait(void **state)
{
    struct pace_bucket b = { 0 };

    (void)state;
    pace_bucket_tick(&b, 1000, KIB);
    uint64_t first = pace_bucket_take(&b, 65536), second = pace_bucket_take(&b, 65536);
    assert_int_equal(pace_bucket_wait(&b, first), 64000);
    assert_int_equal(pace_bucket_wait(&b, second), 128000);
    pace_bucket_tick(&b, 2000, 0);
    assert_int_equal(pace_bucket_wait(&b, first), 0);
    assert_int_equal(pace_bucket_wait(&b, second), 0);
    assert_int_equal(pace_bucket_turn(&b, 1 << 30), 1 << 30);
    pace_bucket_take(&b, 1 << 30);
    pace_bucket_tick(&b, 5000, KIB);
    assert_int_equal(pace_bucket_wait(&b, pace_bucket_take(&b, 1024)), 1000);
}

static void
a_clock_that_stands_or_jumps_does_no_harm(void **state)
{
    struct pace_bucket b = { 0 };

    (void)state;
    pace_bucket_tick(&b, 1000, PACE_RATE_MAX);
    pace_bucket_tick(&b, INT64_MAX / 2, PACE_RATE_MAX);
    assert_int_equal(b.level / 1000, PACE_RATE_MAX / 4);
    pace_bucket_tick(&b, 0, PACE_RATE_MAX);
    assert_int_equal(b.level / 1000, PACE_RATE_MAX / 4);
    pace_bucket_tick(&b, 0, KIB);
    assert_int_equal(b.level / 1000, PACE_BURST_MIN);
}

static void
the_first_entry_that_holds_the_minute_counts(void **state)
{
    static const struct pace_hours day[] = { { 1, 480, 720 }, { 2, 600, 1080 },
                                             { 3, 1320, 360 } };
    static const struct {
        unsigned minute;
        uint64_t rate;
    } cases[] = { { 479, 0 },  { 480, 1 },  { 600, 1 },  { 719, 1 }, { 720, 2 },
                  { 1079, 2 }, { 1080, 0 }, { 1319, 0 }, { 1320, 3 }, { 1439, 3 },
                  { 0, 3 },    { 359, 3 },  { 360, 0 } };
    static const struct pace_hours always = { 7, 0, 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(pace_rate_at(day, COUNT_OF(day), cases[i].minute),
                         cases[i].rate);
    for (unsigned minute = 0; minute < PACE_DAY_MIN; minute++)
        assert_int_equal(pace_rate_at(&always, 1, minute), 7);
    assert_int_equal(pace_rate_at(NULL, 0, 0), 0);
}

static void
take_all(struct pace *p, size_t size)
{
    struct err e = { 0 };
    size_t n;

    for (size_t left = size; left > 0; left -= n) {
        succeeds(pace_take(p, left, NULL, &n, &e), &e);
        assert_in_range(n, 1, left);
    }
}

static void *
take_half_a_mebibyte(void *arg)
{
    take_all(arg, MIB / 2);
    return NULL;
}

static void
threads_that_share_a_pace_take_as_long_as_one(void **state)
{
    static const struct pace_hours hours = { .rate = 4 * MIB };
    CLEANUP(pace_free_p) struct pace *p = pace_new(&hours, 1);
    pthread_t threads[4];
    int64_t began_ms = clock_mono_ms();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_half_a_mebibyte, p), 0);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_join(threads[i], NULL);
    assert_true(clock_mono_ms() - began_ms >= 400);
}

static void
without_a_limit_all_goes_at_once(void **state)
{
    CLEANUP(pace_free_p) struct pace *p = pace_new(NULL, 0);
    struct err e = { 0 };
    size_t n = 0;

    (void)state;
    succeeds(pace_take(p, 1 << 30, NULL, &n, &e), &e);
    assert_int_equal(n, 1 << 30);
    succeeds(pace_take(NULL, 1 << 30, NULL, &n, &e), &e);
    assert_int_equal(n, 1 << 30);
    succeeds(pace_take(p, 0, NULL, &n, &e), &e);
    assert_int_equal(n, 0);
}

static void *
stop_soon(void *arg)
{
    clock_sleep_ms(50);
    if (arg)
        atomic_store((atomic_bool *)arg, true);
    else
        cancel_request();
    return NULL;
}

/* Takes at a rate at which a turn lasts four minutes, until it is stopped. */
static void
assert_ends(atomic_bool *stop)
{
    static const struct pace_hours hours = { .rate = 1 };
    CLEANUP(pace_free_p) struct pace *p = pace_new(&hours, 1);
    struct err e = { 0 };
    pthread_t thread;
    size_t n;
    int64_t began_ms = clock_mono_ms();

    assert_int_equal(pthread_create(&thread, NULL, stop_soon, stop), 0);
    fails(pace_take(p, 4096, stop, &n, &e), &e, ERR_CANCELLED, "");
    pthread_join(thread, NULL);
    assert_true(clock_mono_ms() - began_ms < 30000);
}

static void
a_stop_ends_the_wait(void **state)
{
    atomic_bool stop = false;

    (void)state;
    assert_ends(&stop);
}

/* The last test: a cancelled process stays so. */
static void
a_signal_ends_the_wait(void **state)
{
    (void)state;
    assert_ends(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_a_long_time_the_rate_is_exact),
        cmocka_unit_test(a_clock_looked_at_seldom_loses_nothing),
        cmocka_unit_test(no_stretch_of_time_has_more_than_a_burst_above_its_share),
        cmocka_unit_test(all_who_wait_get_the_same),
        cmocka_unit_test(who_comes_late_waits_for_one_turn_of_each),
        cmocka_unit_test(turns_are_short_even_at_a_low_rate),
        cmocka_unit_test(a_long_run_follows_the_hours),
        cmocka_unit_test(the_end_of_the_limit_frees_all_who_wait),
        cmocka_unit_test(a_clock_that_stands_or_jumps_does_no_harm),
        cmocka_unit_test(the_first_entry_that_holds_the_minute_counts),
        cmocka_unit_test(threads_that_share_a_pace_take_as_long_as_one),
        cmocka_unit_test(without_a_limit_all_goes_at_once),
        cmocka_unit_test(a_stop_ends_the_wait),
        cmocka_unit_test(a_signal_ends_the_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
