#include "fleet/health.h"
#include "base/random.h"
#include "support/ground.h"

#define MIN_MS 60000

static struct health_now
at(int64_t ms)
{
    return (struct health_now){ ms, 1700000000 + ms / 1000 };
}

/* One that was asked and is ours. */
static struct health
up_at(int64_t ms)
{
    struct health h;

    health_init(&h, HEALTH_WINDOW_MAX, 0);
    health_found(&h, TARGET_UP, at(ms));
    return h;
}

static void
be(struct health *h, enum target_state s)
{
    h->state = s;
    h->next_try_ms = INT64_MAX;
}

/* Every state against every event, in one table: the diagram of the header. */
static void
each_event_leads_where_the_diagram_says(void **state)
{
    static const struct {
        enum target_state from;
        enum health_event what;
        enum target_state to;
    } arrows[] = {
        { TARGET_NEW, HEALTH_SILENCE, TARGET_DOWN },
        { TARGET_NEW, HEALTH_AWAY, TARGET_DOWN },
        { TARGET_NEW, HEALTH_REFUSED, TARGET_DENIED },
        { TARGET_UP, HEALTH_SLOWDOWN, TARGET_THROTTLED },
        { TARGET_UP, HEALTH_AWAY, TARGET_DOWN },
        { TARGET_UP, HEALTH_REFUSED, TARGET_DENIED },
        { TARGET_UP, HEALTH_NO_ROOM, TARGET_FULL },
        { TARGET_UP, HEALTH_BEHIND, TARGET_CATCHING_UP },
        { TARGET_THROTTLED, HEALTH_AWAY, TARGET_DOWN },
        { TARGET_THROTTLED, HEALTH_REFUSED, TARGET_DENIED },
        { TARGET_THROTTLED, HEALTH_NO_ROOM, TARGET_FULL },
        { TARGET_DOWN, HEALTH_ANSWER, TARGET_UP },
        { TARGET_DOWN, HEALTH_STORED, TARGET_UP },
        { TARGET_DOWN, HEALTH_OURS, TARGET_UP },
        { TARGET_PROBING, HEALTH_OURS, TARGET_UP },
        { TARGET_CATCHING_UP, HEALTH_OURS, TARGET_UP },
        { TARGET_QUARANTINED, HEALTH_OURS, TARGET_UP },
        { TARGET_DOWN, HEALTH_SLOWDOWN, TARGET_THROTTLED },
        { TARGET_DOWN, HEALTH_REFUSED, TARGET_DENIED },
        { TARGET_DOWN, HEALTH_NO_ROOM, TARGET_FULL },
        { TARGET_PROBING, HEALTH_ANSWER, TARGET_UP },
        { TARGET_PROBING, HEALTH_STORED, TARGET_UP },
        { TARGET_PROBING, HEALTH_SLOWDOWN, TARGET_THROTTLED },
        { TARGET_PROBING, HEALTH_SILENCE, TARGET_DOWN },
        { TARGET_PROBING, HEALTH_AWAY, TARGET_DOWN },
        { TARGET_PROBING, HEALTH_REFUSED, TARGET_DENIED },
        { TARGET_PROBING, HEALTH_NO_ROOM, TARGET_FULL },
        { TARGET_CATCHING_UP, HEALTH_SLOWDOWN, TARGET_THROTTLED },
        { TARGET_CATCHING_UP, HEALTH_ANSWER, TARGET_UP }, /* behind is not set here */
        { TARGET_CATCHING_UP, HEALTH_STORED, TARGET_UP },
        { TARGET_CATCHING_UP, HEALTH_LEVEL, TARGET_UP },
        { TARGET_CATCHING_UP, HEALTH_WRONG, TARGET_UP },
        { TARGET_CATCHING_UP, HEALTH_CLEARED, TARGET_UP },
        { TARGET_CATCHING_UP, HEALTH_AWAY, TARGET_DOWN },
        { TARGET_CATCHING_UP, HEALTH_REFUSED, TARGET_DENIED },
        { TARGET_CATCHING_UP, HEALTH_NO_ROOM, TARGET_FULL },
        { TARGET_QUARANTINED, HEALTH_ANSWER, TARGET_UP }, /* nor is wrong */
        { TARGET_QUARANTINED, HEALTH_STORED, TARGET_UP },
        { TARGET_QUARANTINED, HEALTH_CLEARED, TARGET_UP },
        { TARGET_QUARANTINED, HEALTH_WRONG, TARGET_UP },
        { TARGET_QUARANTINED, HEALTH_LEVEL, TARGET_UP },
        { TARGET_QUARANTINED, HEALTH_BEHIND, TARGET_CATCHING_UP },
        { TARGET_QUARANTINED, HEALTH_AWAY, TARGET_DOWN },
        { TARGET_QUARANTINED, HEALTH_REFUSED, TARGET_DENIED },
        { TARGET_QUARANTINED, HEALTH_NO_ROOM, TARGET_FULL },
        { TARGET_FULL, HEALTH_STORED, TARGET_UP },
        { TARGET_FULL, HEALTH_AWAY, TARGET_DOWN },
        { TARGET_FULL, HEALTH_REFUSED, TARGET_DENIED },
        { TARGET_DENIED, HEALTH_STORED, TARGET_UP },
        { TARGET_DENIED, HEALTH_AWAY, TARGET_DOWN },
        { TARGET_DENIED, HEALTH_NO_ROOM, TARGET_FULL },
        { TARGET_NEW, HEALTH_NO_ROOM, TARGET_FULL },
    };

    (void)state;
    for (int from = 0; from < TARGET_STATES; from++)
        for (int what = HEALTH_ANSWER; what <= HEALTH_CLEARED; what++) {
            struct health h = up_at(0);
            int to = from;
            be(&h, (enum target_state)from);
            for (size_t i = 0; i < COUNT_OF(arrows); i++)
                if ((int)arrows[i].from == from && (int)arrows[i].what == what)
                    to = (int)arrows[i].to;
            bool moved = health_event(&h, (enum health_event)what, at(1000));
            if ((int)h.state != to || moved != (to != from))
                fail_msg("%s and event %d: %s, not %s",
                         target_state_name((enum target_state)from), what,
                         target_state_name(h.state),
                         target_state_name((enum target_state)to));
        }
}

