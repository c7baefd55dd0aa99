/* Keys of objects as paths. They are read back by a decoder of the test's own, written
 * from drtool.yaml(5). */
#include "../../src/source/bucket/key.h"

#include "base/random.h"
#include "source/entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static int
digit(uint8_t c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void
decode(struct slice path, struct buf *key)
{
    buf_clear(key);
    for (size_t i = 0; i < path.len; i++) {
        const uint8_t *p = path.ptr + i;
        size_t left = path.len - i;
        if (*p != '%') {
            buf_put_u8(key, *p);
        } else if (left > 2 && p[1] == '-' && p[2] == '/') {
            i += 2;
        } else if (left > 2 && digit(p[1]) >= 0 && digit(p[2]) >= 0) {
            buf_put_u8(key, (uint8_t)(digit(p[1]) << 4 | digit(p[2])));
            i += 2;
        }
    }
}

static void
make(struct key_path *p, struct slice key, bool beside)
{
    key_path_begin(p, (const char *)key.ptr, key.len);
    while (key_path_folder(p))
        continue;
    key_path_name(p, beside);
}

static void
check_names(struct slice path)
{
    size_t len = 0;

    assert_true(entry_path_valid(path));
    for (size_t i = 0; i < path.len; i++) {
        len = path.ptr[i] == '/' ? 0 : len + 1;
        assert_true(len <= 255);
    }
}

/* The path is a path, tells the key, and is below each of the key's folders. */
static void
comes_back(struct slice key)
{
    CLEANUP(key_path_release) struct key_path p = KEY_PATH, above = KEY_PATH;
    AUTOBUF struct buf back = BUF(KEY_PATH_MAX);

    for (int beside = 0; beside < 2; beside++) {
        make(&p, key, beside);
        check_names(buf_slice(&p.path));
        decode(buf_slice(&p.path), &back);
        assert_true(slice_equal(buf_slice(&back), key));
        key_path_begin(&above, (const char *)key.ptr, key.len);
        while (key_path_folder(&above)) {
            check_names(buf_slice(&above.path));
            assert_true(entry_below(buf_slice(&p.path), buf_slice(&above.path)));
            assert_true(above.path.len < p.path.len);
            assert_true(above.at <= key.len);
        }
    }
}

static const struct {
    const char *key, *path, *beside;
} known[] = {
    { "a/b.jpg", "a/b.jpg", "a/b.jpg%" },
    { "Upper Case/ümlaut", "Upper Case/ümlaut", "Upper Case/ümlaut%" },
    { "", "%", "%%" },
    { "/", "%/%", "%/%%" },
    { "/x", "%/x", "%/x%" },
    { "a//b", "a/%/b", "a/%/b%" },
    { "a/", "a/%", "a/%%" },
    { ".", "%2E", "%2E%" },
    { "../x/.", "%2E%2E/x/%2E", "%2E%2E/x/%2E%" },
    { "...", "...", "...%" },
    { ".hidden", ".hidden", ".hidden%" },
    { "50%", "50%25", "50%25%" },
    { "%2F", "%252F", "%252F%" },
    { "%-/x", "%25-/x", "%25-/x%" },
};

static void
each_odd_key_has_its_path(void **state)
{
    CLEANUP(key_path_release) struct key_path p = KEY_PATH;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        make(&p, slice_str(known[i].key), false);
        assert_string_equal(buf_cstr(&p.path), known[i].path);
        make(&p, slice_str(known[i].key), true);
        assert_string_equal(buf_cstr(&p.path), known[i].beside);
        comes_back(slice_str(known[i].key));
    }
}

