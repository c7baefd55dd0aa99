#include "base/cancel.h"
#include "base/clock.h"
#include "storage/mem.h"
#include "storage/wrap.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int64_t slept[256];
static unsigned sleeps;

static void
note_sleep(int64_t ms)
{
    slept[sleeps++ % 256] = ms;
}

static const struct retry_options patient = { .tries = 5, .first_wait_ms = 200,
                                             .max_wait_ms = 1000,
                                             .sleep_ms = note_sleep };

/* retry(fault(mem)): *fault breaks the calls of the plan. */
static struct storage *
make(const struct fault_plan *plan, struct storage **fault)
{
    sleeps = 0;
    *fault = storage_fault(storage_mem(), plan);
    return storage_retry(*fault, &patient);
}

static int
put(struct storage *s, const char *key, const char *text, unsigned flags, struct err *e)
{
    struct body b = body_of(slice_str(text));

    return storage_put(s, key, &b, flags, e);
}

static void
what_fails_twice_is_tried_a_third_time(void **state)
{
    struct fault_plan plan = { FAULT_REFUSE, FAULT_ON_PUT, 1, 2, NULL };
    struct storage *fault;
    CLEANUP(storage_close_p) struct storage *s = make(&plan, &fault);
    struct err e = { 0 };

    (void)state;
    assert_int_equal(put(s, "a", "x", 0, &e), 0);
    assert_int_equal(storage_fault_calls(fault), 3);
    assert_int_equal(sleeps, 2);
}

static void
it_gives_up_after_its_tries_with_the_last_error(void **state)
{
    struct fault_plan plan = { FAULT_REFUSE, 0, 1, UINT_MAX, NULL };
    struct storage *fault;
    CLEANUP(storage_close_p) struct storage *s = make(&plan, &fault);
    struct err e = { 0 };

    (void)state;
    assert_int_equal(put(s, "a", "x", 0, &e), -1);
    assert_int_equal(e.kind, ERR_UNAVAIL);
    assert_int_equal(storage_fault_calls(fault), 5);
}

/* Waits double from 200 ms up to the bound and are spread below it. */
static void
waits_are_random_below_a_doubling_bound(void **state)
{
    static const int64_t bound[] = { 200, 400, 800, 1000 };
    int64_t most[4] = { 0 };
    struct err e = { 0 };

    (void)state;
    for (int round = 0; round < 60; round++) {
        struct fault_plan plan = { FAULT_REFUSE, 0, 1, UINT_MAX, NULL };
        struct storage *fault;
        CLEANUP(storage_close_p) struct storage *s = make(&plan, &fault);
        assert_int_equal(put(s, "a", "x", 0, &e), -1);
        assert_int_equal(sleeps, 4);
        for (int i = 0; i < 4; i++) {
            assert_in_range((uintmax_t)slept[i], 0, (uintmax_t)bound[i]);
            most[i] = slept[i] > most[i] ? slept[i] : most[i];
        }
    }
    for (int i = 0; i < 4; i++)
        assert_true(most[i] > bound[i] / 2);
}

static void
what_another_try_cannot_help_is_told_at_once(void **state)
{
    static const enum fault_mode modes[] = { FAULT_DENY, FAULT_MISSING };
    static const enum err_kind kinds[] = { ERR_DENIED, ERR_NOT_FOUND };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        struct fault_plan plan = { modes[i], 0, 1, UINT_MAX, NULL };
        struct storage *fault;
        CLEANUP(storage_close_p) struct storage *s = make(&plan, &fault);
        AUTOBUF struct buf out = BUF(64);
        struct range r = { .key = "a" };
        struct err e = { 0 };
        assert_int_equal(storage_get(s, &r, &out, &e), -1);
        assert_int_equal(e.kind, kinds[i]);
        assert_int_equal(storage_fault_calls(fault), 1);
    }
}

/* When only the answer to a put is lost, the object is there: a caller that
 * tries again must end with one object and no error. */