static void
the_breaker_opens_after_silences_in_a_row(void **state)
{
    struct health h = up_at(0);

    (void)state;
    for (int i = 1; i < HEALTH_OPEN_AFTER; i++)
        assert_false(health_event(&h, HEALTH_SILENCE, at(i)));
    assert_false(health_event(&h, HEALTH_ANSWER, at(10)));
    for (int i = 1; i < HEALTH_OPEN_AFTER; i++)
        assert_false(health_event(&h, HEALTH_SILENCE, at(20 + i)));
    assert_true(health_event(&h, HEALTH_SILENCE, at(30)));
    assert_int_equal(h.state, TARGET_DOWN);
    assert_int_equal(h.since_s, at(30).s);
}

/* 15 s, doubling to 5 min; one probe at a time; an answer begins anew. */
static void
one_that_is_down_is_probed_more_and_more_seldom(void **state)
{
    static const int64_t waits[] = { 15, 30, 60, 120, 240, 300, 300 };
    struct health h = up_at(0);
    int64_t now = 0;

    (void)state;
    health_event(&h, HEALTH_AWAY, at(now));
    for (size_t i = 0; i < COUNT_OF(waits); i++) {
        assert_int_equal(health_wait_ms(&h, at(now)), waits[i] * 1000);
        assert_false(health_may_try(&h, true, at(now + waits[i] * 1000 - 1)));
        now += waits[i] * 1000;
        assert_true(health_may_try(&h, false, at(now)));
        assert_int_equal(h.state, TARGET_PROBING);
        assert_false(health_may_try(&h, false, at(now)));
        health_event(&h, HEALTH_SILENCE, at(now));
        assert_int_equal(h.state, TARGET_DOWN);
    }
    now += HEALTH_WAIT_MAX_MS;
    assert_true(health_may_try(&h, false, at(now)));
    health_event(&h, HEALTH_ANSWER, at(now));
    assert_int_equal(h.state, TARGET_UP);
    health_event(&h, HEALTH_AWAY, at(now));
    assert_int_equal(health_wait_ms(&h, at(now)), HEALTH_WAIT_MS);
}

/* Answers that were on their way when the breaker opened do not lengthen it. */
static void
late_silences_do_not_count_twice(void **state)
{
    struct health h = up_at(0);

    (void)state;
    for (int i = 0; i < HEALTH_OPEN_AFTER + 20; i++)
        health_event(&h, HEALTH_SILENCE, at(0));
    assert_int_equal(h.state, TARGET_DOWN);
    assert_int_equal(health_wait_ms(&h, at(0)), HEALTH_WAIT_MS);
}

