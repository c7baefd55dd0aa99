/*
 * A new object is a hidden file beside its name until it is whole, then it is
 * renamed. What is told to be stored survives the loss of power: the file, its
 * name, and the names of the folders that lead there.
 *
 * A sealed file of the same disk is linked instead of copied, once: two targets
 * never share the blocks of an object, nor does a target with a spool that others
 * are still waiting for.
 */
#include "impl.h"

#include "base/cancel.h"
#include "base/fs.h"
#include "base/random.h"
#include "base/text.h"
#include "crypto/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PIECE ((size_t)1 << 20) /* bytes copied and hashed at a time */
#define TEMP_MODE 0640

/* The place of `folder` in the table: its own or a free one; NULL: full. */
static char **
synced_slot(struct dir *d, const char *folder)
{
    unsigned at = 2166136261U;

    for (const char *p = folder; *p; p++)
        at = (at ^ (unsigned char)*p) * 16777619U;
    for (unsigned i = 0; i < SYNCED_MAX; i++) {
        char **slot = &d->synced[(at + i) % SYNCED_MAX];
        if (!*slot || strcmp(*slot, folder) == 0)
            return slot;
    }
    return NULL;
}

/* Makes sure that the name of `folder` itself survives, once per process:
 * whoever made it may have died before its parent was written. */
static int
sync_ancestors(struct dir *d, int root, const char *folder, struct err *e)
{
    char path[STORAGE_KEY_MAX + 1];

    pthread_mutex_lock(&d->lock);
    char **slot = synced_slot(d, folder);
    bool known = slot && *slot;
    pthread_mutex_unlock(&d->lock);
    if (known || !*folder)
        return 0;
    snprintf(path, sizeof path, "%s", folder);
    do {
        path[dir_parent_len(path)] = 0;
        if (dir_sync_folder(d, root, path, e) < 0)
            return -1;
    } while (*path);
    pthread_mutex_lock(&d->lock);
    slot = synced_slot(d, folder);
    if (slot && !*slot)
        *slot = mem_strdup(folder);
    pthread_mutex_unlock(&d->lock);
    return 0;
}

/* Makes the folders that lead to `path`, which ends where its last '/' is. */
static int
make_folders(const struct dir *d, int root, const char *path, struct err *e)
{
    char part[STORAGE_KEY_MAX + 64];

    snprintf(part, sizeof part, "%s", path);
    for (char *p = strchr(part, '/'); p; p = strchr(p + 1, '/')) {
        *p = 0;
        if (mkdirat(root, part, 0770) < 0 && errno != EEXIST)
            return dir_failed(d, errno, "making the folder", part, e);
        *p = '/';
    }
    return 0;
}

void
temp_abort(struct temp *t)
{
    if (t->fd < 0)
        return;
    close(t->fd);
    if (t->name[0])
        unlinkat(t->root, t->name, 0);
}

static void
temp_name(struct temp *t, const char *key)
{
    size_t len = dir_parent_len(key);
    uint64_t r;
    char tag[17];

    random_bytes(NULL, &r, sizeof r);
    text_hex(tag, &r, sizeof r);
    snprintf(t->name, sizeof t->name, "%.*s%s.tmp-%s", (int)len, key, len ? "/" : "",
             tag);
}

int
temp_open(const struct dir *d, const char *key, struct temp *t, struct err *e)
{
    temp_name(t, key);
    t->fd = openat(t->root, t->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, TEMP_MODE);
    if (t->fd < 0 && errno == ENOENT) {
        if (make_folders(d, t->root, t->name, e) < 0)
            return -1;
        t->fd = openat(t->root, t->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
                       TEMP_MODE);
    }
    return t->fd < 0 ? dir_failed(d, errno, "creating", t->name, e) : 0;
}

/* Writes a body and checks that it is still what was announced: a spool that
 * rots must not be delivered. */
static int
copy(const struct body *body, int to, struct err *e)
{
    CLEANUP(sha256_free_p) struct sha256 *h = sha256_new();
    AUTOFREE uint8_t *room = body->fd < 0 ? NULL : mem_alloc(PIECE);
    uint8_t found[SHA256_LEN];
    size_t n;

    for (uint64_t at = 0; at < body->size; at += n) {
        n = body->size - at < PIECE ? (size_t)(body->size - at) : PIECE;
        if (cancel_check(e) < 0 || pace_take(body->pace, n, NULL, &n, e) < 0
            || (room && fs_pread_all(body->fd, room, n, at, e) < 0))
            return -1;
        struct slice piece = room ? slice_of(room, n) : slice_sub(body->data, at, n);
        if (fs_write_all(to, piece, e) < 0)
            return -1;
        if (body->pace && (at + n) / PIECE > at / PIECE) /* else fsync() moves it all */
            sync_file_range(to, 0, 0, SYNC_FILE_RANGE_WRITE);
        sha256_feed(h, piece);
    }
    sha256_end(h, found);
    if (memcmp(found, body->sha256, SHA256_LEN) != 0)
        return err_set(e, ERR_CORRUPT, 0, "the bytes to be stored have another SHA-256");
    return 0;
}

