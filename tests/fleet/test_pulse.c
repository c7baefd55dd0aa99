#include "fleet/pulse.h"
#include "base/random.h"
#include "support/ground.h"

/* Reads over a line of 80 ms and 10 bytes/us. */
static struct pulse
on_a_line(unsigned reads, struct random *rnd)
{
    struct pulse p = { 0 };

    for (unsigned i = 0; i < reads; i++) {
        uint64_t bytes = i % 3 == 0 ? 4096 : 1000000 + random_below(rnd, 3000000);
        double ms = 80 + (double)bytes / 10000;
        ms *= 0.95 + random_below(rnd, 100) / 1000.0;
        pulse_add(&p, bytes, (int64_t)ms);
    }
    return p;
}

static void
what_is_expected_fits_the_line(void **state)
{
    struct random rnd = { .seed = 7 };
    struct pulse p = on_a_line(200, &rnd);

    (void)state;
    assert_in_range(pulse_expected_ms(&p, 4096), 70, 95);
    assert_in_range(pulse_expected_ms(&p, 2000000), 230, 330);
}

static void
late_is_a_little_more_than_usual(void **state)
{
    struct random rnd = { .seed = 8 };
    struct pulse p = on_a_line(200, &rnd);
    unsigned late = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t bytes = i % 3 == 0 ? 4096 : 1000000 + random_below(&rnd, 3000000);
        double ms = (80 + (double)bytes / 10000)
                  * (0.95 + random_below(&rnd, 100) / 1000.0);
        late += (int64_t)ms > pulse_late_ms(&p, bytes);
    }
    assert_in_range(late, 0, 100); /* about one in twenty */
    assert_true(pulse_late_ms(&p, 4096) < 200);
    assert_true(pulse_late_ms(&p, 4096) >= 80);
}

static void
without_experience_there_is_patience(void **state)
{
    struct pulse p = { 0 };

    (void)state;
    assert_true(pulse_late_ms(&p, 0) >= PULSE_UNKNOWN_MS);
    for (int i = 0; i < PULSE_FEW; i++)
        pulse_add(&p, 1000, 0);
    assert_int_equal(pulse_late_ms(&p, 1000), PULSE_LATE_MIN_MS);
}

static void
a_line_that_slows_down_is_noticed(void **state)
{
    struct pulse p = { 0 };

    (void)state;
    for (int i = 0; i < 100; i++)
        pulse_add(&p, 1000, 10);
    assert_in_range(pulse_expected_ms(&p, 1000), 8, 12);
    for (int i = 0; i < 100; i++)
        pulse_add(&p, 1000, 500);
    assert_in_range(pulse_expected_ms(&p, 1000), 450, 510);
}

/* 32 MiB over a slow line take their time: that is no reason to give the target up. */
static void
what_is_large_does_not_hang_yet(void **state)
{
    struct random rnd = { .seed = 9 };
    struct pulse p = on_a_line(200, &rnd), unknown = { 0 };
    uint64_t large = 32u << 20;

    (void)state;
    assert_true(pulse_hang_ms(&p, 4096) < 4000);
    assert_true(pulse_hang_ms(&p, large) > 2 * pulse_expected_ms(&p, large));
    assert_true(pulse_hang_ms(&p, large) > pulse_late_ms(&p, large));
    assert_true(pulse_hang_ms(&unknown, large) > 30000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_expected_fits_the_line),
        cmocka_unit_test(late_is_a_little_more_than_usual),
        cmocka_unit_test(without_experience_there_is_patience),
        cmocka_unit_test(a_line_that_slows_down_is_noticed),
        cmocka_unit_test(what_is_large_does_not_hang_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
