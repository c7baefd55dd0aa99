/*
 * cached: what of a file is in the page cache, and making it leave.
 */
#ifndef TESTS_SOURCE_CACHED_H
#define TESTS_SOURCE_CACHED_H

#include "tree.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#define CACHED_MAX (64 << 20) /* bytes of a file */
#define CACHED_MAP (CACHED_MAX / 4096 + 1)

/* Writes a character for each page of the file: '#' is there, '.' is not. */
static inline const char *
cached_map(const char *path, char map[CACHED_MAP])
{
    int fd = open(path, O_RDONLY | O_NOATIME | O_CLOEXEC);
    struct stat st;

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_size <= CACHED_MAX);
    size_t size = (size_t)st.st_size, page = (size_t)sysconf(_SC_PAGESIZE);
    size_t count = (size + page - 1) / page;
    void *at = size == 0 ? NULL : mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    assert_true(at != MAP_FAILED);
    unsigned char *there = mem_alloc(count + 1);
    if (at)
        assert_int_equal(mincore(at, size, there), 0);
    for (size_t i = 0; i < count; i++)
        map[i] = there[i] & 1 ? '#' : '.';
    map[count] = 0;
    if (at)
        munmap(at, size);
    mem_free(there);
    close(fd);
    return map;
}

static inline bool
is_cached(const char *path)
{
    static char map[CACHED_MAP];

    return cached_map(path, map)[0] == '#';
}

static inline bool
is_cold(const char *path)
{
    static char map[CACHED_MAP];

    return !strchr(cached_map(path, map), '#');
}

/* Throws the file out of the page cache; false: it does not go. What somebody is just
 * writing to the disk stays for a while. */
static inline bool
cool(const char *path)
{
    int fd = open(path, O_RDONLY | O_NOATIME | O_CLOEXEC);

    assert_true(fd >= 0);
    for (unsigned tries = 0; tries < 50; tries++) {
        if (tries > 0)
            nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
        assert_int_equal(fdatasync(fd), 0);
        assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        if (is_cold(path))
            break;
    }
    close(fd);
    return is_cold(path);
}

/* Brings a part of the file into the page cache, and nothing else of it. */
static inline void
warm(const char *path, size_t from, size_t len)
{
    int fd = open(path, O_RDONLY | O_NOATIME | O_CLOEXEC);
    char *room = mem_alloc(len);

    assert_true(fd >= 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
    assert_int_equal(pread(fd, room, len, (off_t)from), len);
    mem_free(room);
    close(fd);
}

#endif
