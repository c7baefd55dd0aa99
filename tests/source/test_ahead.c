#include "cached.h"

#include <dirent.h>
#include <pthread.h>

#define FILES 1000
#define READ 40 /* files, after which the second walk has long begun */

static const char *
name_of(unsigned i)
{
    static char name[32];

    snprintf(name, sizeof name, "%02u/%02u-file", i / 20, i % 20);
    return name;
}

static bool
file_cached(const struct tree *t, unsigned i)
{
    return is_cached(tree_path(t, name_of(i)));
}

/* Waits until it is: the second walk takes its time. */
static bool
gets_cached(const struct tree *t, unsigned i)
{
    for (unsigned tries = 0; tries < 1000 && !file_cached(t, i); tries++)
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    return file_cached(t, i);
}

/* Throws the files out of the page cache. They have never been read, as their times
 * of access say. */
static void
make_cold(const struct tree *t)
{
    const struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_nsec = UTIME_OMIT } };
    int dir = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_int_equal(syncfs(dir), 0);
    close(dir);
    for (unsigned i = 0; i < FILES; i++) {
        int fd = open(tree_path(t, name_of(i)), O_RDONLY | O_CLOEXEC);
        assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        assert_int_equal(futimens(fd, times), 0);
        close(fd);
    }
}

static unsigned
count_cached(const struct tree *t)
{
    unsigned n = 0;

    for (unsigned i = 0; i < FILES; i++)
        n += file_cached(t, i);
    return n;
}

/* A tree with nothing of it in the page cache; false where it cannot leave it. What
 * somebody else is just writing to the disk stays for a while. */
static bool
cold_tree(struct tree *t)
{
    for (unsigned i = 0; i < FILES; i++)
        tree_write(t, name_of(i), name_of(i));
    assert_int_equal(mkfifo(tree_path(t, "02/00-fifo"), 0600), 0);
    assert_int_equal(mkfifo(tree_path(t, "03/fifo"), 0600), 0);
    assert_int_equal(symlink("/dev/zero", tree_path(t, "03/link")), 0);
    make_cold(t);
    for (unsigned tries = 0; tries < 50 && count_cached(t) > 0; tries++) {
        nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
        make_cold(t);
    }
    tree_open_all(t);
    return count_cached(t) == 0;
}

/* Makes a tree that is cold; where that cannot be, the test ends here. */
#define COLD_TREE(name)                   \
    TREE(name);                           \
    if (!cold_tree(&(name))) {            \
        print_message("no cold files\n"); \
        return;                           \
    }

/* Reads the next `count` files, or what is left, each with what was written there. */
static unsigned
read_files(struct tree *t, unsigned count)
{
    AUTOBUF struct buf got = BUF(100);
    struct entry en;
    uint64_t holes;
    bool changed;
    unsigned n = 0;

    while (n < count && source_next(t->source, &en, &t->e) == 1) {
        if (en.type != ENTRY_FILE)
            continue;
        AUTOFREE char *path = mem_printf("/%.*s", (int)en.path.len,
                                         (const char *)en.path.ptr);
        tree_read(t, &en, &got, &holes, &changed);
        assert_string_equal(buf_cstr(&got), path + strlen(t->dir) + 1);
        assert_false(changed);
        n++;
    }
    return n;
}

