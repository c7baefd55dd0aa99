#include "placing.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIECE_MAX 4000 /* bytes of a path for one system call, under PATH_MAX */
#define FOLDER (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* Opens the folder at the relative path `piece`, part by part. */
static int
open_stepwise(int dir, char *piece)
{
    int at = dir;

    for (char *part = strtok_r(piece, "/", &piece); part;
         part = strtok_r(NULL, "/", &piece)) {
        int next = openat(at, part, FOLDER);
        int cause = errno;
        if (at != dir)
            close(at);
        errno = cause;
        if (next < 0)
            return -1;
        at = next;
    }
    return at;
}

static int
open_piece(struct place *p, int dir, char *piece)
{
    struct open_how how = { .flags = FOLDER,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };

    if (atomic_load(&p->stepwise))
        return open_stepwise(dir, piece);
    for (;;) {
        int fd = (int)syscall(SYS_openat2, dir, piece, &how, sizeof how);
        if (fd >= 0
            || (errno != ENOSYS && errno != EPERM && errno != EAGAIN && errno != EINTR))
            return fd;
        if (errno == EAGAIN || errno == EINTR)
            continue;
        atomic_store(&p->stepwise, true); /* an old kernel, or a filter that refuses */
        return open_stepwise(dir, piece);
    }
}

/* Opens the folder `rest` below `dir`, in pieces that the kernel takes. */
static int
open_below(struct place *p, int dir, struct slice rest)
{
    char piece[PIECE_MAX + 1];
    int at = dir;

    while (rest.len > 0) {
        size_t len = rest.len;
        if (len > PIECE_MAX) {
            const uint8_t *slash = memrchr(rest.ptr, '/', PIECE_MAX);
            len = slash ? (size_t)(slash - rest.ptr) : 0;
        }
        memcpy(piece, rest.ptr, len);
        piece[len] = 0;
        errno = ENAMETOOLONG;
        int next = len > 0 ? open_piece(p, at, piece) : -1;
        int cause = errno;
        if (at != dir)
            close(at);
        errno = cause;
        if (next < 0)
            return -1;
        at = next;
        rest = slice_sub(rest, len, rest.len - len);
        if (rest.len > 0)
            rest = slice_sub(rest, 1, rest.len - 1); /* the slash */
    }
    return at;
}

static void
unref(struct parent *d) /* with the lock held */
{
    if (--d->refs > 0)
        return;
    close(d->fd);
    mem_free(d->path);
    mem_free(d);
}

/* The cached folder that is `path`, or else the nearest above it; one more
 * reference is the caller's. */
static struct parent *
nearest(struct place *p, struct slice path)
{
    struct parent *best = p->top;

    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < PARENTS_KEPT; i++) {
        struct parent *d = p->cache[i];
        if (d && d->len > best->len && entry_below(path, slice_of(d->path, d->len)))
            best = d;
    }
    best->refs++;
    best->used = ++p->clock;
    pthread_mutex_unlock(&p->lock);
    return best;
}

static struct parent *
insert(struct place *p, struct slice path, int fd, bool fresh)
{
    struct parent *d = mem_zalloc(sizeof *d);
    size_t oldest = 0;

    *d = (struct parent){ .fd = fd, .len = path.len, .fresh = fresh, .refs = 2 };
    d->path = mem_alloc(path.len + 1);
    memcpy(d->path, path.ptr, path.len);
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < PARENTS_KEPT; i++) {
        struct parent *have = p->cache[i];
        bool same = have && have->len == path.len
                 && memcmp(have->path, path.ptr, path.len) == 0;
        if (!have || same) { /* the newer of two is as good */
            oldest = i;
            break;
        }
        if (have->used < p->cache[oldest]->used)
            oldest = i;
    }
    if (p->cache[oldest])
        unref(p->cache[oldest]);
    d->used = ++p->clock;
    p->cache[oldest] = d;
    pthread_mutex_unlock(&p->lock);
    return d;
}

void
parents_add(struct place *p, struct slice path, int fd, bool fresh)
{
    struct parent *d = insert(p, path, fd, fresh);

    pthread_mutex_lock(&p->lock);
    unref(d);
    pthread_mutex_unlock(&p->lock);
}

void
parents_release(struct place *p)
{
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < PARENTS_KEPT; i++)
        if (p->cache[i])
            unref(TAKE(p->cache[i]));
    pthread_mutex_unlock(&p->lock);
}

static int
cannot_open(struct err *e, struct slice path, int cause)
{
    const char *name = text_of_name(path);

    if (cause == ELOOP || cause == ENOTDIR)
        return err_set(e, ERR_EXISTS, cause,
                       "on the way to %s lies a link or a file, not a folder", name);
    return err_sys(e, cause, "opening the folder of %s", name);
}

int
spot_open(struct place *p, struct slice path, struct spot *out, struct err *e)
{
    if (!entry_path_valid(path))
        return err_set(e, ERR_CORRUPT, 0, "the path %s is not one that can be restored",
                       text_of_name(path));
    const uint8_t *slash = memrchr(path.ptr, '/', path.len);
    struct slice folder = slice_of(path.ptr, slash ? (size_t)(slash - path.ptr) : 0);
    struct slice name = slash ? slice_sub(path, folder.len + 1, path.len - folder.len - 1)
                              : path;
    if (name.len >= sizeof out->name)
        return err_sys(e, ENAMETOOLONG, "%s", text_of_name(path));

    struct parent *d = nearest(p, folder);
    if (d->len < folder.len) {
        size_t skip = d->len + (d->len > 0);
        int fd = open_below(p, d->fd, slice_sub(folder, skip, folder.len - skip));
        int cause = errno;
        pthread_mutex_lock(&p->lock);
        unref(d);
        pthread_mutex_unlock(&p->lock);
        if (fd < 0)
            return cannot_open(e, path, cause);
        d = insert(p, folder, fd, false);
    }
    out->place = p;
    out->parent = d;
    out->dir = d->fd;
    memcpy(out->name, name.ptr, name.len);
    out->name[name.len] = 0;
    return 0;
}

void
spot_release(struct spot *s)
{
    if (!s->place)
        return;
    pthread_mutex_lock(&s->place->lock);
    unref(s->parent);
    pthread_mutex_unlock(&s->place->lock);
    s->place = NULL;
}
