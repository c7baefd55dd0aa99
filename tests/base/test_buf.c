#include "support/ground.h"

static void
numbers_are_little_endian_and_come_back(void **state)
{
    AUTOBUF struct buf b = BUF(100);

    (void)state;
    buf_put_u8(&b, 0x12);
    buf_put_u16(&b, 0x3456);
    buf_put_u32(&b, 0x789abcde);
    buf_put_u64(&b, 0xfedcba9876543210u);
    assert_memory_equal(b.ptr, "\x12\x56\x34\xde\xbc\x9a\x78\x10\x32\x54\x76\x98\xba",
                        13);
    struct reader r = reader_of(buf_slice(&b));
    assert_int_equal(read_u8(&r), 0x12);
    assert_int_equal(read_u16(&r), 0x3456);
    assert_int_equal(read_u32(&r), 0x789abcde);
    assert_true(read_u64(&r) == 0xfedcba9876543210u);
    assert_false(r.bad);
    assert_int_equal(r.left, 0);
}

static void
variable_numbers_come_back_at_every_length(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift < 64; shift++)
        for (int d = -1; d <= 1; d++) {
            AUTOBUF struct buf b = BUF(10);
            uint64_t v = ((uint64_t)1 << shift) + (uint64_t)(int64_t)d;
            buf_put_var(&b, v);
            struct reader r = reader_of(buf_slice(&b));
            assert_true(read_var(&r) == v);
            assert_false(r.bad);
            assert_int_equal(r.left, 0);
        }
}

/* Bytes from outside: a number of more than 64 bits must not wrap. */
static void
a_variable_number_that_is_too_long_is_bad(void **state)
{
    static const char *const bad[] = {
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
        "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        "\x80\x80",
        "",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct reader r = reader_of(slice_str(bad[i]));
        assert_true(read_var(&r) == 0);
        assert_true(r.bad);
    }
}

static void
reading_past_the_end_gives_zeros_and_is_remembered(void **state)
{
    struct reader r = reader_of(SLICE("abc"));
    char out[8] = "xxxxxxx";

    (void)state;
    assert_int_equal(read_u32(&r), 0);
    assert_true(r.bad);
    assert_int_equal(read_u8(&r), 0); /* although a byte is there: bad stays */
    assert_int_equal(read_slice(&r, 1).len, 0);
    read_copy(&r, out, 4);
    assert_memory_equal(out, "\0\0\0\0xxx", 7);
}

static void
a_buffer_grows_up_to_its_maximum(void **state)
{
    AUTOBUF struct buf b = BUF(1000);

    (void)state;
    for (int i = 0; i < 1000; i++)
        buf_put_u8(&b, (uint8_t)i);
    assert_int_equal(b.len, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(b.ptr[i], (uint8_t)i);
    buf_clear(&b);
    buf_put_zero(&b, 10);
    buf_put_str(&b, "end");
    assert_int_equal(b.len, 13);
    assert_string_equal(buf_cstr(&b) + 10, "end");
}

static void
the_last_bytes_are_kept_however_they_come(void **state)
{
    static const char all[] = "the quick brown fox jumps over the lazy dog";

    (void)state;
    for (size_t step = 1; step <= sizeof all; step++) {
        AUTOBUF struct buf b = BUF(8);
        size_t put = 0;
        while (put < sizeof all) {
            size_t n = step < sizeof all - put ? step : sizeof all - put;
            buf_put_last(&b, all + put, n);
            buf_put_last(&b, NULL, 0);
            put += n;
            size_t kept = put < 8 ? put : 8;
            assert_true(slice_equal(buf_slice(&b), slice_of(all + put - kept, kept)));
        }
    }
}

static void
formatted_text_is_appended_without_its_end_mark(void **state)
{
    AUTOBUF struct buf b = BUF(100);

    (void)state;
    buf_printf(&b, "%d-%s", 42, "x");
    buf_printf(&b, "%s", "");
    assert_int_equal(b.len, 4);
    assert_string_equal(buf_cstr(&b), "42-x");
}

/* A text that just fits must not need room for a NUL as well. */
static void
formatted_text_may_fill_the_buffer_to_the_brim(void **state)
{
    AUTOBUF struct buf b = BUF(4);

    (void)state;
    buf_printf(&b, "%s", "1234");
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.ptr, "1234", 4);
}

static void
slices_compare_by_bytes_then_length(void **state)
{
    (void)state;
    assert_true(slice_compare(SLICE("a"), SLICE("ab")) < 0);
    assert_true(slice_compare(SLICE("b"), SLICE("ab")) > 0);
    assert_true(slice_compare(SLICE("\x80"), SLICE("\x7f")) > 0);
    assert_int_equal(slice_compare(SLICE("ab"), SLICE("ab")), 0);
    assert_true(slice_equal(SLICE(""), slice_of(NULL, 0)));
    assert_true(slice_equal(slice_sub(SLICE("abcd"), 1, 2), SLICE("bc")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_little_endian_and_come_back),
        cmocka_unit_test(variable_numbers_come_back_at_every_length),
        cmocka_unit_test(a_variable_number_that_is_too_long_is_bad),
        cmocka_unit_test(reading_past_the_end_gives_zeros_and_is_remembered),
        cmocka_unit_test(a_buffer_grows_up_to_its_maximum),
        cmocka_unit_test(the_last_bytes_are_kept_however_they_come),
        cmocka_unit_test(formatted_text_is_appended_without_its_end_mark),
        cmocka_unit_test(formatted_text_may_fill_the_buffer_to_the_brim),
        cmocka_unit_test(slices_compare_by_bytes_then_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