static unsigned
count_in(const char *dir)
{
    DIR *d = opendir(dir);
    unsigned n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static unsigned alone; /* threads, when there is none of ours but this one */

static void *
do_nothing(void *arg)
{
    return arg;
}

/* A sanitizer begins its own with our first. */
static int
count_threads(void **state)
{
    pthread_t first;

    (void)state;
    if (pthread_create(&first, NULL, do_nothing, NULL) != 0)
        return -1;
    pthread_join(first, NULL);
    alone = count_in("/proc/self/task");
    for (unsigned i = 0; i < 20; i++) { /* it may stay in the list for a while */
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
        unsigned now = count_in("/proc/self/task");
        alone = now < alone ? now : alone;
    }
    return 0;
}

/* Waits for threads that were joined to leave the list as well. */
static unsigned
threads_at_last(unsigned expected)
{
    for (unsigned i = 0; i < 1000 && count_in("/proc/self/task") != expected; i++)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    return count_in("/proc/self/task");
}

static void
files_are_in_the_page_cache_before_they_are_read(void **state)
{
    (void)state;
    COLD_TREE(t);
    assert_int_equal(read_files(&t, READ), READ);
    for (unsigned i = READ; i < READ + 100; i++)
        assert_true(gets_cached(&t, i));
    assert_false(file_cached(&t, FILES - 1)); /* not all that will be read */
}

static void
what_is_read_is_the_same(void **state)
{
    (void)state;
    COLD_TREE(t);
    assert_int_equal(read_files(&t, FILES + 1), FILES);
    for (unsigned i = 0; i < COUNT_OF(t.issues); i++)
        assert_int_equal(t.issues[i], 0);
}

/* The second walk meets what is gone as well, and must not tell it again. */
static void
files_that_vanish_are_told_once(void **state)
{
    (void)state;
    COLD_TREE(t);
    assert_int_equal(read_files(&t, READ + 1), READ + 1); /* in the folder of 20 */
    for (unsigned i = READ + 5; i < READ + 15; i++)
        assert_int_equal(unlink(tree_path(&t, name_of(i))), 0);
    assert_int_equal(rename(tree_path(&t, "05"), tree_path(&t, "moved")), 0);
    assert_int_equal(read_files(&t, FILES), FILES - READ - 1 - 10 - 20);
    assert_int_equal(t.issues[SOURCE_VANISHED], 10 + 1);
    assert_int_equal(t.issues[SOURCE_UNREADABLE], 0);
}

static void
times_of_access_stay(void **state)
{
    (void)state;
    COLD_TREE(t);
    struct stat st;
    assert_int_equal(read_files(&t, READ), READ);
    assert_true(gets_cached(&t, READ + 50));
    assert_int_equal(stat(tree_path(&t, name_of(READ + 50)), &st), 0);
    assert_int_equal(st.st_atim.tv_sec, 1000);
}

static void
nobody_reads_ahead_of_a_walk_that_reads_nothing(void **state)
{
    (void)state;
    COLD_TREE(t);
    unsigned threads = count_in("/proc/self/task");
    struct entry en;
    while (source_next(t.source, &en, &t.e) == 1)
        assert_int_equal(count_in("/proc/self/task"), threads);
    for (unsigned i = 0; i < FILES; i++)
        assert_false(file_cached(&t, i));
}

static void
reading_ahead_rests_when_no_more_is_read(void **state)
{
    (void)state;
    COLD_TREE(t);
    struct entry en;
    assert_int_equal(read_files(&t, READ), READ);
    assert_true(gets_cached(&t, READ + 50));
    while (source_next(t.source, &en, &t.e) == 1)
        ;
    source_close(TAKE(t.source));
    assert_false(file_cached(&t, FILES - 1));
}

static bool
leaves_out_what_was_passed(void)
{
    TREE(t);
    struct entry en;

    if (!cold_tree(&t)) {
        print_message("no cold files\n");
        return true;
    }
    assert_int_equal(read_files(&t, READ), READ);
    tree_find(&t, name_of(700), &en);
    assert_int_equal(read_files(&t, READ), READ);
    return gets_cached(&t, 700 + READ + 50) && !file_cached(&t, 650);
}

/* The first walk reads `count` files and passes the others; then all are as cold as
 * they were, and those that were cached still are. */
static bool
leaves_no_trace(unsigned count)
{
    TREE(t);
    struct entry en;
    bool same = true;

    if (!cold_tree(&t)) {
        print_message("no cold files\n");
        return true;
    }
    for (unsigned i = 0; i < FILES; i += 3)
        warm(tree_path(&t, name_of(i)), 0, 1);
    assert_int_equal(read_files(&t, count), count);
    if (count < FILES)
        same = gets_cached(&t, count + 50 + count % 3); /* none of those */
    while (source_next(t.source, &en, &t.e) == 1)
        ;
    nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL); /* the disk is done */
    source_close(TAKE(t.source));
    for (unsigned i = 0; i < FILES; i++)
        same &= file_cached(&t, i) == (i % 3 == 0);
    return same;
}

