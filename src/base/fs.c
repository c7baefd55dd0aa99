#include "base/fs.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

char *
fs_absolute(const char *path)
{
    AUTOFREE char *here = path[0] == '/' ? NULL : getcwd(NULL, 0);
    char *out = here ? fs_join(here, path) : mem_strdup(path);

    for (size_t len = strlen(out); len > 1 && out[len - 1] == '/'; len--)
        out[len - 1] = 0;
    return out;
}

char *
fs_join(const char *dir, const char *name)
{
    size_t len = strlen(dir);

    return mem_printf("%s%s%s", dir, len && dir[len - 1] == '/' ? "" : "/", name);
}

int
tmpfile_open(struct tmpfile *t, const char *final, mode_t mode, struct err *e)
{
    const char *slash = strrchr(final, '/');
    int dir_len = slash ? (int)(slash - final) + 1 : 0;
    char tag[17];
    uint64_t r;

    random_bytes(NULL, &r, sizeof r);
    text_hex(tag, &r, sizeof r);
    t->final = mem_strdup(final);
    t->path = mem_printf("%.*s.tmp-%s", dir_len, final, tag);
    t->fd = open(t->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (t->fd < 0) {
        err_sys(e, errno, "creating %s", t->path);
        tmpfile_abort(t);
        return -1;
    }
    return 0;
}

int
tmpfile_commit(struct tmpfile *t, struct err *e)
{
    if (fsync(t->fd) < 0)
        return err_sys(e, errno, "writing %s to the disk", t->path);
    if (rename(t->path, t->final) < 0)
        return err_sys(e, errno, "renaming %s to %s", t->path, t->final);
    mem_free(TAKE(t->path)); /* it is real now: nothing left to unlink */
    if (fs_sync_parent(t->final, e) < 0)
        return -1;
    tmpfile_abort(t);
    return 0;
}

void
tmpfile_abort(struct tmpfile *t)
{
    if (t->fd >= 0) {
        close(t->fd);
        if (t->path)
            unlink(t->path);
    }
    mem_free(t->path);
    mem_free(t->final);
    *t = TMPFILE_NONE;
}

int
fs_replace(const char *path, struct slice data, mode_t mode, struct err *e)
{
    CLEANUP(tmpfile_abort) struct tmpfile t = TMPFILE_NONE;

    if (tmpfile_open(&t, path, mode, e) < 0 || fs_write_all(t.fd, data, e) < 0
        || tmpfile_commit(&t, e) < 0)
        return err_in(e, "writing %s", path);
    return 0;
}

int
fs_read(const char *path, size_t max, struct buf *out, struct err *e)
{
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t got = 0;

    if (fd < 0)
        return err_sys(e, errno, "opening %s", path);
    for (;;) {
        size_t want = max - got < 65536 ? max - got + 1 : 65536;
        uint8_t block[65536];
        ssize_t n = read(fd, block, want < sizeof block ? want : sizeof block);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, errno, "reading %s", path);
        if (n == 0)
            return 0;
        got += (size_t)n;
        if (got > max)
            return err_set(e, ERR_CORRUPT, 0, "%s is larger than %zu bytes", path, max);
        buf_put(out, block, (size_t)n);
    }
}

int
fs_mkdirs(const char *path, mode_t mode, struct err *e)
{
    AUTOFREE char *copy = mem_strdup(path);
    struct stat st;

    for (char *p = copy + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return err_sys(e, errno, "making the folder %s", copy);
        *p = '/';
    }
    if (mkdir(copy, mode) < 0 && errno != EEXIST)
        return err_sys(e, errno, "making the folder %s", copy);
    if (stat(copy, &st) < 0 || !S_ISDIR(st.st_mode))
        return err_set(e, ERR_EXISTS, EEXIST, "%s is there and is no folder", copy);
    return 0;
}

int
fs_sync_dir(const char *path, struct err *e)
{
    AUTOCLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_sys(e, errno, "opening the folder %s", path);
    if (fsync(fd) < 0 && errno != EINVAL)
        return err_sys(e, errno, "writing the folder %s to the disk", path);
    return 0;
}

int
fs_sync_parent(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    AUTOFREE char *dir = slash ? mem_printf("%.*s", (int)(slash - path) + 1, path)
                               : mem_strdup(".");

    return fs_sync_dir(dir, e);
}

int
fs_write_all(int fd, struct slice data, struct err *e)
{
    while (data.len > 0) {
        ssize_t n = write(fd, data.ptr, data.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, errno, "writing");
        data = slice_sub(data, (size_t)n, data.len - (size_t)n);
    }
    return 0;
}

