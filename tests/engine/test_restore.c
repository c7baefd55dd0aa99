#include "support/lab.h"

#include "base/clock.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOAD_FILES 2000 /* of one load, see src/engine/load.h */

static char *
restored(const struct lab *l, const char *name)
{
    return mem_printf("%s/restored%s/%s", l->site.folder.path, l->src, name);
}

static void
link_in_source(const struct lab *l, const char *from, const char *to)
{
    AUTOFREE char *a = mem_printf("%s/%s", l->src, from);
    AUTOFREE char *b = mem_printf("%s/%s", l->src, to);

    assert_int_equal(link(a, b), 0);
}

static void
assert_one_file(const struct lab *l, const char *a, const char *b)
{
    AUTOFREE char *first = restored(l, a);
    AUTOFREE char *second = restored(l, b);
    struct stat x, y;

    assert_int_equal(lstat(first, &x), 0);
    assert_int_equal(lstat(second, &y), 0);
    assert_int_equal(x.st_ino, y.st_ino);
    assert_int_equal(x.st_nlink, 2);
}

/* The first name may be in the load that is being filled, in one that is being
 * fetched or waits for its names, or have its name since long. */
static void
names_of_one_file_stay_one_file_however_far_apart(void **state)
{
    LAB(l);

    (void)state;
    folder_write(&l.site.folder, "src/a-near", SLICE("near"));
    link_in_source(&l, "a-near", "a-near-too");
    folder_write(&l.site.folder, "src/a-far", SLICE("far"));
    folder_write(&l.site.folder, "src/a-farther", SLICE("farther"));
    for (unsigned i = 0; i < 4 * LOAD_FILES; i++) {
        AUTOFREE char *name = mem_printf("src/m%u/%u", i / 1000, i);
        AUTOFREE char *text = mem_printf("file %u\n", i);
        folder_write(&l.site.folder, name, slice_str(text));
        if (i == LOAD_FILES + 500)
            link_in_source(&l, "a-far", "m2/z-far");
    }
    folder_write(&l.site.folder, "src/n-big", SLICE("x"));
    link_in_source(&l, "a-farther", "z-farther");
    link_in_source(&l, "n-big", "z-big");
    back_up_well(&l);
    restore_well(&l, true);
    assert_one_file(&l, "a-near", "a-near-too");
    assert_one_file(&l, "a-far", "m2/z-far");
    assert_one_file(&l, "a-farther", "z-farther");
    assert_one_file(&l, "n-big", "z-big");
}

struct held {
    atomic_uint begun;
    atomic_bool in_vain;
};

/* The first read waits until there are three. */
static void
hold_first(void *arg, enum fault_call call, const char *key)
{
    struct held *h = arg;

    if (call != FAULT_ON_GET || strncmp(key, "pack/", 5) != 0
        || atomic_fetch_add(&h->begun, 1) > 0)
        return;
    for (int i = 0; i < 2000 && atomic_load(&h->begun) < 3; i++)
        clock_sleep_ms(5);
    atomic_store(&h->in_vain, atomic_load(&h->begun) < 3);
}

/* Far away whoever waits for one load's last answer has asked for the next ones. */
static void
a_late_answer_does_not_hold_up_the_next_two_loads(void **state)
{
    struct held held = { 0 };
    LAB(l);

    (void)state;
    for (unsigned i = 0; i < 4 * LOAD_FILES; i++) {
        AUTOFREE char *name = mem_printf("src/%u", i);
        AUTOFREE char *text = mem_printf("file %u\n", i);
        folder_write(&l.site.folder, name, slice_str(text));
    }
    back_up_well(&l);
    l.hook = (struct hook){ .before = hold_first, .arg = &held, .traits = STORAGE_LOCAL };
    l.hooked = 0;
    restore_well(&l, false);
    assert_true(held.begun >= 4);
    assert_false(held.in_vain);
}

/* Folders are finished behind their last files, whichever load those are in. */
static void
folders_keep_their_times_across_loads(void **state)
{
    static const struct timespec then[2] = { { .tv_sec = 1000000000 },
                                             { .tv_sec = 1000000000 } };
    LAB(l);

    (void)state;
    for (unsigned i = 0; i < 3 * LOAD_FILES; i++) {
        AUTOFREE char *name = mem_printf("src/deep/%u/%u", i / 1500, i);
        folder_write(&l.site.folder, name, SLICE("x"));
    }
    for (unsigned i = 0; i <= 4; i++) {
        AUTOFREE char *path = i < 4 ? mem_printf("%s/deep/%u", l.src, i)
                                    : mem_printf("%s/deep", l.src);
        assert_int_equal(utimensat(AT_FDCWD, path, then, 0), 0);
    }
    back_up_well(&l);
    restore_well(&l, true);
    for (unsigned i = 0; i <= 4; i++) {
        AUTOFREE char *name = i < 4 ? mem_printf("deep/%u", i) : mem_strdup("deep");
        AUTOFREE char *path = restored(&l, name);
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mtim.tv_sec, then[0].tv_sec);
    }
}

/* How much of the file is in the page cache, in percent. */
static unsigned
share_cached(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    size_t there = 0;

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    size_t pages = ((size_t)st.st_size + 4095) / 4096;
    AUTOFREE unsigned char *in = mem_alloc(pages);
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    assert_int_equal(mincore(map, (size_t)st.st_size, in), 0);
    munmap(map, (size_t)st.st_size);
    close(fd);
    for (size_t i = 0; i < pages; i++)
        there += in[i] & 1;
    return (unsigned)(there * 100 / pages);
}

/* Where a file system is nothing but page cache, nothing leaves it. */
static bool
pages_can_go(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    close(fd);
    return share_cached(path) < 10;
}

/* One that takes several loads, and one that shares its load with others. */
static void
large_files_do_not_stay_in_the_page_cache(void **state)
{
    const size_t piece = 1 << 20, count = 80;
    AUTOFREE uint8_t *bytes = mem_alloc(piece * count);
    FOLDER(disk);
    LAB(l);

    (void)state;
    fill_bytes(bytes, 8 * piece, 1);
    for (size_t i = 8; i < count; i++)
        memcpy(bytes + i * piece, bytes + (i - 8) * piece, piece);
    folder_write(&l.site.folder, "src/long", slice_of(bytes, piece * count));
    folder_write(&l.site.folder, "src/large", slice_of(bytes, 3 * piece));
    back_up_well(&l);
    AUTOFREE char *to = folder_path(&disk, "restored");
    AUTOFREE char *long_one = mem_printf("%s%s/long", to, l.src);
    AUTOFREE char *large_one = mem_printf("%s%s/large", to, l.src);
    unsigned cached = 100;
    for (unsigned tries = 0; tries < 5 && cached >= 20; tries++) {
        restore_into(&l, to, true);
        cached = share_cached(long_one) + share_cached(large_one);
    }
    if (cached > 0 && !pages_can_go(long_one)) {
        print_message("nothing leaves the page cache here\n");
        return;
    }
    assert_in_range(cached, 0, 19); /* what others just use may stay */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_one_file_stay_one_file_however_far_apart),
        cmocka_unit_test(a_late_answer_does_not_hold_up_the_next_two_loads),
        cmocka_unit_test(folders_keep_their_times_across_loads),
        cmocka_unit_test(large_files_do_not_stay_in_the_page_cache),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