/* A page may stay that somebody holds at the moment when it should leave. */
static void
what_was_asked_for_leaves_the_page_cache(void **state)
{
    static const unsigned counts[] = { FILES, 400, READ };

    (void)state;
    for (unsigned i = 0; i < COUNT_OF(counts); i++) {
        bool good = false;
        for (unsigned tries = 0; tries < 10 && !good; tries++)
            good = leaves_no_trace(counts[i]);
        assert_true(good);
    }
}

static bool
leaves_no_trace_when_closed(void)
{
    TREE(t);

    if (!cold_tree(&t)) {
        print_message("no cold files\n");
        return true;
    }
    assert_int_equal(read_files(&t, READ), READ);
    bool began = gets_cached(&t, READ + 50);
    nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
    source_close(TAKE(t.source));
    return began && count_cached(&t) == 0;
}

static void
closing_in_the_midst_leaves_the_page_cache_as_it_was(void **state)
{
    bool good = false;

    (void)state;
    for (unsigned tries = 0; tries < 10 && !good; tries++)
        good = leaves_no_trace_when_closed();
    assert_true(good);
}

/* What was passed meanwhile is not asked for any more. On a busy machine it may have
 * been asked for just before, or the second walk not be done with that before the
 * first one has read its last file here. */
static void
reading_ahead_begins_anew_where_the_walk_is(void **state)
{
    bool left_out = false;

    (void)state;
    for (unsigned tries = 0; tries < 20 && !left_out; tries++)
        left_out = leaves_out_what_was_passed();
    assert_true(left_out);
}

static void
nobody_reads_ahead_of_a_walk_through_the_page_cache(void **state)
{
    (void)state;
    COLD_TREE(t);
    for (unsigned i = 0; i < FILES; i++)
        warm(tree_path(&t, name_of(i)), 0, 1);
    assert_int_equal(threads_at_last(alone), alone);
    assert_int_equal(read_files(&t, FILES), FILES);
    assert_int_equal(count_in("/proc/self/task"), alone);
}

static void
closing_in_the_midst_leaves_no_thread_and_no_descriptor(void **state)
{
    (void)state;
    COLD_TREE(t);
    unsigned files = count_in("/proc/self/fd");
    assert_int_equal(threads_at_last(alone), alone);
    assert_int_equal(read_files(&t, READ), READ);
    assert_int_equal(count_in("/proc/self/task"), alone + 1);
    source_close(TAKE(t.source));
    assert_int_equal(threads_at_last(alone), alone);
    assert_int_equal(count_in("/proc/self/fd"), files);
}

/* A person who may not read a folder, and owns none of the files: without the right
 * to leave the times of access alone, nothing is read ahead. */
static void
without_rights_nothing_is_touched(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    COLD_TREE(t);
    struct stat st;
    assert_int_equal(chmod(tree_path(&t, "01"), 0), 0);
    assert_int_equal(seteuid(65534), 0);
    tree_open_all(&t);
    unsigned read = read_files(&t, READ);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(tree_path(&t, "01"), 0755), 0);
    assert_int_equal(read, READ);
    assert_int_equal(t.issues[SOURCE_UNREADABLE], 1);
    nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
    assert_int_equal(stat(tree_path(&t, name_of(READ + 60)), &st), 0);
    assert_int_equal(st.st_atim.tv_sec, 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_in_the_page_cache_before_they_are_read),
        cmocka_unit_test(what_is_read_is_the_same),
        cmocka_unit_test(files_that_vanish_are_told_once),
        cmocka_unit_test(times_of_access_stay),
        cmocka_unit_test(nobody_reads_ahead_of_a_walk_that_reads_nothing),
        cmocka_unit_test(reading_ahead_rests_when_no_more_is_read),
        cmocka_unit_test(what_was_asked_for_leaves_the_page_cache),
        cmocka_unit_test(closing_in_the_midst_leaves_the_page_cache_as_it_was),
        cmocka_unit_test(reading_ahead_begins_anew_where_the_walk_is),
        cmocka_unit_test(nobody_reads_ahead_of_a_walk_through_the_page_cache),
        cmocka_unit_test(closing_in_the_midst_leaves_no_thread_and_no_descriptor),
        cmocka_unit_test(without_rights_nothing_is_touched),
    };

    return cmocka_run_group_tests(tests, count_threads, NULL);
}
