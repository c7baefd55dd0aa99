/*
 * Reading leaves the page cache as it was: what was in it stays, what reading brought
 * goes. Where the files of /tmp never leave the page cache, nothing can be seen.
 */
#include "cached.h"

#define MIB ((size_t)1 << 20)
#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

static char before[CACHED_MAP], after[CACHED_MAP];

/* Makes a file of `size` bytes that is cold; false where that cannot be. */
static bool
cold_file(const struct tree *t, const char *name, size_t size)
{
    tree_write(t, name, "");
    char *bytes = mem_alloc(size);
    int fd = open(tree_path(t, name), O_WRONLY | O_CLOEXEC);
    struct err e = { 0 };

    memset(bytes, 'x', size);
    assert_true(fd >= 0);
    assert_int_equal(fs_write_all(fd, slice_of(bytes, size), &e), 0);
    close(fd);
    mem_free(bytes);
    bool gone = cool(tree_path(t, name));
    if (!gone)
        print_message("no cold files\n");
    return gone;
}

static uint64_t
read_file(struct tree *t, const char *name)
{
    static uint8_t block[2 << 20];
    struct entry en;
    uint64_t size = 0, hole;
    bool changed;
    size_t got;

    tree_find(t, name, &en);
    assert_int_equal(source_read_begin(t->source, &en, &t->e), 1);
    do {
        assert_int_equal(source_read(t->source, block, sizeof block, &got, &hole, &t->e),
                         0);
        size += got + hole;
    } while (got > 0 || hole > 0);
    assert_int_equal(source_read_end(t->source, &changed, &t->e), 0);
    return size;
}

/* The file that is there as `name` is read, and leaves the cache as it was. */
static void
leaves_no_trace(struct tree *t, const char *name)
{
    struct stat st;
    const char *path = tree_path(t, name);

    cached_map(path, before);
    tree_open_all(t);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(read_file(t, name), st.st_size);
    assert_string_equal(cached_map(path, after), before);
}

static void
a_cold_file_is_cold_behind_it(void **state)
{
    (void)state;
    TREE(t);
    static const size_t sizes[] = { 1, 4096, 4097, 65536, 65537, 3000000, 50000000 };

    for (unsigned i = 0; i < COUNT_OF(sizes); i++)
        if (cold_file(&t, "file", sizes[i]))
            leaves_no_trace(&t, "file");
}

static void
a_cached_file_stays(void **state)
{
    (void)state;
    TREE(t);
    static const size_t sizes[] = { 1, 4096, 4097, 65536, 65537, 3000000, 50000000 };

    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        if (!cold_file(&t, "file", sizes[i]))
            return;
        warm(tree_path(&t, "file"), 0, sizes[i]);
        assert_null(strchr(cached_map(tree_path(&t, "file"), before), '.'));
        leaves_no_trace(&t, "file");
    }
}

/* With ends of the cached parts at, before and behind those of what is looked at. */
static void
a_file_keeps_the_parts_that_were_cached(void **state)
{
    (void)state;
    TREE(t);

    if (!cold_file(&t, "file", 50 * MIB + 5))
        return;
    const char *path = tree_path(&t, "file");
    warm(path, 2 * PAGE, PAGE);
    warm(path, 5 * MIB, 11 * MIB);
    warm(path, 16 * MIB + PAGE, MIB);
    warm(path, 32 * MIB - PAGE, 2 * PAGE);
    warm(path, 50 * MIB, 5);
    leaves_no_trace(&t, "file");
    assert_true(after[2] == '#' && after[1] == '.' && after[3] == '.');
}

static void
a_small_file_keeps_the_pages_that_were_cached(void **state)
{
    (void)state;
    TREE(t);

    for (unsigned page = 0; page < 4; page++) {
        if (!cold_file(&t, "file", 3 * PAGE + 100))
            return;
        warm(tree_path(&t, "file"), page * PAGE, 100);
        leaves_no_trace(&t, "file");
        assert_int_equal(after[page], '#');
    }
}

static void
a_file_with_holes_is_cold_behind_it(void **state)
{
    (void)state;
    TREE(t);

    if (!cold_file(&t, "file", MIB))
        return;
    const char *path = tree_path(&t, "file");
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "middle", 6, 30 * MIB), 6);
    assert_int_equal(ftruncate(fd, 60 * MIB), 0);
    close(fd);
    if (cool(path))
        leaves_no_trace(&t, "file");
}

/* Reading is given up, when a run ends early, behind the first bytes. */
static void
what_is_not_read_to_its_end_is_cold_too(void **state)
{
    (void)state;
    bool cold = false;

    /* What the disk is still reading cannot leave; it does not matter when it ends. */
    for (unsigned tries = 0; tries < 20 && !cold; tries++) {
        TREE(t);
        struct entry en;
        uint8_t byte;
        uint64_t hole;
        size_t got;
        if (!cold_file(&t, "file", 10 * MIB))
            return;
        tree_open_all(&t);
        tree_find(&t, "file", &en);
        assert_int_equal(source_read_begin(t.source, &en, &t.e), 1);
        assert_int_equal(source_read(t.source, &byte, 1, &got, &hole, &t.e), 0);
        assert_int_equal(got, 1);
        assert_true(is_cached(tree_path(&t, "file")));
        nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
        source_close(TAKE(t.source));
        cold = is_cold(tree_path(&t, "file"));
    }
    assert_true(cold);
}

/* Who owns none of the files, and may only read them, is not told what is cached. */
static void
without_rights_nothing_is_given_up(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    TREE(t);

    if (!cold_file(&t, "file", 3 * PAGE))
        return;
    warm(tree_path(&t, "file"), 0, PAGE);
    assert_int_equal(seteuid(65534), 0);
    tree_open_all(&t);
    uint64_t size = read_file(&t, "file");
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(size, 3 * PAGE);
    assert_true(is_cached(tree_path(&t, "file")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cold_file_is_cold_behind_it),
        cmocka_unit_test(a_cached_file_stays),
        cmocka_unit_test(a_file_keeps_the_parts_that_were_cached),
        cmocka_unit_test(a_small_file_keeps_the_pages_that_were_cached),
        cmocka_unit_test(a_file_with_holes_is_cold_behind_it),
        cmocka_unit_test(what_is_not_read_to_its_end_is_cold_too),
        cmocka_unit_test(without_rights_nothing_is_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