static void
one_that_returns_catches_up_first(void **state)
{
    struct health h = up_at(0);

    (void)state;
    health_event(&h, HEALTH_AWAY, at(0));
    health_event(&h, HEALTH_BEHIND, at(0));
    assert_int_equal(h.state, TARGET_DOWN);
    assert_true(health_may_try(&h, true, at(MIN_MS)));
    health_event(&h, HEALTH_STORED, at(MIN_MS));
    assert_int_equal(h.state, TARGET_CATCHING_UP);
    assert_true(health_event(&h, HEALTH_LEVEL, at(MIN_MS + 1)));
    assert_int_equal(h.state, TARGET_UP);
}

static void
throttling_ends_after_a_time_without(void **state)
{
    struct health h = up_at(0);

    (void)state;
    health_event(&h, HEALTH_SLOWDOWN, at(0));
    assert_true(health_may_try(&h, true, at(0)));
    health_event(&h, HEALTH_SLOWDOWN, at(20000));
    health_event(&h, HEALTH_ANSWER, at(20000 + HEALTH_THROTTLED_MS - 1));
    assert_int_equal(h.state, TARGET_THROTTLED);
    health_event(&h, HEALTH_ANSWER, at(20000 + HEALTH_THROTTLED_MS));
    assert_int_equal(h.state, TARGET_UP);
}

/* Reading goes on; a put is tried now and then. */
static void
a_full_one_is_still_read(void **state)
{
    struct health h = up_at(0);

    (void)state;
    health_event(&h, HEALTH_NO_ROOM, at(0));
    assert_true(health_read_rank(&h) >= 0);
    assert_true(health_may_try(&h, false, at(0)));
    assert_false(health_may_try(&h, true, at(HEALTH_WAIT_MS - 1)));
    assert_true(health_may_try(&h, true, at(HEALTH_WAIT_MS)));
    assert_false(health_may_try(&h, true, at(HEALTH_WAIT_MS + 1)));
    health_event(&h, HEALTH_ANSWER, at(HEALTH_WAIT_MS + 1)); /* of a read */
    assert_int_equal(h.state, TARGET_FULL);
    health_event(&h, HEALTH_STORED, at(HEALTH_WAIT_MS + 2));
    assert_int_equal(h.state, TARGET_UP);
}

/* It is asked last, takes what is written, and stays so until it was read through:
 * also over a time of being down. */
static void
wrong_bytes_put_it_into_quarantine(void **state)
{
    struct health h = up_at(0), good = up_at(0);

    (void)state;
    for (int i = 1; i < HEALTH_WRONG_MAX; i++)
        assert_false(health_event(&h, HEALTH_WRONG, at(0)));
    assert_true(health_event(&h, HEALTH_WRONG, at(0)));
    assert_int_equal(h.state, TARGET_QUARANTINED);
    assert_true(health_read_rank(&h) > health_read_rank(&good));
    assert_true(health_may_try(&h, true, at(0)));
    health_event(&h, HEALTH_AWAY, at(0));
    assert_true(health_may_try(&h, true, at(MIN_MS)));
    health_event(&h, HEALTH_STORED, at(MIN_MS));
    assert_int_equal(h.state, TARGET_QUARANTINED);
    health_event(&h, HEALTH_CLEARED, at(MIN_MS));
    assert_int_equal(h.state, TARGET_UP);
}

static void
a_foreign_place_stays_one(void **state)
{
    static const enum target_state found[] = { TARGET_EMPTY, TARGET_FOREIGN };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(found); i++) {
        struct health h = up_at(0);
        health_found(&h, found[i], at(0));
        for (int what = HEALTH_ANSWER; what <= HEALTH_CLEARED; what++)
            assert_false(health_event(&h, (enum health_event)what, at(MIN_MS)));
        assert_false(health_may_try(&h, false, at(MIN_MS * 60)));
        assert_int_equal(health_wait_ms(&h, at(0)), -1);
        assert_int_equal(health_read_rank(&h), -1);
    }
}