static void
a_lost_answer_to_a_creation_is_not_taken_for_another_ones(void **state)
{
    struct fault_plan plan = { FAULT_LOSE_ACK, FAULT_ON_PUT, 1, 1, NULL };
    struct storage *fault;
    CLEANUP(storage_close_p) struct storage *s = make(&plan, &fault);
    struct err e = { 0 };

    (void)state;
    assert_int_equal(put(s, "drt.repo", "mine", PUT_IF_ABSENT, &e), 0);
    assert_int_equal(put(s, "drt.repo", "mine", PUT_IF_ABSENT, &e), -1);
    assert_int_equal(e.kind, ERR_EXISTS);
}

static void
a_creation_that_lost_the_race_is_told_even_after_a_retry(void **state)
{
    struct fault_plan plan = { FAULT_REFUSE, FAULT_ON_PUT, 2, 1, NULL };
    struct storage *fault;
    CLEANUP(storage_close_p) struct storage *s = make(&plan, &fault);
    struct err e = { 0 };

    (void)state;
    assert_int_equal(put(s, "drt.repo", "theirs", PUT_IF_ABSENT, &e), 0);
    assert_int_equal(put(s, "drt.repo", "mine", PUT_IF_ABSENT, &e), -1);
    assert_int_equal(e.kind, ERR_EXISTS);
}

static int
note_key(void *arg, const struct object_info *o, struct err *e)
{
    (void)e;
    buf_put_str(arg, o->key);
    return 0;
}

static void
a_listing_that_broke_tells_no_key_twice(void **state)
{
    static const char *const keys[] = { "1", "2", "3", "4", "5" };
    struct fault_plan plan = { FAULT_CUT, FAULT_ON_LIST, 1, 3, NULL };
    struct storage *fault;
    CLEANUP(storage_close_p) struct storage *s = make(&plan, &fault);
    AUTOBUF struct buf out = BUF(64);
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        assert_int_equal(put(s, keys[i], "x", 0, &e), 0);
    assert_int_equal(storage_list(s, "", note_key, &out, &e), 0);
    assert_string_equal(buf_cstr(&out), "12345");
    assert_int_equal(storage_fault_calls(fault), 4);
}

/* A dead target must not cost every call its full patience. */
static void
the_budget_of_a_dead_target_runs_out(void **state)
{
    struct fault_plan plan = { FAULT_REFUSE, 0, 1, UINT_MAX, NULL };
    struct fault_plan healed = { .at = 0 };
    struct storage *fault;
    CLEANUP(storage_close_p) struct storage *s = make(&plan, &fault);
    struct err e = { 0 };

    (void)state;
    for (int i = 0; i < 40; i++)
        assert_int_equal(put(s, "a", "x", 0, &e), -1);
    assert_int_equal(storage_fault_calls(fault), 40 + 64);

    storage_fault_plan(fault, &healed);
    for (int i = 0; i < 10; i++)
        assert_int_equal(put(s, "a", "x", 0, &e), 0);
    plan.count = 2;
    storage_fault_plan(fault, &plan);
    assert_int_equal(put(s, "a", "x", 0, &e), 0);
}

struct told {
    unsigned count, sleeps; /* the sleeps before the latest */
    enum err_kind kind;
};

static void
note_try(void *arg, const struct err *e)
{
    struct told *t = arg;

    t->count++;
    t->sleeps = sleeps;
    t->kind = e->kind;
}

static void
each_failed_try_is_told_before_the_wait(void **state)
{
    struct fault_plan plan = { FAULT_REFUSE, 0, 1, 2, NULL };
    struct fault_plan denied = { FAULT_DENY, 0, 1, 1, NULL };
    struct told t = { 0 };
    struct retry_options o = patient;
    struct storage *fault = storage_fault(storage_mem(), &plan);
    struct err e = { 0 };

    (void)state;
    o.tried = note_try;
    o.arg = &t;
    sleeps = 0;
    CLEANUP(storage_close_p) struct storage *s = storage_retry(fault, &o);
    assert_int_equal(put(s, "a", "x", 0, &e), 0);
    assert_int_equal(t.count, 2);
    assert_int_equal(t.sleeps, 1);
    assert_int_equal(t.kind, ERR_UNAVAIL);
    storage_fault_plan(fault, &denied);
    assert_int_equal(put(s, "a", "x", 0, &e), -1);
    assert_int_equal(t.count, 3);
    assert_int_equal(t.kind, ERR_DENIED);
    assert_int_equal(put(s, "a", "x", 0, &e), 0);
    assert_int_equal(t.count, 3);
}

