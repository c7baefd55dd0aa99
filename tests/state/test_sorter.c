#include "state/sorter.h"
#include "support/fixture.h"

#include <dirent.h>

struct seen {
    size_t count;
    uint32_t last;
    bool wrong;
};

static int
see(void *arg, struct slice key, struct slice value, struct err *e)
{
    struct seen *s = arg;
    uint32_t n = (uint32_t)key.ptr[0] << 24 | (uint32_t)key.ptr[1] << 16
               | (uint32_t)key.ptr[2] << 8 | key.ptr[3];

    s->wrong |= (s->count > 0 && n <= s->last) || value.len != n % 50;
    s->last = n;
    s->count++;
    return s->count == 7 && e->kind == ERR_EXISTS ? -1 : 0;
}

static int
put(struct sorter *s, uint32_t n, struct err *e)
{
    static const uint8_t noise[50];
    uint8_t key[4] = { (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                       (uint8_t)n };

    return sorter_put(s, slice_of(key, 4), slice_of(noise, n % 50), e);
}

static void
records_come_out_by_their_keys(void **state)
{
    enum { COUNT = 50000 };
    CLEANUP(sorter_free_p) struct sorter *s = NULL;
    struct seen seen = { 0 };
    struct err e = { 0 };
    FOLDER(f);

    (void)state;
    assert_ok(sorter_new(f.path, &s, &e), &e);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_ok(put(s, i * 2654435761u, &e), &e);
    assert_err(put(s, 2654435761u, &e), &e, ERR_EXISTS);
    assert_ok(sorter_each(s, see, &seen, &e), &e);
    assert_int_equal(seen.count, COUNT);
    assert_false(seen.wrong);
    seen = (struct seen){ 0 };
    e.kind = ERR_EXISTS;
    assert_int_equal(sorter_each(s, see, &seen, &e), -1);
    assert_int_equal(seen.count, 7);
}

static void
nothing_is_in_the_folder(void **state)
{
    CLEANUP(sorter_free_p) struct sorter *s = NULL;
    struct err e = { 0 };
    unsigned entries = 0;
    FOLDER(f);

    (void)state;
    assert_ok(sorter_new(f.path, &s, &e), &e);
    assert_ok(put(s, 1, &e), &e);
    DIR *d = opendir(f.path);
    while (readdir(d))
        entries++;
    closedir(d);
    assert_int_equal(entries, 2);
    assert_int_equal(sorter_new("/nowhere", &s, &e), -1);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_out_by_their_keys),
        cmocka_unit_test(nothing_is_in_the_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
