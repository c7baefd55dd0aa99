#include "support/ground.h"

#include <errno.h>

/* The first cause must survive however many callers add what they did. */
static void
purpose_goes_in_front_and_leaves_the_cause_alone(void **state)
{
    struct err e = { 0 };

    (void)state;
    assert_int_equal(err_set(&e, ERR_CORRUPT, 0, "byte %d is wrong", 7), -1);
    assert_int_equal(err_in(&e, "reading pack %s", "4f02"), -1);
    assert_int_equal(err_in(&e, "restoring web"), -1);
    assert_string_equal(err_text(&e),
                        "restoring web: reading pack 4f02: byte 7 is wrong");
    assert_string_equal(e.text, "byte 7 is wrong");
}

static void
long_words_are_cut_and_never_overrun(void **state)
{
    char word[2000];
    struct err e = { 0 };

    (void)state;
    memset(word, 'w', sizeof word - 1);
    word[sizeof word - 1] = 0;
    err_set(&e, ERR_IO, 0, "%s", word);
    for (int i = 0; i < 10; i++)
        err_in(&e, "%s", word);
    assert_true(strlen(err_text(&e)) < sizeof e.where + sizeof e.text + 4);
    err_sys(&e, ENOENT, "opening %s", word);
    assert_non_null(strstr(e.text, "No such file"));
}

static void
an_errno_gets_the_kind_that_fits(void **state)
{
    static const struct {
        int cause;
        enum err_kind kind;
    } cases[] = { { ENOENT, ERR_NOT_FOUND },
                  { EACCES, ERR_DENIED },
                  { ENOSPC, ERR_FULL },
                  { EEXIST, ERR_EXISTS },
                  { EIO, ERR_IO } };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err e = { 0 };
        err_sys(&e, cases[i].cause, "doing");
        assert_int_equal(e.kind, cases[i].kind);
        assert_int_equal(e.cause, cases[i].cause);
    }
}

/* Scripts rely on these numbers. */
static void
statuses_have_their_numbers_and_names(void **state)
{
    (void)state;
    assert_int_equal(status_number(STATUS_OK), 0);
    assert_int_equal(status_number(STATUS_DEGRADED), 4);
    assert_int_equal(status_number(STATUS_NO_QUORUM), 5);
    assert_int_equal(status_number(STATUS_INTERRUPTED), 130);
    assert_string_equal(status_name(STATUS_NO_QUORUM), "no-quorum");
    assert_string_equal(err_name(ERR_NOT_FOUND), "not-found");
    for (enum status s = 0; s < STATUS_COUNT; s++)
        for (enum status t = 0; t < s; t++)
            assert_int_not_equal(status_number(s), status_number(t));
}

static void
the_worst_of_several_statuses_wins(void **state)
{
    static const enum status order[] = {
        STATUS_ROLLBACK, STATUS_DAMAGED, STATUS_NO_QUORUM, STATUS_FAILED,
        STATUS_DENIED,   STATUS_AWAY,    STATUS_SOURCE,    STATUS_BUSY,
        STATUS_DEGRADED, STATUS_PARTIAL, STATUS_OK,
    };

    (void)state;
    for (size_t i = 0; i + 1 < COUNT_OF(order); i++)
        assert_int_equal(status_worse(order[i + 1], order[i]), order[i]);
}

static void
only_what_may_pass_is_tried_again(void **state)
{
    (void)state;
    assert_true(err_retryable(ERR_UNAVAIL));
    assert_true(err_retryable(ERR_THROTTLED));
    assert_false(err_retryable(ERR_DENIED));
    assert_false(err_retryable(ERR_CORRUPT));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(purpose_goes_in_front_and_leaves_the_cause_alone),
        cmocka_unit_test(long_words_are_cut_and_never_overrun),
        cmocka_unit_test(an_errno_gets_the_kind_that_fits),
        cmocka_unit_test(statuses_have_their_numbers_and_names),
        cmocka_unit_test(the_worst_of_several_statuses_wins),
        cmocka_unit_test(only_what_may_pass_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