/* Does what is made in the folder get rights from the folder? A link would not. */
static bool
gives_rights(int root, const char *key)
{
    char folder[STORAGE_KEY_MAX + 1];
    struct stat st;

    snprintf(folder, sizeof folder, "%.*s", (int)dir_parent_len(key), key);
    AUTOCLOSE int fd = openat(root, *folder ? folder : ".",
                              O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fstat(fd, &st) < 0 || (st.st_mode & S_ISGID)
        || fgetxattr(fd, "system.posix_acl_default", NULL, 0) > 0;
}

/* Gives the body's file a hidden name beside `key`; false: it has to be copied. */
static bool
link_sealed(const struct dir *d, const char *key, const struct body *body, struct temp *t)
{
    char path[32];
    struct stat st;
    struct err none = { 0 };

    if (!body->sealed || body->fd < 0 || fstat(body->fd, &st) < 0 || st.st_nlink != 1
        || (uint64_t)st.st_size != body->size)
        return false;
    temp_name(t, key);
    if (make_folders(d, t->root, t->name, &none) < 0 || gives_rights(t->root, key))
        return false;
    snprintf(path, sizeof path, "/proc/self/fd/%d", body->fd);
    if (linkat(AT_FDCWD, path, t->root, t->name, AT_SYMLINK_FOLLOW) < 0)
        return false;
    t->fd = openat(t->root, t->name, O_RDONLY | O_CLOEXEC);
    if (t->fd >= 0 && fstat(t->fd, &st) == 0 && st.st_nlink == 2
        && fchmod(t->fd, TEMP_MODE) == 0)
        return true;
    unlinkat(t->root, t->name, 0);
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    return false;
}

/* Makes a hidden file beside `key` with the whole body. */
static int
fill(const struct dir *d, const char *key, const struct body *body, struct temp *t,
     struct err *e)
{
    if (link_sealed(d, key, body, t))
        return 0;
    if (temp_open(d, key, t, e) < 0)
        return -1;
    if (copy(body, t->fd, e) == 0)
        return 0;
    if (e->kind == ERR_IO)
        e->kind = ERR_UNAVAIL;
    return err_in(e, "storing %s/%s", d->root, key);
}

/* The last resort looks first and then renames: what knows neither call (some
 * network file systems) cannot do better. */
static int
rename_if_absent(int root, const char *from, const char *to)
{
    struct stat st;

    if (renameat2(root, from, root, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    if (linkat(root, from, root, to, 0) == 0)
        return unlinkat(root, from, 0);
    if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS)
        return -1;
    if (fstatat(root, to, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return renameat(root, from, root, to);
}

/* Gives the whole and synced file its name, for good. */
static int
publish(struct dir *d, struct temp *t, const char *key, unsigned flags, struct err *e)
{
    char folder[STORAGE_KEY_MAX + 1];
    int rc = flags & PUT_IF_ABSENT ? rename_if_absent(t->root, t->name, key)
                                   : renameat(t->root, t->name, t->root, key);

    if (rc < 0 && errno == EEXIST)
        return err_set(e, ERR_EXISTS, EEXIST, "%s/%s exists", d->root, key);
    if (rc < 0)
        return dir_failed(d, errno, "renaming to", key, e);
    t->name[0] = 0; /* it is real now: nothing left to unlink */
    snprintf(folder, sizeof folder, "%.*s", (int)dir_parent_len(key), key);
    if (dir_sync_folder(d, t->root, folder, e) < 0)
        return -1;
    return sync_ancestors(d, t->root, folder, e);
}

int
dir_put(struct storage *s, const char *key, const struct body *body, unsigned flags,
        struct err *e)
{
    struct dir *d = dir_of(s);
    AUTOCLOSE int root = -1;

    if (dir_open_root(d, &root, e) < 0)
        return -1;
    CLEANUP(temp_abort) struct temp t = { .root = root, .fd = -1 };
    if (fill(d, key, body, &t, e) < 0)
        return -1;
    if (fsync(t.fd) < 0)
        return dir_failed(d, errno, "writing to the disk", key, e);
    if (body->size >= PIECE) /* the host's page cache stays as it was */
        posix_fadvise(t.fd, 0, 0, POSIX_FADV_DONTNEED);
    return publish(d, &t, key, flags, e);
}