/* Each of `count` times the text `unit`. */
static void
a_long_part_is_cut_into_names(void **state)
{
    static const struct {
        const char *unit;
        size_t count, folders;
    } cases[] = {
        { "l", 250, 0 }, { "l", 251, 1 },  { "l", 255, 1 },      { "l", 500, 1 },
        { "l", 501, 2 }, { "l", 1024, 4 }, { "%", 83, 0 },       { "%", 84, 1 },
        { ".", 251, 1 }, { ".", 252, 1 },  { "\u00e9", 125, 0 }, { "\u00e9", 126, 1 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CLEANUP(key_path_release) struct key_path p = KEY_PATH;
        AUTOBUF struct buf key = BUF(KEY_MAX);
        size_t folders = 0;
        for (size_t n = 0; n < cases[i].count; n++)
            buf_put_str(&key, cases[i].unit);
        comes_back(buf_slice(&key));
        key_path_begin(&p, (const char *)key.ptr, key.len);
        while (key_path_folder(&p))
            folders++;
        assert_int_equal(folders, cases[i].folders);
    }
}

static void
a_character_is_not_cut_in_two(void **state)
{
    CLEANUP(key_path_release) struct key_path p = KEY_PATH;
    AUTOBUF struct buf key = BUF(KEY_MAX);

    (void)state;
    buf_put_str(&key, "x"); /* so that byte 250 is the first half of one */
    for (size_t n = 0; n < 200; n++)
        buf_put_str(&key, "\u00e9");
    key_path_begin(&p, (const char *)key.ptr, key.len);
    assert_true(key_path_folder(&p));
    assert_int_equal(p.at, 249);
    comes_back(buf_slice(&key));
}

/* Of bytes that matter, so that most of what can go together does. */
static void
random_keys_come_back(void **state)
{
    static const char bytes[] = "//..%%-aA2EF\xc3\xa9";
    struct random r = { .seed = 7 };

    (void)state;
    for (int i = 0; i < 20000; i++) {
        AUTOBUF struct buf key = BUF(KEY_MAX + 1);
        size_t len = random_below(&r, i % 20 ? 12 : KEY_MAX + 1);
        size_t kinds = i % 3 ? sizeof bytes - 1 : 6;
        for (size_t n = 0; n < len; n++)
            buf_put_u8(&key, (uint8_t)bytes[random_below(&r, (uint32_t)kinds)]);
        comes_back(slice_of(buf_cstr(&key), key.len));
    }
}

/* What a folder is called depends on the bytes before it alone. */
static void
keys_below_the_same_folder_agree_on_its_path(void **state)
{
    CLEANUP(key_path_release) struct key_path p = KEY_PATH, q = KEY_PATH;
    AUTOBUF struct buf a = BUF(KEY_MAX), b = BUF(KEY_MAX);
    size_t met = 0;

    (void)state;
    for (size_t n = 0; n < 260; n++) {
        buf_put_u8(&a, n % 100 == 99 ? '/' : n % 7 ? 'x' : '%');
        buf_put_u8(&b, n % 100 == 99 ? '/' : n % 7 ? 'x' : '%');
    }
    buf_put_str(&a, "%%%% and then some");
    buf_put_str(&b, "other/end");
    key_path_begin(&p, (const char *)a.ptr, a.len);
    while (key_path_folder(&p)) {
        key_path_begin(&q, (const char *)b.ptr, b.len);
        while (key_path_folder(&q)) {
            if (p.at != q.at || p.at > 260)
                continue;
            assert_true(slice_equal(buf_slice(&p.path), buf_slice(&q.path)));
            met++;
        }
    }
    assert_true(met >= 2);
}

static void
a_folder_is_what_ends_with_a_slash(void **state)
{
    (void)state;
    assert_true(key_is_folder("a/", 2));
    assert_true(key_is_folder("", 0));
    assert_false(key_is_folder("a", 1));
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_odd_key_has_its_path),
        cmocka_unit_test(a_long_part_is_cut_into_names),
        cmocka_unit_test(a_character_is_not_cut_in_two),
        cmocka_unit_test(random_keys_come_back),
        cmocka_unit_test(keys_below_the_same_folder_agree_on_its_path),
        cmocka_unit_test(a_folder_is_what_ends_with_a_slash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
