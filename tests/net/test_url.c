#include "net/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void
the_parts_of_a_url_are_told_apart(void **state)
{
    CLEANUP(url_release) struct url u = { 0 };
    struct err e = { 0 };

    (void)state;
    assert_int_equal(url_parse(&u, "HTTPS://s3.example.org:8443/a%20b/c", &e), 0);
    assert_string_equal(u.scheme, "https");
    assert_string_equal(u.host, "s3.example.org");
    assert_int_equal(u.port, 8443);
    assert_string_equal(u.path, "/a b/c");
}

static void
a_folder_has_no_host(void **state)
{
    CLEANUP(url_release) struct url u = { 0 };
    struct err e = { 0 };

    (void)state;
    assert_int_equal(url_parse(&u, "file:///mnt/nas", &e), 0);
    assert_string_equal(u.host, "");
    assert_string_equal(u.path, "/mnt/nas");
}

static void
the_host_field_has_brackets_and_only_unusual_ports(void **state)
{
    static const char *const pairs[][2] = {
        { "http://[::1]:7480", "[::1]:7480" },   { "http://h:80/", "h" },
        { "https://h:443", "h" },                { "https://h:80", "h:80" },
        { "http://10.0.0.7", "10.0.0.7" },       { "http://[fe80::1]", "[fe80::1]" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        CLEANUP(url_release) struct url u = { 0 };
        AUTOBUF struct buf out = BUF(256);
        struct err e = { 0 };
        assert_int_equal(url_parse(&u, pairs[i][0], &e), 0);
        url_authority(&out, &u);
        assert_string_equal(buf_cstr(&out), pairs[i][1]);
    }
}

static void
what_is_no_url_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "/mnt/nas", "bucket", "://x", "s3://buck et", "s3://h:0", "s3://h:70000",
        "s3://h:", "s3://h:8x", "http://[::1", "http://[::1]x", "http://[g]",
        "file:///a?b", "file:///a#b", "s3://b?x", "file:///a%", "file:///a%2",
        "file:///a%zz", "file:///a%00b",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        CLEANUP(url_release) struct url u = { 0 };
        struct err e = { 0 };
        assert_int_equal(url_parse(&u, bad[i], &e), -1);
        assert_int_equal(e.kind, ERR_USAGE);
        assert_null(u.scheme);
    }
}

/* URLs are shown in messages and logs: a password must not get that far. */
static void
credentials_in_a_url_are_refused_and_not_repeated(void **state)
{
    CLEANUP(url_release) struct url u = { 0 };
    struct err e = { 0 };

    (void)state;
    assert_int_equal(url_parse(&u, "s3://AKEY:hunter2@bucket/x", &e), -1);
    assert_int_equal(e.kind, ERR_USAGE);
    assert_null(strstr(err_text(&e), "hunter2"));
}

static void
encoding_and_decoding_are_inverse(void **state)
{
    AUTOBUF struct buf raw = BUF(256), coded = BUF(1024), back = BUF(256);

    (void)state;
    for (unsigned c = 0; c < 256; c++)
        buf_put_u8(&raw, (uint8_t)c);
    url_encode(&coded, buf_slice(&raw), false);
    assert_true(url_decode(&back, buf_slice(&coded)));
    assert_true(slice_equal(buf_slice(&raw), buf_slice(&back)));
    buf_clear(&coded);
    url_encode(&coded, slice_str("a/b c+d~"), true);
    assert_string_equal(buf_cstr(&coded), "a/b%20c%2Bd~");
}

static void
a_query_is_sorted_by_name_then_value(void **state)
{
    AUTOBUF struct buf out = BUF(256);
    const struct field fields[] = { { "prefix", "a/b" }, { "delete", "" }, { "x", "2" },
                                    { "x", "1" }, { "A", "+" } };

    (void)state;
    url_query(&out, fields, COUNT_OF(fields));
    assert_string_equal(buf_cstr(&out), "A=%2B&delete=&prefix=a%2Fb&x=1&x=2");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_of_a_url_are_told_apart),
        cmocka_unit_test(a_folder_has_no_host),
        cmocka_unit_test(the_host_field_has_brackets_and_only_unusual_ports),
        cmocka_unit_test(what_is_no_url_is_refused),
        cmocka_unit_test(credentials_in_a_url_are_refused_and_not_repeated),
        cmocka_unit_test(encoding_and_decoding_are_inverse),
        cmocka_unit_test(a_query_is_sorted_by_name_then_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
