#include "base/clock.h"
#include "support/ground.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void
content_is(const char *path, const char *text)
{
    AUTOBUF struct buf got = BUF(1000);
    struct err e = { 0 };

    succeeds(fs_read(path, 1000, &got, &e), &e);
    assert_string_equal(buf_cstr(&got), text);
}

static int
count_names(const char *dir)
{
    AUTOFREE char *line = mem_printf("test $(ls -A %s | wc -l) = 1", dir);

    return system(line) == 0 ? 1 : 0;
}

static void
a_file_is_replaced_wholly_and_nothing_else_is_left(void **state)
{
    SCRATCH(d);
    AUTOFREE char *path = scratch_file(&d, "f", "old");
    struct err e = { 0 };
    struct stat st;

    (void)state;
    succeeds(fs_replace(path, SLICE("new contents"), 0640, &e), &e);
    content_is(path, "new contents");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(count_names(d.path), 1);
}

static void
an_aborted_file_leaves_the_old_one_and_no_trace(void **state)
{
    SCRATCH(d);
    AUTOFREE char *path = scratch_file(&d, "f", "old");
    struct tmpfile t = TMPFILE_NONE;
    struct err e = { 0 };

    (void)state;
    succeeds(tmpfile_open(&t, path, 0600, &e), &e);
    succeeds(fs_write_all(t.fd, SLICE("half"), &e), &e);
    tmpfile_abort(&t);
    tmpfile_abort(&t); /* silent the second time */
    content_is(path, "old");
    assert_int_equal(count_names(d.path), 1);
}

static void
a_file_in_a_folder_that_is_missing_is_told(void **state)
{
    SCRATCH(d);
    AUTOFREE char *path = fs_join(d.path, "no/f");
    struct err e = { 0 };

    (void)state;
    fails(fs_replace(path, SLICE("x"), 0600, &e), &e, ERR_NOT_FOUND, path);
}

static void
a_file_over_the_limit_is_not_read(void **state)
{
    SCRATCH(d);
    AUTOFREE char *path = scratch_file(&d, "f", "12345");
    AUTOFREE char *missing = fs_join(d.path, "g");
    AUTOBUF struct buf out = BUF(100);
    struct err e = { 0 };

    (void)state;
    succeeds(fs_read(path, 5, &out, &e), &e);
    assert_int_equal(out.len, 5);
    fails(fs_read(path, 4, &out, &e), &e, ERR_CORRUPT, "larger than 4 bytes");
    fails(fs_read(missing, 4, &out, &e), &e, ERR_NOT_FOUND, missing);
}

static void
a_range_past_the_end_of_a_file_is_damage(void **state)
{
    SCRATCH(d);
    AUTOFREE char *path = scratch_file(&d, "f", "0123456789");
    AUTOCLOSE int fd = open(path, O_RDONLY);
    struct err e = { 0 };
    char got[8];

    (void)state;
    succeeds(fs_pread_all(fd, got, 4, 6, &e), &e);
    assert_memory_equal(got, "6789", 4);
    fails(fs_pread_all(fd, got, 5, 6, &e), &e, ERR_CORRUPT, "ends too early");
}

static void
a_file_in_memory_is_opened_through_its_descriptor_alone(void **state)
{
    AUTOCLOSE int fd = -1;
    struct stat st;
    struct err e = { 0 };

    (void)state;
    succeeds(fs_memory(SLICE("a secret"), &fd, &e), &e);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_nlink, 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    for (int n = 0; n < 2; n++) { /* each reader begins at the beginning */
        AUTOFREE char *path = mem_printf("/proc/self/fd/%d", fd);
        content_is(path, "a secret");
    }
}

static void
folders_are_made_with_their_parents_and_twice_is_fine(void **state)
{
    SCRATCH(d);
    AUTOFREE char *path = fs_join(d.path, "a/b/c/");
    AUTOFREE char *file = scratch_file(&d, "f", "");
    AUTOFREE char *below = fs_join(d.path, "f/g");
    struct err e = { 0 };
    struct stat st;

    (void)state;
    succeeds(fs_mkdirs(path, 0700, &e), &e);
    succeeds(fs_mkdirs(path, 0700, &e), &e);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(fs_mkdirs(below, 0700, &e), -1);
}

/* A file where the folder should be must not pass for one. */
static void
a_file_is_not_taken_for_a_folder(void **state)
{
    SCRATCH(d);
    AUTOFREE char *file = scratch_file(&d, "f", "");
    struct err e = { 0 };

    (void)state;
    fails(fs_mkdirs(file, 0700, &e), &e, ERR_EXISTS, file);
}

static void
names_are_joined_by_one_slash(void **state)
{
    AUTOFREE char *a = fs_join("/a", "b");
    AUTOFREE char *b = fs_join("/a/", "b");

    (void)state;
    assert_string_equal(a, "/a/b");
    assert_string_equal(b, "/a/b");
}

