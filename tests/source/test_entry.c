#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "source/entry.h"

#include <string.h>

static int
order(const char *a, const char *b)
{
    return entry_order(slice_str(a), slice_str(b));
}

/* A folder's content stands right behind it, before names that continue the
 * folder's name with a byte below '/'. */
static void
a_slash_sorts_lowest(void **state)
{
    static const char *const sorted[] = { "a",     "a/b", "a/b/c", "a/b!", "a/z",
                                          "a\001", "a!",  "a!/x",  "a-b",  "a.b",
                                          "a0",    "b",   "b\xff" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sorted); i++)
        for (size_t k = 0; k < COUNT_OF(sorted); k++)
            assert_int_equal((order(sorted[i], sorted[k]) > 0)
                                 - (order(sorted[i], sorted[k]) < 0),
                             (i > k) - (i < k));
}

static void
below_means_the_folder_and_what_is_in_it(void **state)
{
    (void)state;
    assert_true(entry_below(SLICE("a/b"), SLICE("a/b")));
    assert_true(entry_below(SLICE("a/b/c"), SLICE("a/b")));
    assert_true(entry_below(SLICE("a"), SLICE("")));
    assert_false(entry_below(SLICE("a/bc"), SLICE("a/b")));
    assert_false(entry_below(SLICE("a"), SLICE("a/b")));
}

static void
a_path_that_could_lead_out_is_not_valid(void **state)
{
    static const char *const bad[] = { "",     "/a",   "a/",     "a//b", ".",  "..",
                                       "a/..", "../a", "a/../b", "a/.",  "./a" };
    static const char *const good[] = { "a", "...", "a/..b", ".a", "a/b c/\n\xff" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(entry_path_valid(slice_str(bad[i])));
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(entry_path_valid(slice_str(good[i])));
    assert_false(entry_path_valid(slice_of("a\0b", 3)));
}

static void
a_path_has_a_longest_length(void **state)
{
    AUTOFREE char *path = mem_alloc(ENTRY_PATH_MAX + 1);

    (void)state;
    memset(path, 'x', ENTRY_PATH_MAX + 1);
    assert_true(entry_path_valid(slice_of(path, ENTRY_PATH_MAX)));
    assert_false(entry_path_valid(slice_of(path, ENTRY_PATH_MAX + 1)));
}

static void
attributes_come_back_as_they_went_in(void **state)
{
    AUTOBUF struct buf b = BUF(1000);
    struct slice name, value;

    (void)state;
    entry_xattr_put(&b, SLICE("user.a"), SLICE("1"));
    entry_xattr_put(&b, SLICE("user.empty"), SLICE(""));
    struct reader r = reader_of(buf_slice(&b));
    assert_true(entry_xattr_next(&r, &name, &value));
    assert_true(slice_equal(name, SLICE("user.a")) && slice_equal(value, SLICE("1")));
    assert_true(entry_xattr_next(&r, &name, &value));
    assert_true(slice_equal(name, SLICE("user.empty")) && value.len == 0);
    assert_false(entry_xattr_next(&r, &name, &value));
    assert_false(r.bad);
}

static void
attributes_cut_short_are_bad(void **state)
{
    AUTOBUF struct buf b = BUF(1000);
    struct slice name, value;

    (void)state;
    entry_xattr_put(&b, SLICE("user.a"), SLICE("value"));
    for (size_t len = 1; len < b.len; len++) {
        struct reader r = reader_of(slice_of(b.ptr, len));
        assert_false(entry_xattr_next(&r, &name, &value));
        assert_true(r.bad);
    }
}

static void
types_and_modes_are_those_of_stat(void **state)
{
    struct entry en = { .type = ENTRY_DIR, .mode = 01777 };

    (void)state;
    assert_int_equal(entry_st_mode(&en), S_IFDIR | 01777);
    assert_int_equal(entry_type_of(S_IFLNK | 0777), ENTRY_LINK);
    assert_int_equal(entry_type_of(S_IFSOCK | 0777), 0);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slash_sorts_lowest),
        cmocka_unit_test(below_means_the_folder_and_what_is_in_it),
        cmocka_unit_test(a_path_that_could_lead_out_is_not_valid),
        cmocka_unit_test(a_path_has_a_longest_length),
        cmocka_unit_test(attributes_come_back_as_they_went_in),
        cmocka_unit_test(attributes_cut_short_are_bad),
        cmocka_unit_test(types_and_modes_are_those_of_stat),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
