#include "codec/record.h"
#include "support/fixture.h"

static void
fields_come_back_in_order(void **state)
{
    AUTOBUF struct buf out = BUF(1000);
    struct slice v;
    uint16_t tag;

    (void)state;
    record_put(&out, 1, SLICE("one"));
    record_put_u64(&out, 65535, UINT64_MAX);
    record_put_str(&out, 0, "");
    record_put_str(&out, 3, NULL); /* no field */
    record_put(&out, 1, SLICE("again"));
    struct reader r = reader_of(buf_slice(&out));
    assert_true(record_next(&r, &tag, &v));
    assert_true(tag == 1 && slice_equal(v, SLICE("one")));
    assert_true(record_next(&r, &tag, &v));
    assert_true(tag == 65535 && v.len == 8);
    assert_true(record_next(&r, &tag, &v));
    assert_true(tag == 0 && v.len == 0);
    assert_true(record_next(&r, &tag, &v));
    assert_true(tag == 1 && slice_equal(v, SLICE("again")));
    assert_false(record_next(&r, &tag, &v));
    assert_false(r.bad);
    assert_true(record_valid(buf_slice(&out)));
}

static void
the_first_field_of_a_tag_is_found(void **state)
{
    AUTOBUF struct buf out = BUF(1000);

    (void)state;
    record_put(&out, 7, SLICE("first"));
    record_put(&out, 7, SLICE("second"));
    record_put_u64(&out, 8, 1234567890123);
    AUTOFREE char *text = record_str(buf_slice(&out), 7);
    AUTOFREE char *none = record_str(buf_slice(&out), 9);
    assert_string_equal(text, "first");
    assert_string_equal(none, "");
    assert_true(record_u64(buf_slice(&out), 8) == 1234567890123);
    assert_int_equal(record_u64(buf_slice(&out), 9), 0);
    assert_int_equal(record_u64(buf_slice(&out), 7), 0); /* not eight bytes */
    assert_int_equal(record_get(buf_slice(&out), 9).len, 0);
    assert_non_null(record_get(buf_slice(&out), 9).ptr);
}

static void
a_copy_takes_exactly_the_length_asked_for(void **state)
{
    AUTOBUF struct buf out = BUF(1000);
    char got[8] = "xxxxxxx";

    (void)state;
    record_put(&out, 1, SLICE("four"));
    assert_false(record_copy(buf_slice(&out), 1, got, 3));
    assert_false(record_copy(buf_slice(&out), 1, got, 5));
    assert_false(record_copy(buf_slice(&out), 2, got, 4));
    assert_string_equal(got, "xxxxxxx");
    assert_true(record_copy(buf_slice(&out), 1, got, 4));
    assert_string_equal(got, "fourxxx");
}

static void
a_field_may_hold_a_record(void **state)
{
    AUTOBUF struct buf out = BUF(1000);

    (void)state;
    size_t outer = record_begin(&out, 1);
    record_put_u64(&out, 2, 42);
    size_t inner = record_begin(&out, 3);
    record_put_str(&out, 4, "deep");
    record_end(&out, inner);
    record_end(&out, outer);
    record_put_str(&out, 5, "after");
    assert_true(record_valid(buf_slice(&out)));
    struct slice in = record_get(buf_slice(&out), 1);
    assert_true(record_valid(in));
    assert_int_equal(record_u64(in, 2), 42);
    assert_true(slice_equal(record_get(record_get(in, 3), 4), SLICE("deep")));
    assert_true(slice_equal(record_get(buf_slice(&out), 5), SLICE("after")));
}

static void
an_empty_record_is_valid(void **state)
{
    (void)state;
    assert_true(record_valid(SLICE("")));
    assert_true(record_valid(slice_of(NULL, 0)));
    assert_int_equal(record_get(slice_of(NULL, 0), 1).len, 0);
}

/* Lengths come from outside: none may lead behind the end. */
static void
a_record_that_is_cut_is_not_valid(void **state)
{
    AUTOBUF struct buf out = BUF(1000);

    (void)state;
    record_put(&out, 1, SLICE("one"));
    size_t whole = out.len;
    record_put(&out, 2, SLICE("two"));
    for (size_t len = 1; len < out.len; len++) {
        AUTOFREE uint8_t *cut = mem_alloc(len);
        memcpy(cut, out.ptr, len);
        assert_int_equal(record_valid(slice_of(cut, len)), len == whole);
        assert_int_equal(record_get(slice_of(cut, len), 2).len, 0);
    }
}

static void
a_length_that_reaches_outside_is_refused(void **state)
{
    static const uint32_t lengths[] = { 4, 100, INT32_MAX, UINT32_MAX };
    AUTOBUF struct buf out = BUF(1000);

    (void)state;
    record_put(&out, 1, SLICE("one"));
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct reader r = reader_of(buf_slice(&out));
        struct slice v;
        uint16_t tag;
        put_u32(out.ptr + 2, lengths[i]);
        assert_false(record_valid(buf_slice(&out)));
        assert_false(record_next(&r, &tag, &v));
        assert_false(record_next(&r, &tag, &v)); /* and stays so */
    }
}

static void
text_may_hold_any_byte(void **state)
{
    AUTOBUF struct buf out = BUF(1000);

    (void)state;
    record_put(&out, 1, slice_of("a\0b", 3));
    AUTOFREE char *text = record_str(buf_slice(&out), 1);
    assert_string_equal(text, "a");
    assert_int_equal(record_get(buf_slice(&out), 1).len, 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_come_back_in_order),
        cmocka_unit_test(the_first_field_of_a_tag_is_found),
        cmocka_unit_test(a_copy_takes_exactly_the_length_asked_for),
        cmocka_unit_test(a_field_may_hold_a_record),
        cmocka_unit_test(an_empty_record_is_valid),
        cmocka_unit_test(a_record_that_is_cut_is_not_valid),
        cmocka_unit_test(a_length_that_reaches_outside_is_refused),
        cmocka_unit_test(text_may_hold_any_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