static void
a_lock_that_is_held_is_told_with_its_holder(void **state)
{
    SCRATCH(d);
    AUTOFREE char *path = fs_join(d.path, "lock");
    AUTOFREE char *holder = mem_printf("process %ld holds", (long)getpid());
    struct err e = { 0 };
    int first = -1, second = -1;

    (void)state;
    succeeds(fs_lock(path, 0, &first, &e), &e);
    fails(fs_lock(path, 0, &second, &e), &e, ERR_CONFLICT, holder);
    int64_t begin = clock_mono_ms();
    fails(fs_lock(path, 250, &second, &e), &e, ERR_CONFLICT, "--wait");
    assert_true(clock_mono_ms() - begin >= 250);
    close(first);
    succeeds(fs_lock(path, 0, &second, &e), &e);
    close(second);
}

/* The kernel lets go of the lock of a process that was killed. */
static void
a_lock_ends_with_its_process(void **state)
{
    SCRATCH(d);
    AUTOFREE char *path = fs_join(d.path, "lock");
    struct err e = { 0 };
    int fd = -1;

    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(fs_lock(path, 0, &fd, &e) == 0 ? 7 : 1);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 7);
    succeeds(fs_lock(path, 0, &fd, &e), &e);
    close(fd);
}

static void
a_tree_is_removed_without_following_links(void **state)
{
    SCRATCH(d);
    AUTOFREE char *kept = fs_join(d.path, "kept");
    AUTOFREE char *top = fs_join(d.path, "top");
    AUTOFREE char *deep = fs_join(d.path, "top/a/b");
    AUTOFREE char *link = fs_join(d.path, "top/a/link");
    struct err e = { 0 };

    (void)state;
    succeeds(fs_mkdirs(kept, 0700, &e), &e);
    AUTOFREE char *file = scratch_file(&d, "kept/f", "x");
    succeeds(fs_mkdirs(deep, 0700, &e), &e);
    AUTOFREE char *inner = scratch_file(&d, "top/a/b/g", "y");
    assert_int_equal(symlink(kept, link), 0);
    assert_int_equal(chmod(deep, 0500), 0);
    succeeds(fs_remove_tree(top, &e), &e);
    assert_int_equal(access(top, F_OK), -1);
    content_is(file, "x");
    succeeds(fs_remove_tree(top, &e), &e); /* nothing there is success */
}

/* Makes folders within each other, which no path could name. */
static void
make_deep(const char *top, int levels)
{
    int at = open(top, O_RDONLY | O_DIRECTORY);

    for (int i = 0; i < levels; i++) {
        assert_int_equal(mkdirat(at, "d", 0700), 0);
        int next = openat(at, "d", O_RDONLY | O_DIRECTORY);
        assert_true(next >= 0);
        close(at);
        at = next;
    }
    close(at);
}

static void
a_very_deep_tree_is_removed_with_few_descriptors(void **state)
{
    SCRATCH(d);
    AUTOFREE char *top = fs_join(d.path, "top");
    struct rlimit before, few;
    struct err e = { 0 };

    (void)state;
    succeeds(fs_mkdirs(top, 0700, &e), &e);
    make_deep(top, 3000);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 256;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int rc = fs_remove_tree(top, &e);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    succeeds(rc, &e);
    assert_int_equal(access(top, F_OK), -1);
}

static void
a_path_becomes_absolute(void **state)
{
    AUTOFREE char *here = getcwd(NULL, 0);
    AUTOFREE char *expected = mem_printf("%s/a/b", here);
    AUTOFREE char *relative = fs_absolute("a/b/");
    AUTOFREE char *absolute = fs_absolute("/x/y//");
    AUTOFREE char *root = fs_absolute("/");

    (void)state;
    assert_string_equal(relative, expected);
    assert_string_equal(absolute, "/x/y");
    assert_string_equal(root, "/");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_replaced_wholly_and_nothing_else_is_left),
        cmocka_unit_test(an_aborted_file_leaves_the_old_one_and_no_trace),
        cmocka_unit_test(a_file_in_a_folder_that_is_missing_is_told),
        cmocka_unit_test(a_file_over_the_limit_is_not_read),
        cmocka_unit_test(a_range_past_the_end_of_a_file_is_damage),
        cmocka_unit_test(a_file_in_memory_is_opened_through_its_descriptor_alone),
        cmocka_unit_test(folders_are_made_with_their_parents_and_twice_is_fine),
        cmocka_unit_test(a_file_is_not_taken_for_a_folder),
        cmocka_unit_test(names_are_joined_by_one_slash),
        cmocka_unit_test(a_lock_that_is_held_is_told_with_its_holder),
        cmocka_unit_test(a_lock_ends_with_its_process),
        cmocka_unit_test(a_tree_is_removed_without_following_links),
        cmocka_unit_test(a_path_becomes_absolute),
        cmocka_unit_test(a_very_deep_tree_is_removed_with_few_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
