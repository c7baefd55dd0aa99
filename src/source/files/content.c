#include "files.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define READAHEAD_FROM (1 << 20) /* bytes; smaller files are not worth the call */

static int
open_file(const struct walk_item *item)
{
    /* Not blocking: what is there now may be a fifo. */
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
              | (item->follow ? 0 : O_NOFOLLOW);
    int fd = openat(item->dir, item->name, flags | O_NOATIME);

    if (fd < 0 && errno == EPERM)
        fd = openat(item->dir, item->name, flags);
    if (fd < 0 && errno == EWOULDBLOCK) /* a lease is being broken: wait for it */
        fd = openat(item->dir, item->name, flags & ~O_NONBLOCK);
    return fd;
}

static bool
same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool
same_state(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size
        && same_time(a->st_mtim, b->st_mtim) && same_time(a->st_ctim, b->st_ctim);
}

int
content_begin(struct files *f, struct entry *en, struct err *e)
{
    struct content *c = &f->content;

    content_drop(f);
    int fd = open_file(&f->item);
    if (fd < 0)
        return meta_lost(f, errno);
    *c = (struct content){ .fd = fd };
    c->brought = ahead_read(f->ahead, f->item.path);
    if (fstat(fd, &c->begin) < 0 || !S_ISREG(c->begin.st_mode)) {
        content_drop(f);
        return meta_lost(f, ENOENT); /* the file is gone, something else is there */
    }
    if ((uint64_t)c->begin.st_blocks * 512 >= (uint64_t)c->begin.st_size)
        c->data_end = UINT64_MAX;
    if (c->begin.st_size >= READAHEAD_FROM)
        posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    meta_fill(en, &c->begin);
    /* A description older than these times would never be looked at again. */
    bool stale = f->described && !same_state(&c->begin, &f->item.st);
    f->item.st = c->begin;
    if (stale && meta_describe(f, en, e) <= 0) {
        content_drop(f);
        return 0;
    }
    return 1;
}

/* Looks for the end of the data at `pos`, or passes the hole there. */
static void
find_data(struct content *c, uint64_t *hole)
{
    off_t data = lseek(c->fd, (off_t)c->pos, SEEK_DATA);

    if (data < 0 && errno == ENXIO) { /* nothing but a hole up to the end */
        off_t size = lseek(c->fd, 0, SEEK_END);
        if (size > 0 && (uint64_t)size > c->pos) {
            *hole = (uint64_t)size - c->pos;
            c->pos = (uint64_t)size;
        }
        c->data_end = UINT64_MAX; /* what is appended from now on is read */
        return;
    }
    off_t end = data < 0 ? -1 : lseek(c->fd, data, SEEK_HOLE);
    c->data_end = end < 0 || end >= c->begin.st_size ? UINT64_MAX : (uint64_t)end;
    if (data > 0 && (uint64_t)data > c->pos) {
        *hole = (uint64_t)data - c->pos;
        c->pos = (uint64_t)data;
    }
}

/* Gives up what was brought behind the next read, and looks at what is in the page
 * cache there and as far as the kernel may read ahead. True: the read waits for the
 * disk. */
static bool
look(struct files *f)
{
    struct content *c = &f->content;
    uint64_t size = (uint64_t)c->begin.st_size, missing = 0;
    uint64_t at = c->pos - c->pos % PAGES_SPAN;

    for (unsigned i = 0; i < SPANS; i++)
        if (f->seen[i].at < at)
            pages_leave(&f->seen[i], c->fd);
    for (unsigned i = 0; i < SPANS && at < size; i++, at += PAGES_SPAN) {
        struct pages *p = &f->seen[at / PAGES_SPAN % SPANS];
        if (p->count == 0)
            pages_look(p, c->fd, at, size - at);
        missing += p->missing;
    }
    return missing > 0;
}

/* Tries to read a whole file out of the page cache, which costs nothing more than to
 * read it. If it is not there, this has made the kernel begin to fetch it, and what was
 * there before can no longer be told for sure: so it is tried only where many files
 * before this one were. */
static bool
read_cached(struct files *f, uint8_t *out, size_t len, ssize_t *n)
{
    struct content *c = &f->content;
    struct iovec to = { out, len };

    if (f->wary > 0 || c->pos > 0 || c->begin.st_size > (off_t)len)
        return false;
    *n = preadv2(c->fd, &to, 1, 0, RWF_NOWAIT);
    if (*n >= c->begin.st_size)
        return true;
    f->wary = WARY_FILES;
    return false;
}

/* pread(), that leaves the page cache as it was. */
static ssize_t
read_here(struct files *f, uint8_t *out, size_t len)
{
    struct content *c = &f->content;
    ssize_t n;

    if (c->brought < (uint64_t)c->begin.st_size) {
        if (read_cached(f, out, len, &n))
            return n;
        bool waits = look(f);
        if (waits && c->pos == 0)
            ahead_wait(f->ahead, f->item.path);
        if (waits)
            f->wary = WARY_FILES;
        else if (c->pos == 0 && f->wary > 0)
            f->wary--;
    }
    do
        n = pread(c->fd, out, len, (off_t)c->pos);
    while (n < 0 && errno == EINTR);
    return n;
}

int
content_read(struct files *f, uint8_t *out, size_t len, size_t *got, uint64_t *hole,
             struct err *e)
{
    struct content *c = &f->content;

    if (c->ended)
        return 0;
    if (c->pos >= c->data_end)
        find_data(c, hole);
    if (*hole > 0)
        return 0;
    if (len > c->data_end - c->pos)
        len = (size_t)(c->data_end - c->pos);
    ssize_t n = read_here(f, out, len);
    if (n < 0)
        return err_set(e, ERR_SOURCE, errno, "reading /%s: %s",
                       text_of_name(f->item.path), strerror(errno));
    *got = (size_t)n;
    c->pos += (size_t)n;
    /* A short read at the size that is known is the end: no call to see it. */
    c->ended = n == 0 || ((size_t)n < len && c->pos >= (uint64_t)c->begin.st_size);
    return 0;
}

int
content_end(struct files *f, bool *changed)
{
    struct content *c = &f->content;
    struct stat now;

    *changed = fstat(c->fd, &now) < 0 || !same_state(&c->begin, &now)
            || c->pos != (uint64_t)c->begin.st_size;
    content_drop(f);
    return 0;
}

void
content_drop(struct files *f)
{
    struct content *c = &f->content;

    if (c->fd < 0)
        return;
    pages_drop(c->fd, 0, c->brought);
    for (unsigned i = 0; i < SPANS; i++)
        pages_leave(&f->seen[i], c->fd);
    close(c->fd);
    c->fd = -1;
}
