/*
 * The root is opened at every call and all else is reached from there, so
 * that a disk which is unmounted meanwhile is noticed and never written
 * behind.
 */
#include "storage/dir.h"

#include "base/clock.h"
#include "base/fs.h"
#include "impl.h"
#include "walk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)1 << 20) /* bytes read at a time */

static const struct storage_ops dir_ops;

struct dir *
dir_of(struct storage *s)
{
    assert(s->ops == &dir_ops);
    return (struct dir *)s;
}

int
dir_failed(const struct dir *d, int cause, const char *what, const char *key,
           struct err *e)
{
    err_sys(e, cause, "%s %s/%s", what, d->root, key);
    if (e->kind == ERR_IO)
        e->kind = ERR_UNAVAIL;
    return -1;
}

int
dir_open_root(const struct dir *d, int *out, struct err *e)
{
    *out = open(d->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*out >= 0)
        return 0;
    if (errno == ENOENT || errno == ENOTDIR)
        return err_set(
            e, ERR_UNAVAIL, errno,
            "the folder %s does not exist; mount its disk, or create the folder",
            d->root);
    return dir_failed(d, errno, "opening", "", e);
}

size_t
dir_parent_len(const char *key)
{
    const char *slash = strrchr(key, '/');

    return slash ? (size_t)(slash - key) : 0;
}

int
dir_sync_folder(const struct dir *d, int root, const char *folder, struct err *e)
{
    AUTOCLOSE int fd = openat(root, *folder ? folder : ".",
                              O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
        return dir_failed(d, errno, "writing to the disk the folder", folder, e);
    return 0;
}

static int
not_found(const struct dir *d, const char *key, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, ENOENT, "%s/%s does not exist", d->root, key);
}

static int
read_range(const struct dir *d, int fd, const struct range *r, struct buf *out,
           struct err *e)
{
    struct stat st;
    size_t before = out->len;

    if (fstat(fd, &st) < 0)
        return dir_failed(d, errno, "looking at", r->key, e);
    if (!S_ISREG(st.st_mode))
        return not_found(d, r->key, e);
    uint64_t size = (uint64_t)st.st_size;
    uint64_t len = r->len || r->offset > size ? r->len : size - r->offset;
    if (r->offset > size || len > size - r->offset || len > out->max - out->len)
        return err_set(e, ERR_CORRUPT, 0, "%s/%s has %llu bytes", d->root, r->key,
                       (unsigned long long)size);
    uint8_t *to = buf_room(out, (size_t)len);
    for (uint64_t done = 0; done < len;) {
        size_t piece = len - done < PIECE ? (size_t)(len - done) : PIECE;
        if (range_check(r, e) < 0 || pace_take(r->pace, piece, r->stop, &piece, e) < 0)
            return -1;
        ssize_t n = pread(fd, to + done, piece, (off_t)(r->offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return dir_failed(d, errno, "reading", r->key, e);
        if (n == 0)
            return err_set(e, ERR_CORRUPT, 0, "%s/%s became shorter while it was read",
                           d->root, r->key);
        done += (uint64_t)n;
    }
    out->len = before + (size_t)len;
    return 0;
}

static int
dir_get(struct storage *s, const struct range *r, struct buf *out, struct err *e)
{
    struct dir *d = dir_of(s);
    AUTOCLOSE int root = -1;

    if (dir_open_root(d, &root, e) < 0)
        return -1;
    AUTOCLOSE int fd = openat(root, r->key, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return not_found(d, r->key, e);
    if (fd < 0)
        return dir_failed(d, errno, "opening", r->key, e);
    return read_range(d, fd, r, out, e);
}

static int
dir_head(struct storage *s, const char *key, struct object_info *out, struct err *e)
{
    struct dir *d = dir_of(s);
    AUTOCLOSE int root = -1;
    struct stat st;

    if (dir_open_root(d, &root, e) < 0)
        return -1;
    int rc = fstatat(root, key, &st, 0);
    if (rc < 0 && errno != ENOENT && errno != ENOTDIR)
        return dir_failed(d, errno, "looking at", key, e);
    if (rc < 0 || !S_ISREG(st.st_mode))
        return not_found(d, key, e);
    out->size = (uint64_t)st.st_size;
    out->mtime_s = st.st_mtim.tv_sec;
    return 0;
}

static int
dir_list(struct storage *s, const char *prefix, const char *after, storage_list_fn *fn,
         void *arg, struct err *e)
{
    struct dir *d = dir_of(s);
    AUTOCLOSE int root = -1;

    if (dir_open_root(d, &root, e) < 0)
        return -1;
    return walk(&(struct walk){ root, d->root, prefix, after, fn, arg }, e);
}

/* A removal that is told is one that stays: objects are removed in an order
 * that matters, so each folder is synced before the next one is touched. */
static int
dir_remove(struct storage *s, const char *const *keys, size_t count, struct err *e)
{
    struct dir *d = dir_of(s);
    AUTOCLOSE int root = -1;
    char folder[STORAGE_KEY_MAX + 1] = "";
    bool dirty = false;

    if (dir_open_root(d, &root, e) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        size_t len = dir_parent_len(keys[i]);
        bool same = strlen(folder) == len && strncmp(folder, keys[i], len) == 0;
        if (dirty && !same && dir_sync_folder(d, root, folder, e) < 0)
            return -1;
        dirty = dirty && same;
        snprintf(folder, sizeof folder, "%.*s", (int)len, keys[i]);
        if (unlinkat(root, keys[i], 0) == 0)
            dirty = true;
        else if (errno != ENOENT && errno != ENOTDIR && errno != EISDIR)
            return dir_failed(d, errno, "removing", keys[i], e);
    }
    return dirty ? dir_sync_folder(d, root, folder, e) : 0;
}

/* The file system's clock is the server's on a network mount. One that may
 * only be read has no clock to ask; this host's does then. */
static int
dir_now(struct storage *s, int64_t *out_s, struct err *e)
{
    struct dir *d = dir_of(s);
    AUTOCLOSE int root = -1;
    struct stat st;

    if (dir_open_root(d, &root, e) < 0)
        return -1;
    CLEANUP(temp_abort) struct temp t = { .root = root, .fd = -1 };
    if (temp_open(d, "now", &t, e) < 0) {
        if (e->kind != ERR_DENIED && e->kind != ERR_FULL)
            return -1;
        *e = (struct err){ 0 };
        *out_s = clock_now().s;
        return 0;
    }
    if (fstat(t.fd, &st) < 0)
        return dir_failed(d, errno, "looking at", t.name, e);
    *out_s = st.st_mtim.tv_sec;
    return 0;
}

static void
dir_close(struct storage *s)
{
    struct dir *d = dir_of(s);

    for (size_t i = 0; i < SYNCED_MAX; i++)
        mem_free(d->synced[i]);
    pthread_mutex_destroy(&d->lock);
    mem_free(d->root);
    mem_free(d);
}

static const struct storage_ops dir_ops = {
    .put = dir_put,
    .get = dir_get,
    .head = dir_head,
    .list = dir_list,
    .remove = dir_remove,
    .now = dir_now,
    .close = dir_close,
};

struct storage *
storage_dir(const char *path)
{
    struct dir *d = mem_zalloc(sizeof *d);
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    d->root = mem_printf("%.*s", (int)len, path);
    d->base = (struct storage){ .ops = &dir_ops,
                                .traits = STORAGE_IF_ABSENT | STORAGE_LOCAL,
                                .url = mem_printf("file://%s", d->root) };
    pthread_mutex_init(&d->lock, NULL);
    return &d->base;
}
