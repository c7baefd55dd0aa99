#include "base/pages.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_cachestat /* headers before Linux 6.5 */
#define SYS_cachestat 451
#endif

static size_t
page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* How many pages of a range are there, at the cost of one call; -1: not known, as with
 * Linux before 6.5. */
static int64_t
count_there(int fd, uint64_t at, uint64_t len)
{
    struct {
        uint64_t at, len;
    } range = { at, len };
    struct {
        uint64_t cached, dirty, written, evicted, lately;
    } found;

    return syscall(SYS_cachestat, fd, &range, &found, 0) < 0 ? -1 : (int64_t)found.cached;
}

/* Finds out which are. Where that cannot be, all are. */
static void
find_missing(struct pages *p, int fd, size_t bytes)
{
    void *map = mmap(NULL, bytes, PROT_NONE, MAP_SHARED, fd, (off_t)p->at);

    p->missing = 0;
    if (map == MAP_FAILED)
        return;
    if (mincore(map, bytes, p->there) == 0)
        for (size_t i = 0; i < p->count; i++)
            p->missing += !(p->there[i] & 1);
    munmap(map, bytes);
}

void
pages_look(struct pages *p, int fd, uint64_t at, uint64_t len)
{
    assert(at % PAGES_SPAN == 0);
    size_t bytes = len < PAGES_SPAN ? (size_t)len : PAGES_SPAN;

    p->at = at;
    p->count = (bytes + page_size() - 1) / page_size();
    int64_t there = bytes > 0 ? count_there(fd, at, bytes) : 0;
    p->missing = p->count - (size_t)there;
    if (there == 0)
        memset(p->there, 0, p->count);
    else if (there < 0 || p->missing > 0)
        find_missing(p, fd, bytes);
}

void
pages_drop(int fd, uint64_t at, uint64_t len)
{
    /* The kernel leaves a page alone of which only a part is named. */
    uint64_t whole = (len + page_size() - 1) / page_size() * page_size();

    if (len > 0)
        posix_fadvise(fd, (off_t)at, (off_t)whole, POSIX_FADV_DONTNEED);
}

void
pages_leave(struct pages *p, int fd)
{
    for (size_t i = 0, from; p->missing > 0 && i < p->count; i++) {
        for (from = i; i < p->count && !(p->there[i] & 1); i++)
            ;
        pages_drop(fd, p->at + from * page_size(), (i - from) * page_size());
    }
    p->count = p->missing = 0;
}
