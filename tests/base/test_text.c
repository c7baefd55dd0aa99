#include "base/text.h"
#include "support/ground.h"

#include <time.h>

static void
durations_are_read_in_all_units(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        { "90s", 90000 },     { "15m", 900000 },    { "4h", 14400000 },
        { "7d", 604800000 },  { "2w", 1209600000 }, { "250ms", 250 },
        { "1h30m", 5400000 }, { "1.5s", 1500 },     { "0s", 0 },
    };
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_true(text_duration(cases[i].text, &ms));
        assert_int_equal(ms, cases[i].ms);
    }
}

static void
what_is_no_duration_is_refused(void **state)
{
    static const char *const bad[] = { "",
                                       "5",
                                       "s",
                                       "-5s",
                                       "5 s",
                                       "5x",
                                       "1h-",
                                       "5s ",
                                       "1e",
                                       "0x5s",
                                       "99999999999999999w",
                                       "infs",
                                       "nand" };
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (text_duration(bad[i], &ms))
            fail_msg("\"%s\" was taken for a duration", bad[i]);
}

static void
sizes_are_read_in_binary_and_decimal_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t size;
    } cases[] = {
        { "100", 100 },       { "5kB", 5000 },      { "64MiB", 64 << 20 },
        { "1.5KiB", 1536 },   { "2G", 2ull << 30 }, { "1TB", 1000000000000 },
        { "3m", 3ull << 20 },
    };
    uint64_t size;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_true(text_size(cases[i].text, &size));
        assert_true(size == cases[i].size);
    }
}

/* Every byte counts: a double alone would lose those above 2^53. */
static void
sizes_in_plain_bytes_are_exact(void **state)
{
    uint64_t size;

    (void)state;
    assert_true(text_size("9007199254740993", &size));
    assert_true(size == 9007199254740993u);
}

static void
what_is_no_size_is_refused(void **state)
{
    static const char *const bad[] = { "",      "-1",    "MiB",
                                       "5 MiB", "5MiBs", "5X",
                                       "1e3",   "0x10",  "99999999999999999999999" };
    uint64_t size;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (text_size(bad[i], &size))
            fail_msg("\"%s\" was taken for a size", bad[i]);
}

static void
times_cover_what_they_leave_out(void **state)
{
    static const struct {
        const char *text;
        int64_t s, first;
    } cases[] = {
        { "2026-11-22T03:00:15Z", 1795316415, 1795316415 },
        { "2026-11-22T03:00Z", 1795316459, 1795316400 },
        { "2026-11-22T03Z", 1795319999, 1795316400 },
        { "2026-11-22", 1795391999, 1795305600 },
        { "2026-11-22 03:00:15", 1795316415, 1795316415 },
        { "2026-11-22T03:00:15.5Z", 1795316415, 1795316415 },
        { "2026-11-22T04:30:15+01:30", 1795316415, 1795316415 },
        { "2026-11-21T22:00:15-0500", 1795316415, 1795316415 },
        { "1969-12-31T23:59:59Z", -1, -1 },
        { "2024-02-29T00:00:00Z", 1709164800, 1709164800 },
    };
    int64_t s;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (!text_time(cases[i].text, &s))
            fail_msg("%s was refused", cases[i].text);
        assert_int_equal(s, cases[i].s);
        assert_true(text_time_begin(cases[i].text, &s));
        assert_int_equal(s, cases[i].first);
    }
}

static void
what_is_no_time_is_refused(void **state)
{
    static const char *const bad[] = { "",
                                       "2026",
                                       "2026-13-01",
                                       "2026-00-01",
                                       "2026-11-32",
                                       "2026-11-31",
                                       "2026-02-29",
                                       "26-1-1",
                                       "2026-11-22T",
                                       "2026-11-22T24:00",
                                       "2026-11-22x",
                                       "2026-11-22T03:60",
                                       "2026-11-22T03:00+99:00" };
    int64_t s;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (text_time(bad[i], &s))
            fail_msg("\"%s\" was taken for a time", bad[i]);
}

static void
figures_are_told_in_words(void **state)
{
    (void)state;
    assert_string_equal(text_of_size(0), "0 B");
    assert_string_equal(text_of_size(1023), "1023 B");
    assert_string_equal(text_of_size(1536), "1.5 KiB");
    assert_string_equal(text_of_size(UINT64_MAX), "16.0 EiB");
    assert_string_equal(text_of_duration(850), "850ms");
    assert_string_equal(text_of_duration(4200), "4.2s");
    assert_string_equal(text_of_duration(1412000), "23m32s");
    assert_string_equal(text_of_duration(7500000), "2h05m");
    assert_string_equal(text_of_duration(300000000), "3d11h");
    assert_string_equal(text_of_utc(1795316415, 7000000), "2026-11-22T03:00:15.007Z");
}

static void
hex_comes_back_and_nothing_else_is_taken(void **state)
{
    uint8_t bytes[3];
    char digits[7];

    (void)state;
    text_hex(digits, "\x00\xab\xff", 3);
    assert_string_equal(digits, "00abff");
    assert_true(text_unhex(bytes, 3, digits));
    assert_memory_equal(bytes, "\x00\xab\xff", 3);
    assert_false(text_unhex(bytes, 3, "00abf"));
    assert_false(text_unhex(bytes, 3, "00abff0"));
    assert_false(text_unhex(bytes, 3, "00ABFF"));
    assert_false(text_unhex(bytes, 3, "00abfg"));
    assert_false(text_unhex(bytes, 3, ""));
}