static int
stop_at_once(void *arg, const struct object_info *o, struct err *e)
{
    (void)arg;
    return err_set(e, ERR_UNAVAIL, 0, "seen %s", o->key);
}

/* What the caller of a listing says to end it is nothing about the target. */
static void
a_listing_that_was_ended_is_no_failed_try(void **state)
{
    struct told t = { 0 };
    struct retry_options o = patient;
    struct err e = { 0 };

    (void)state;
    o.tried = note_try;
    o.arg = &t;
    CLEANUP(storage_close_p) struct storage *s = storage_retry(storage_mem(), &o);
    assert_int_equal(put(s, "a", "x", 0, &e), 0);
    assert_int_equal(storage_list(s, "", stop_at_once, NULL, &e), -1);
    assert_int_equal(t.count, 0);
}

static void
stop_it(void *arg, const struct err *e)
{
    (void)e;
    atomic_store((atomic_bool *)arg, true);
}

/* The long wait is cut short by the one who wants the bytes no more. */
static void
a_stop_ends_the_waiting(void **state)
{
    struct fault_plan plan = { FAULT_REFUSE, 0, 1, UINT_MAX, NULL };
    atomic_bool stop = false;
    struct retry_options slow = { .tries = 5, .first_wait_ms = 20000,
                                  .max_wait_ms = 20000, .tried = stop_it, .arg = &stop };
    struct storage *fault = storage_fault(storage_mem(), &plan);
    CLEANUP(storage_close_p) struct storage *s = storage_retry(fault, &slow);
    struct range r = { .key = "a", .stop = &stop };
    AUTOBUF struct buf out = BUF(64);
    struct err e = { 0 };

    (void)state;
    assert_int_equal(storage_get(s, &r, &out, &e), -1);
    assert_int_equal(e.kind, ERR_CANCELLED);
    assert_int_equal(storage_fault_calls(fault), 1);
}

/* The last test: a cancelled process stays so. */
static void
a_signal_ends_the_waiting(void **state)
{
    struct fault_plan plan = { FAULT_REFUSE, 0, 1, UINT_MAX, NULL };
    struct retry_options slow = { .tries = 5, .first_wait_ms = 20000,
                                  .max_wait_ms = 20000 };
    struct storage *fault = storage_fault(storage_mem(), &plan);
    CLEANUP(storage_close_p) struct storage *s = storage_retry(fault, &slow);
    struct err e = { 0 };
    int64_t began_ms = clock_mono_ms();

    (void)state;
    cancel_request();
    assert_int_equal(put(s, "a", "x", 0, &e), -1);
    assert_int_equal(storage_fault_calls(fault), 1);
    assert_true(clock_mono_ms() - began_ms < 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fails_twice_is_tried_a_third_time),
        cmocka_unit_test(it_gives_up_after_its_tries_with_the_last_error),
        cmocka_unit_test(waits_are_random_below_a_doubling_bound),
        cmocka_unit_test(what_another_try_cannot_help_is_told_at_once),
        cmocka_unit_test(a_lost_answer_to_a_creation_is_not_taken_for_another_ones),
        cmocka_unit_test(a_creation_that_lost_the_race_is_told_even_after_a_retry),
        cmocka_unit_test(a_listing_that_broke_tells_no_key_twice),
        cmocka_unit_test(the_budget_of_a_dead_target_runs_out),
        cmocka_unit_test(each_failed_try_is_told_before_the_wait),
        cmocka_unit_test(a_listing_that_was_ended_is_no_failed_try),
        cmocka_unit_test(a_stop_ends_the_waiting),
        cmocka_unit_test(a_signal_ends_the_waiting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