int
fs_pwrite_all(int fd, struct slice data, uint64_t at, struct err *e)
{
    while (data.len > 0) {
        ssize_t n = pwrite(fd, data.ptr, data.len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, errno, "writing");
        data = slice_sub(data, (size_t)n, data.len - (size_t)n);
        at += (uint64_t)n;
    }
    return 0;
}

int
fs_memory(struct slice data, int *fd, struct err *e)
{
    AUTOCLOSE int made = memfd_create("drtool", MFD_CLOEXEC);

    if (made < 0 || fchmod(made, 0600) < 0)
        return err_sys(e, errno, "making a file in memory");
    if (fs_pwrite_all(made, data, 0, e) < 0)
        return -1;
    *fd = made;
    made = -1;
    return 0;
}

int
fs_pread_all(int fd, void *out, size_t len, uint64_t at, struct err *e)
{
    uint8_t *p = out;

    while (len > 0) {
        ssize_t n = pread(fd, p, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, errno, "reading");
        if (n == 0)
            return err_set(e, ERR_CORRUPT, 0, "the file ends too early");
        p += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

int
fs_lock(const char *path, int64_t wait_ms, int *out_fd, struct err *e)
{
    AUTOCLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0660);
    int64_t until = clock_mono_ms() + wait_ms;
    char holder[32] = "";

    if (fd < 0)
        return err_sys(e, errno, "opening the lock %s", path);
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return err_sys(e, errno, "locking %s", path);
        if (clock_mono_ms() >= until) {
            ssize_t n = pread(fd, holder, sizeof holder - 1, 0);
            holder[n > 0 ? n : 0] = 0;
            return err_set(e, ERR_CONFLICT, 0,
                           "another run is active (process %s holds %s); use --wait to "
                           "wait", holder[0] ? holder : "unknown", path);
        }
        clock_sleep_ms(100);
    }
    int len = snprintf(holder, sizeof holder, "%ld", (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, holder, (size_t)len, 0) != len)
        return err_sys(e, errno, "writing the lock %s", path);
    *out_fd = fd;
    fd = -1;
    return 0;
}

#define REMOVE_DEPTH 64 /* folders open at once; what lies deeper is moved up */

struct removal {
    const char *path; /* of the whole tree, for messages */
    int top;          /* the tree's own folder; -1 before it is open */
    unsigned moved;
};

static int remove_below(struct removal *r, int at, const char *name, unsigned depth,
                        struct err *e);

/* Opens a folder so that its names can be removed, giving us the right first. */
static DIR *
open_to_empty(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno == EACCES && fchmodat(at, name, 0700, 0) == 0)
        fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        close(fd);
    if (dir && faccessat(fd, ".", W_OK | X_OK, 0) < 0)
        (void)!fchmod(fd, 0700);
    return dir;
}

/* Removes the names in `dir`; 1 when there were any, 0, -1. */
static int
empty(struct removal *r, DIR *dir, unsigned depth, struct err *e)
{
    const struct dirent *d;
    int any = 0;

    rewinddir(dir);
    while ((d = readdir(dir)) != NULL) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        any = 1;
        if (remove_below(r, dirfd(dir), d->d_name, depth + 1, e) < 0)
            return -1;
    }
    return any;
}

/* A folder that lies too deep becomes one of the top, which is emptied again. */
static int
move_up(struct removal *r, int at, const char *name, struct err *e)
{
    char to[32];
    int rc;

    do {
        snprintf(to, sizeof to, ".removed-%u", r->moved++);
        rc = renameat(at, name, r->top, to);
    } while (rc < 0 && (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR));
    return rc < 0 ? err_sys(e, errno, "removing %s", r->path) : 0;
}

static int
remove_below(struct removal *r, int at, const char *name, unsigned depth, struct err *e)
{
    int any;

    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return err_sys(e, errno, "removing %s", r->path);
    if (depth == REMOVE_DEPTH)
        return move_up(r, at, name, e);
    DIR *dir = open_to_empty(at, name);
    if (!dir)
        return err_sys(e, errno, "removing %s", r->path);
    if (depth == 0)
        r->top = dirfd(dir);
    do /* again, for names that were moved up or that readdir() passed over */
        any = empty(r, dir, depth, e);
    while (any > 0);
    closedir(dir);
    if (any == 0 && unlinkat(at, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return err_sys(e, errno, "removing %s", r->path);
    return any;
}

int
fs_remove_tree(const char *path, struct err *e)
{
    struct removal r = { path, -1, 0 };

    return remove_below(&r, AT_FDCWD, path, 0, e);
}
