#include "source/facts.h"
#include "support/fixture.h"

static void
what_was_put_is_found(void **state)
{
    AUTOBUF struct buf f = BUF(FACTS_MAX);
    const char *name, *value;

    (void)state;
    facts_put(&f, "timeline", "3");
    facts_put_number(&f, "bytes", UINT64_MAX);
    facts_put(&f, "empty", "");
    assert_true(facts_valid(buf_slice(&f)));
    assert_string_equal(facts_get(buf_slice(&f), "bytes"), "18446744073709551615");
    assert_string_equal(facts_get(buf_slice(&f), "empty"), "");
    assert_null(facts_get(buf_slice(&f), "3")); /* a value is no name */
    struct slice rest = buf_slice(&f);
    assert_true(facts_next(&rest, &name, &value));
    assert_string_equal(name, "timeline");
    assert_string_equal(value, "3");
    assert_true(facts_next(&rest, &name, &value));
    assert_true(facts_next(&rest, &name, &value));
    assert_false(facts_next(&rest, &name, &value));
}

static void
what_is_too_much_or_no_text_is_left_out(void **state)
{
    AUTOBUF struct buf f = BUF(32);

    (void)state;
    facts_put(&f, "a", "b");
    facts_put(&f, "", "b");
    facts_put(&f, "c", "\xff");
    facts_put(&f, "\xff", "d");
    facts_put(&f, "e", "0123456789012345678901234567");
    assert_int_equal(f.len, 4);
    facts_put(&f, "f", "0123456789012345678901234");
    assert_int_equal(f.len, 32);
}

static void
bytes_that_are_no_facts_are_known(void **state)
{
    (void)state;
    assert_true(facts_valid(SLICE("")));
    assert_true(facts_valid(SLICE("a\0b\0")));
    assert_false(facts_valid(SLICE("a")));
    assert_false(facts_valid(SLICE("a\0b")));
    assert_false(facts_valid(SLICE("a\0b\0c\0")));
    assert_false(facts_valid(SLICE("\0b\0")));
    assert_false(facts_valid(SLICE("a\0\xff\0")));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_found),
        cmocka_unit_test(what_is_too_much_or_no_text_is_left_out),
        cmocka_unit_test(bytes_that_are_no_facts_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
