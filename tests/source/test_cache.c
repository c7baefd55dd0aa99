/*
 * Reading leaves the page cache as it was: what was in it stays, what reading brought
 * goes; all with the newer call of the kernel that counts pages, and without. Where the
 * files of /tmp never leave the page cache, nothing can be seen.
 */
#include "cached.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

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

/* The file that is there as `name` is read: it leaves the cache as it was. */
static bool
leaves_no_trace(struct tree *t, const char *name)
{
    struct stat st;
    const char *path = tree_path(t, name);

    cached_map(path, before);
    tree_open_all(t);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(read_file(t, name), st.st_size);
    return strcmp(cached_map(path, after), before) == 0;
}

/* A host that lacks memory takes pages at any time, and a page that somebody holds at
 * the moment stays: what fails ten times has another cause. */
static void
holds(bool (*once)(struct tree *t, size_t arg), size_t arg)
{
    bool good = false;

    for (unsigned tries = 0; tries < 10 && !good; tries++) {
        TREE(t);
        good = once(&t, arg);
    }
    assert_true(good);
}

static const size_t sizes[] = { 1, 4096, 4097, 65536, 65537, 3000000, 50000000 };

static bool
cold_stays_cold(struct tree *t, size_t size)
{
    return !cold_file(t, "file", size) || leaves_no_trace(t, "file");
}

static void
a_cold_file_is_cold_behind_it(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(sizes); i++)
        holds(cold_stays_cold, sizes[i]);
}

static bool
cached_stays_cached(struct tree *t, size_t size)
{
    if (!cold_file(t, "file", size))
        return true;
    warm(tree_path(t, "file"), 0, size);
    return leaves_no_trace(t, "file") && !strchr(after, '.');
}

static void
a_cached_file_stays(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT_OF(sizes); i++)
        holds(cached_stays_cached, sizes[i]);
}

/* With ends of the cached parts at, before and behind those of what is looked at. */
static bool
parts_stay(struct tree *t, size_t arg)
{
    (void)arg;
    if (!cold_file(t, "file", 50 * MIB + 5))
        return true;
    const char *path = tree_path(t, "file");
    warm(path, 2 * PAGE, PAGE);
    warm(path, 5 * MIB, 11 * MIB);
    warm(path, 16 * MIB + PAGE, MIB);
    warm(path, 32 * MIB - PAGE, 2 * PAGE);
    warm(path, 50 * MIB, 5);
    return leaves_no_trace(t, "file") && strncmp(after, "..#.", 4) == 0;
}

static void
a_file_keeps_the_parts_that_were_cached(void **state)
{
    (void)state;
    holds(parts_stay, 0);
}

static bool
page_stays(struct tree *t, size_t page)
{
    if (!cold_file(t, "file", 3 * PAGE + 100))
        return true;
    warm(tree_path(t, "file"), page * PAGE, 100);
    return leaves_no_trace(t, "file") && after[page] == '#';
}

static void
a_small_file_keeps_the_page_that_was_cached(void **state)
{
    (void)state;
    for (unsigned page = 0; page < 4; page++)
        holds(page_stays, page);
}

static bool
holes_stay_cold(struct tree *t, size_t arg)
{
    (void)arg;
    if (!cold_file(t, "file", MIB))
        return true;
    const char *path = tree_path(t, "file");
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "middle", 6, 30 * MIB), 6);
    assert_int_equal(ftruncate(fd, 60 * MIB), 0);
    close(fd);
    return !cool(path) || leaves_no_trace(t, "file");
}

static void
a_file_with_holes_is_cold_behind_it(void **state)
{
    (void)state;
    holds(holes_stay_cold, 0);
}

static const char *
name_of(unsigned i)
{
    static char name[16];

    snprintf(name, sizeof name, "%03u", i);
    return name;
}

/* Behind many files that are cached it is no longer looked first: of one file that is
 * not, a trace may stay. */
static bool
others_stay_cold(struct tree *t, size_t arg)
{
    unsigned count = (unsigned)arg;
    unsigned cached = 0, traces = 0;

    for (unsigned i = 0; i < 2 * count; i++)
        if (!cold_file(t, name_of(i), 3 * PAGE))
            return true;
    for (unsigned i = 0; i < count; i++)
        warm(tree_path(t, name_of(i)), 0, 3 * PAGE);
    tree_open_all(t);
    for (unsigned i = 0; i < 2 * count; i++)
        read_file(t, name_of(i));
    source_close(TAKE(t->source));
    for (unsigned i = 0; i < count; i++) {
        cached += !strchr(cached_map(tree_path(t, name_of(i)), after), '.');
        traces += !is_cold(tree_path(t, name_of(count + i)));
    }
    return cached == count && traces <= 1;
}

static void
cold_files_behind_cached_ones_are_cold(void **state)
{
    (void)state;
    holds(others_stay_cold, 100);
}

/* Reading is given up, when a run ends early, behind the first bytes. What the disk is
 * still reading then cannot leave. */
static bool
given_up_is_cold(struct tree *t, size_t arg)
{
    struct entry en;
    uint8_t byte;
    uint64_t hole;
    size_t got;

    (void)arg;
    if (!cold_file(t, "file", 10 * MIB))
        return true;
    tree_open_all(t);
    tree_find(t, "file", &en);
    assert_int_equal(source_read_begin(t->source, &en, &t->e), 1);
    assert_int_equal(source_read(t->source, &byte, 1, &got, &hole, &t->e), 0);
    assert_int_equal(got, 1);
    bool came = is_cached(tree_path(t, "file"));
    nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
    source_close(TAKE(t->source));
    return came && is_cold(tree_path(t, "file"));
}

static void
what_is_not_read_to_its_end_is_cold_too(void **state)
{
    (void)state;
    holds(given_up_is_cold, 0);
}

/* Who owns none of the files, and may only read them, is not told what is cached. */
static bool
stranger_leaves_all(struct tree *t, size_t arg)
{
    (void)arg;
    if (!cold_file(t, "file", 3 * PAGE))
        return true;
    warm(tree_path(t, "file"), 0, PAGE);
    assert_int_equal(seteuid(65534), 0);
    tree_open_all(t);
    uint64_t size = read_file(t, "file");
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(size, 3 * PAGE);
    return is_cached(tree_path(t, "file"));
}

static void
without_rights_nothing_is_given_up(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    holds(stranger_leaves_all, 0);
}

/* From here on cachestat() is a call that the kernel does not know. */
static int
forbid_cachestat(void **state)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 451, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { COUNT_OF(rules), rules };

    (void)state;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return -1;
    return syscall(451, -1, NULL, NULL, 0) < 0 && errno == ENOSYS ? 0 : -1;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cold_file_is_cold_behind_it),
        cmocka_unit_test(a_cached_file_stays),
        cmocka_unit_test(a_file_keeps_the_parts_that_were_cached),
        cmocka_unit_test(a_small_file_keeps_the_page_that_was_cached),
        cmocka_unit_test(a_file_with_holes_is_cold_behind_it),
        cmocka_unit_test(cold_files_behind_cached_ones_are_cold),
        cmocka_unit_test(what_is_not_read_to_its_end_is_cold_too),
        cmocka_unit_test(without_rights_nothing_is_given_up),
    };

    int failed = cmocka_run_group_tests_name("cache", tests, NULL, NULL);
    return failed
         + cmocka_run_group_tests_name("old kernel", tests, forbid_cachestat, NULL);
}