static void
whole_numbers_are_bounded(void **state)
{
    uint64_t v;

    (void)state;
    assert_true(text_uint("0", 10, &v));
    assert_true(text_uint("18446744073709551615", UINT64_MAX, &v));
    assert_true(v == UINT64_MAX);
    assert_false(text_uint("18446744073709551616", UINT64_MAX, &v));
    assert_false(text_uint("11", 10, &v));
    assert_false(text_uint("", 10, &v));
    assert_false(text_uint("+1", 10, &v));
    assert_false(text_uint("1 ", 10, &v));
}

static void
only_true_utf8_is_utf8(void **state)
{
    static const char *const good[] = {
        "", "plain", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x92\xbe", "\xf4\x8f\xbf\xbf"
    };
    static const char *const bad[] = { "\x80",         "\xc3",         "\xc0\xaf",
                                       "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                       "\xf8\x88",     "a\xffz",       "\xe2\x82" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(text_is_utf8(slice_str(good[i])));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (text_is_utf8(slice_str(bad[i])))
            fail_msg("case %zu was taken for UTF-8", i);
}

static void
names_are_printable_whatever_they_hold(void **state)
{
    char name[4096];

    (void)state;
    assert_string_equal(text_of_name(SLICE("a\nb\xff\xc3\xa4\\")),
                        "a\\x0ab\\xff\xc3\xa4\\x5c");
    memset(name, '\n', sizeof name);
    assert_true(strlen(text_of_name(slice_of(name, sizeof name))) < 512);
}

static void
a_slip_of_the_finger_finds_its_word(void **state)
{
    static const char *const words[] = { "quorum", "order",   "spool-max",
                                         "backup", "restore", "ls" };

    (void)state;
    assert_string_equal(text_nearest("qourum", words, COUNT_OF(words)), "quorum");
    assert_string_equal(text_nearest("bakup", words, COUNT_OF(words)), "backup");
    assert_string_equal(text_nearest("spoolmax", words, COUNT_OF(words)), "spool-max");
    assert_null(text_nearest("elephant", words, COUNT_OF(words)));
    assert_null(text_nearest("", words, COUNT_OF(words)));
}

static void
patterns_match_as_gitignore_says(void **state)
{
    static const struct {
        const char *pattern, *path;
        bool hit;
    } cases[] = {
        { "*.tmp", "a.tmp", true },
        { "*.tmp", "d/a.tmp", false },
        { "**/*.tmp", "d/e/a.tmp", true },
        { "**/*.tmp", "a.tmp", true },
        { "a/**", "a/b/c", true },
        { "a/**/z", "a/z", true },
        { "a/**/z", "a/b/c/z", true },
        { "a/**/z", "az", false },
        { "a?c", "abc", true },
        { "a?c", "a/c", false },
        { "[a-c]x", "bx", true },
        { "[!a-c]x", "bx", false },
        { "[a-c]x", "dx", false },
        { "[]]x", "]x", true },
        { "\\*", "*", true },
        { "\\*", "x", false },
        { "a*b*c", "aXbYbZc", true },
        { "a*b", "a/b", false },
        { "", "", true },
        { "*", "", true },
        { "a", "ab", false },
        { "ab", "a", false },
        { "a/*/c", "a/b/c", true },
        { "a/*/c", "a/b/b/c", false },
        { "*a*/b", "xay/b", true },
        { "**", "a/b", true },
        { "**/a*/b", "x/ay/b", true },
        { "a/**/*.c", "a/b/x/y.c", true },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (text_match(cases[i].pattern, cases[i].path) != cases[i].hit)
            fail_msg("%s against %s", cases[i].pattern, cases[i].path);
}

/* A pattern of many stars must not take for ever. */
static void
a_nasty_pattern_ends_soon(void **state)
{
    char path[200];

    (void)state;
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = 0;
    clock_t begin = clock();
    assert_false(text_match("**/a*/**/a*/**/a*/**/a*/**/a*/**/b", path));
    assert_false(text_match("*a*a*a*a*a*a*a*a*a*a*b", path));
    assert_true(clock() - begin < 2 * CLOCKS_PER_SEC);
}

static int
in_utc(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read_in_all_units),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(sizes_are_read_in_binary_and_decimal_units),
        cmocka_unit_test(sizes_in_plain_bytes_are_exact),
        cmocka_unit_test(what_is_no_size_is_refused),
        cmocka_unit_test(times_cover_what_they_leave_out),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(figures_are_told_in_words),
        cmocka_unit_test(hex_comes_back_and_nothing_else_is_taken),
        cmocka_unit_test(whole_numbers_are_bounded),
        cmocka_unit_test(only_true_utf8_is_utf8),
        cmocka_unit_test(names_are_printable_whatever_they_hold),
        cmocka_unit_test(a_slip_of_the_finger_finds_its_word),
        cmocka_unit_test(patterns_match_as_gitignore_says),
        cmocka_unit_test(a_nasty_pattern_ends_soon),
    };
    return cmocka_run_group_tests(tests, in_utc, NULL);
}
