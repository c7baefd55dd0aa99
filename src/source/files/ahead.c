#include "ahead.h"
#include "../driver.h"
#include "exclude.h"
#include "walk.h"

#include "base/pages.h"
#include "base/queue.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
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

#define ASKED_MAX (4 * STRETCH_FILES) /* twice what two stretches leave: no put waits */

/* A file that was asked for, of which nothing was in the page cache before. */
struct asked {
    uint64_t len;
    char path[];
};

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
    struct pages seen;

    /* Between the two. */
    struct queue *go; /* paths: where the next stretch begins at the earliest */
    _Atomic enum state state;
    atomic_bool stop;
    struct buf mark;      /* where the last stretch began; the thread's while GOING */
    struct queue *asked;  /* in the order of the walk */
    struct queue *passed; /* those that the first walk did not read since */

    /* For the first walk alone. */
    bool started;
    pthread_t thread;
    struct asked *head;    /* taken from `asked`: the walk has not passed it yet */
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
    a->asked = queue_new(ASKED_MAX);
    a->passed = queue_new(ASKED_MAX);
    return a;
}

/* Gives up the content of a file that was asked for and not read. */
static void
forget(struct asked *f)
{
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOATIME | O_NOFOLLOW;
    int fd = open(f->path, flags);

    if (fd >= 0) {
        pages_drop(fd, 0, f->len);
        close(fd);
    }
    mem_free(f);
}

void
ahead_free(struct ahead *a)
{
    void *item;

    atomic_store(&a->stop, true);
    queue_cancel(a->go);
    if (a->started)
        pthread_join(a->thread, NULL);
    while (queue_salvage(a->go, &item))
        mem_free(item);
    if (a->head)
        forget(a->head);
    while (queue_try_take(a->passed, &item) || queue_try_take(a->asked, &item))
        forget(item);
    queue_free(a->go);
    queue_free(a->asked);
    queue_free(a->passed);
    walk_free(a->walk);
    exclude_free(a->rules);
    buf_release(&a->mark);
    mem_free(a);
}

/* Asks for the beginning of the file's content: how many bytes had to be asked for.
 * A file whose time of access might be touched is left alone. So is one that is cached
 * in part: the first walk could not tell what was there before. */
static uint64_t
ask(struct ahead *a, const struct walk_item *item)
{
    /* Not blocking: what is there now may be a fifo. */
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOATIME
              | (item->follow ? 0 : O_NOFOLLOW);
    int fd = openat(item->dir, item->name, flags);
    uint64_t asked = 0;
    struct pages *p = &a->seen;
    struct stat st;

    if (fd < 0)
        return 0;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        asked = st.st_size < FILE_BYTES_MAX ? (uint64_t)st.st_size : FILE_BYTES_MAX;
        pages_look(p, fd, 0, asked);
        if (p->missing < p->count
            || posix_fadvise(fd, 0, (off_t)asked, POSIX_FADV_WILLNEED) != 0)
            asked = 0;
    }
    close(fd);
    return asked;
}

static void
remember(struct ahead *a, struct slice path, uint64_t len)
{
    struct asked *f = mem_alloc(sizeof *f + 1 + path.len + 1);

    f->len = len;
    f->path[0] = '/';
    memcpy(f->path + 1, path.ptr, path.len);
    f->path[1 + path.len] = 0;
    if (!queue_put(a->asked, f))
        mem_free(f);
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
        uint64_t asked = ask(a, &item);
        if (asked > 0)
            remember(a, item.path, asked);
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
    void *path, *file;

    while (queue_take(a->go, &path)) {
        while (queue_try_take(a->passed, &file))
            forget(file);
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

static struct slice
path_of(const struct asked *f)
{
    return slice_str(f->path + 1);
}

/* Hands over what was asked for and lies before `path`. It was not read, or it was
 * asked for too late, when that was already going on. */
static void
pass_asked(struct ahead *a, struct slice path)
{
    void *file;

    while (a->started) {
        if (!a->head && queue_try_take(a->asked, &file))
            a->head = file;
        if (!a->head || entry_order(path_of(a->head), path) >= 0)
            return;
        (void)queue_put(a->passed, TAKE(a->head));
    }
}

void
ahead_pass(struct ahead *a, struct slice path, bool file)
{
    if (file) {
        a->read = (uint16_t)(a->read << 1);
        a->waited = (uint16_t)(a->waited << 1);
    }
    pass_asked(a, path);
    if (atomic_load(&a->state) != WAITING || entry_order(path, buf_slice(&a->mark)) < 0)
        return;
    if (reads_most(a))
        go(a, path);
    else
        atomic_store(&a->state, RESTING);
}

uint64_t
ahead_read(struct ahead *a, struct slice path)
{
    uint64_t len = 0;

    a->read |= 1;
    pass_asked(a, path);
    if (a->head && entry_order(path_of(a->head), path) == 0) {
        len = a->head->len;
        mem_free(TAKE(a->head));
    }
    return len;
}

void
ahead_wait(struct ahead *a, struct slice path)
{
    a->waited |= 1;
    if (atomic_load(&a->state) == RESTING && reads_most(a)
        && __builtin_popcount(a->waited) >= WAITED_MIN)
        go(a, path);
}