static void
errors_tell_of_the_target_or_of_the_object(void **state)
{
    static const struct {
        enum err_kind kind;
        int means;
    } cases[] = {
        { ERR_UNAVAIL, HEALTH_SILENCE },
        { ERR_IO, HEALTH_SILENCE },
        { ERR_THROTTLED, HEALTH_SLOWDOWN },
        { ERR_DENIED, HEALTH_REFUSED },
        { ERR_FULL, HEALTH_NO_ROOM },
        { ERR_NO_TARGET, HEALTH_AWAY },
        { ERR_NOT_FOUND, HEALTH_ANSWER },
        { ERR_EXISTS, HEALTH_ANSWER },
        { ERR_CORRUPT, HEALTH_WRONG },
        { ERR_FORGED, HEALTH_WRONG },
        { ERR_CANCELLED, -1 },
        { ERR_USAGE, -1 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err e = { .kind = cases[i].kind };
        assert_int_equal(health_meaning(&e), cases[i].means);
    }
}

/* A line that gives each request the same rate up to `best` of them at once. */
static unsigned
window_on_a_line(unsigned best)
{
    struct health h = up_at(0);
    double now = 0;

    for (int i = 0; i < 4000; i++) {
        double rate = h.window < best ? h.window : best; /* answers a second */
        now += 1e6 / rate / 1000;
        health_pace(&h, 1 << 20, at((int64_t)now));
    }
    return h.window;
}

static void
requests_grow_as_long_as_that_helps(void **state)
{
    (void)state;
    assert_int_equal(window_on_a_line(100), HEALTH_WINDOW_MAX);
    assert_in_range(window_on_a_line(10), 9, 13);
    assert_in_range(window_on_a_line(1), 4, 6);
}

static void
trouble_halves_the_requests(void **state)
{
    struct health h = up_at(0);

    (void)state;
    h.window = 20;
    health_event(&h, HEALTH_SLOWDOWN, at(0));
    assert_int_equal(h.window, 10);
    health_event(&h, HEALTH_SILENCE, at(0));
    assert_int_equal(h.window, 5);
    for (int i = 0; i < 10; i++)
        health_event(&h, HEALTH_SLOWDOWN, at(0));
    assert_int_equal(h.window, 1);
}

static void
what_is_kept_is_recalled(void **state)
{
    AUTOBUF struct buf kept = BUF(100);
    struct health h = up_at(0), again, other;

    (void)state;
    for (int i = 0; i < HEALTH_WRONG_MAX; i++)
        health_event(&h, HEALTH_WRONG, at(5000));
    health_event(&h, HEALTH_BEHIND, at(6000));
    health_keep(&h, &kept);
    assert_int_equal(kept.len, HEALTH_KEPT);
    health_init(&again, 4, 0);
    assert_true(health_recall(&again, buf_slice(&kept)));
    other = again;
    assert_int_equal(again.state, TARGET_NEW);
    health_found(&again, TARGET_UP, at(MIN_MS));
    assert_int_equal(again.state, TARGET_QUARANTINED);
    assert_int_equal(again.since_s, at(5000).s); /* as it was */
    health_event(&other, HEALTH_SILENCE, at(MIN_MS));
    assert_int_equal(other.state, TARGET_DOWN);
    assert_int_equal(other.since_s, at(MIN_MS).s);
    kept.ptr[0] = TARGET_STATES;
    assert_false(health_recall(&again, buf_slice(&kept)));
    assert_false(health_recall(&again, slice_of(kept.ptr, 3)));
}

/* Whatever comes, one that answers again is asked again, within five minutes. */
static void
nothing_locks_a_target_out(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct random rnd = { .seed = seed };
        struct health h = up_at(0);
        int64_t now = 0;
        for (int i = 0; i < 300; i++) {
            now += random_below(&rnd, 20000);
            if (random_below(&rnd, 3) == 0 || health_may_try(&h, true, at(now)))
                health_event(&h,
                             (enum health_event)random_below(&rnd, HEALTH_CLEARED + 1),
                             at(now));
            assert_in_range(h.window, 1, HEALTH_WINDOW_MAX);
        }
        if (h.state == TARGET_PROBING) /* its probe is answered in any case */
            health_event(&h, HEALTH_SILENCE, at(now));
        now += HEALTH_WAIT_MAX_MS;
        if (!health_may_try(&h, true, at(now)))
            fail_msg("seed %llu: locked out as %s", (unsigned long long)seed,
                     target_state_name(h.state));
        health_event(&h, HEALTH_STORED, at(now));
        assert_true(health_answers(&h));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_leads_where_the_diagram_says),
        cmocka_unit_test(the_breaker_opens_after_silences_in_a_row),
        cmocka_unit_test(one_that_is_down_is_probed_more_and_more_seldom),
        cmocka_unit_test(late_silences_do_not_count_twice),
        cmocka_unit_test(one_that_returns_catches_up_first),
        cmocka_unit_test(throttling_ends_after_a_time_without),
        cmocka_unit_test(a_full_one_is_still_read),
        cmocka_unit_test(wrong_bytes_put_it_into_quarantine),
        cmocka_unit_test(a_foreign_place_stays_one),
        cmocka_unit_test(errors_tell_of_the_target_or_of_the_object),
        cmocka_unit_test(requests_grow_as_long_as_that_helps),
        cmocka_unit_test(trouble_halves_the_requests),
        cmocka_unit_test(what_is_kept_is_recalled),
        cmocka_unit_test(nothing_locks_a_target_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
