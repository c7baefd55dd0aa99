#include "ahead.h"
#include "../driver.h"
#include "exclude.h"
#include "walk.h"

#include "base/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>
#include <unistd.h>

/* Of the last 16 files passed, so many have to be read, and so many to wait. */
#define READ_MIN 8
#define WAITED_MIN 4

/* What is asked for at once. The first walk is at most two such stretches behind. */
#define STRETCH_FILES 256
#define STRETCH_ENTRIES 1024
#define STRETCH_BYTES (32 << 20)
#define STRETCH_COLD_MIN 8       /* fewer files that are not cached: it is not worth it */
#define FILE_BYTES_MAX (4 << 20) /* from there on the kernel reads ahead by itself */

enum state {
    RESTING, /* until reads wait */
    WAITING, /* until the first walk comes to `mark` */
    GOING,
    ENDED,
};

struct ahead {
    /* The second walk; only its thread uses it. */
    struct source quiet; /* hears the issues, which the first walk reports */
    struct exclude *rules;
    struct walk *walk;

    /* Between the two. */
    struct queue *go; /* paths: where the next stretch begins at the earliest */
    _Atomic enum state state;
    atomic_bool stop;
    struct buf mark; /* where the last stretch began; the thread's while GOING */

    /* For the first walk alone. */
    bool started;
    pthread_t thread;
    uint16_t read, waited; /* a bit for each of the last files, the newest lowest */
};

struct ahead *
ahead_new(const struct conf_source *c, const struct source_options *o,
          const struct roots *roots)
{
    struct ahead *a = mem_zalloc(sizeof *a);

    a->rules = exclude_new(c->files.exclude); /* matching writes into it */
    a->walk = walk_new(&a->quiet, o, roots, a->rules, c->files.one_file_system);
    a->mark = BUF(ENTRY_PATH_MAX + 1);
    a->go = queue_new(1);
    return a;
}

void
ahead_free(struct ahead *a)
{
    void *path;

    atomic_store(&a->stop, true);
    queue_cancel(a->go);
    if (a->started)
        pthread_join(a->thread, NULL);
    while (queue_salvage(a->go, &path))
        mem_free(path);
    queue_free(a->go);
    walk_free(a->walk);
    exclude_free(a->rules);
    buf_release(&a->mark);
    mem_free(a);
}

/* Asks for the beginning of the file's content: how many bytes had to be asked for.
 * To look whether it is cached means to read, so that a file whose time of access
 * would be touched by it is left alone. */
static uint64_t
ask(const struct walk_item *item)
{
    /* Not blocking: what is there now may be a fifo. */
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOATIME
              | (item->follow ? 0 : O_NOFOLLOW);
    int fd = openat(item->dir, item->name, flags);
    uint64_t asked = 0;
    struct stat st;
    uint8_t byte;
    struct iovec to = { &byte, 1 };

    if (fd < 0)
        return 0;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)
        && preadv2(fd, &to, 1, 0, RWF_NOWAIT) < 0 && errno == EAGAIN) {
        asked = st.st_size < FILE_BYTES_MAX ? (uint64_t)st.st_size : FILE_BYTES_MAX;
        posix_fadvise(fd, 0, (off_t)asked, POSIX_FADV_WILLNEED);
    }
    close(fd);
    return asked;
}

/* Goes on by one stretch. */
static enum state
stretch(struct ahead *a)
{
    unsigned files = 0, cold = 0;
    uint64_t bytes = 0;
    struct walk_item item;
    struct err e = { 0 };

    for (unsigned i = 0;
         i < STRETCH_ENTRIES && files < STRETCH_FILES && bytes < STRETCH_BYTES; i++) {
        if (atomic_load(&a->stop) || walk_next(a->walk, &item, &e) <= 0)
            return ENDED;
        if (i == 0) {
            buf_clear(&a->mark);
            buf_put_slice(&a->mark, item.path);
        }
        if (!S_ISREG(item.st.st_mode) || item.st.st_size == 0)
            continue;
        uint64_t asked = ask(&item);
        files++;
        cold += asked > 0;
        bytes += asked;
    }
    return files == STRETCH_FILES && cold < STRETCH_COLD_MIN ? RESTING : WAITING;
}

static void *
ahead_main(void *arg)
{
    struct ahead *a = arg;
    void *path;

    while (queue_take(a->go, &path)) {
        walk_skip_to(a->walk, slice_str(path));
        mem_free(path);
        atomic_store(&a->state, stretch(a));
    }
    return NULL;
}

static void
go(struct ahead *a, struct slice from)
{
    if (!a->started && pthread_create(&a->thread, NULL, ahead_main, a) != 0) {
        atomic_store(&a->state, ENDED);
        return;
    }
    a->started = true;
    atomic_store(&a->state, GOING);
    char *path = mem_printf("%.*s", (int)from.len, (const char *)from.ptr);
    if (!queue_put(a->go, path))
        mem_free(path);
}

static bool
reads_most(const struct ahead *a)
{
    return __builtin_popcount(a->read) >= READ_MIN;
}

void
ahead_pass(struct ahead *a, struct slice path, bool file)
{
    if (file) {
        a->read = (uint16_t)(a->read << 1);
        a->waited = (uint16_t)(a->waited << 1);
    }
    if (atomic_load(&a->state) != WAITING || entry_order(path, buf_slice(&a->mark)) < 0)
        return;
    if (reads_most(a))
        go(a, path);
    else
        atomic_store(&a->state, RESTING);
}

void
ahead_read(struct ahead *a)
{
    a->read |= 1;
}

void
ahead_wait(struct ahead *a, struct slice path)
{
    a->waited |= 1;
    if (atomic_load(&a->state) == RESTING && reads_most(a)
        && __builtin_popcount(a->waited) >= WAITED_MIN)
        go(a, path);
}
