#include "placing.h"

#include "base/fs.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

int
place_open(const char *dir, const struct place_options *o, struct place **out,
           struct err *e)
{
    struct stat st;

    if (fs_mkdirs(dir, 0700, e) < 0)
        return -1;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno, "opening the folder %s", dir);
    if (fstat(fd, &st) < 0) {
        err_sys(e, errno, "opening the folder %s", dir);
        close(fd);
        return -1;
    }
    struct place *p = mem_zalloc(sizeof *p);
    *p = (struct place){ .dir = fd, .o = *o, .dev = st.st_dev, .links = -1 };
    p->root = geteuid() == 0;
    p->owners = owners_new();
    p->top = mem_zalloc(sizeof *p->top);
    *p->top = (struct parent){ .fd = fd, .path = mem_strdup(""), .refs = 1 };
    pthread_mutex_init(&p->lock, NULL);
    place_note_inheritance(p, fd);
    *out = p;
    return 0;
}

void
place_close(struct place *p)
{
    struct err ignored = { 0 };

    if (!p)
        return;
    (void)!place_links_end(p, &ignored);
    parents_release(p);
    for (size_t i = 0; i < p->mount_count; i++)
        close(p->mounts[i]);
    close(p->dir);
    mem_free(p->top->path);
    mem_free(p->top);
    owners_free(p->owners);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

/* From the final name (FNV-1a), so that a run after a killed one finds and
 * replaces what that left behind. Never opened without O_EXCL. */
void
place_hidden_name(const char *name, char out[HIDDEN_MAX])
{
    uint64_t x = 0xcbf29ce484222325;

    for (; *name; name++)
        x = (x ^ (uint8_t)*name) * 0x100000001b3;
    snprintf(out, HIDDEN_MAX, ".drtool-%016llx", (unsigned long long)x);
}

int
place_in_the_way(struct err *e, struct slice path, const char *what)
{
    return err_set(e, ERR_EXISTS, EEXIST, "%s is %s; move it away to restore it",
                   text_of_name(path), what);
}

int
place_stat(struct place *p, struct slice path, struct stat *st, struct err *e)
{
    CLEANUP(spot_release) struct spot s = SPOT_NONE;
    struct err why = { 0 };

    if (spot_open(p, path, &s, &why) < 0) {
        if (why.kind == ERR_NOT_FOUND)
            return 0;
        *e = why;
        return -1;
    }
    if (s.parent->fresh)
        return 0;
    if (fstatat(s.dir, s.name, st, AT_SYMLINK_NOFOLLOW) == 0)
        return 1;
    return errno == ENOENT ? 0 : err_sys(e, errno, "looking at %s", text_of_name(path));
}

int
place_open_existing(struct place *p, struct slice path, int *fd, struct err *e)
{
    CLEANUP(spot_release) struct spot s = SPOT_NONE;
    struct stat st;

    if (spot_open(p, path, &s, e) < 0)
        return -1;
    int got = openat(s.dir, s.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (got < 0 && errno == ELOOP)
        return place_in_the_way(e, path, "a symbolic link");
    if (got < 0)
        return err_sys(e, errno, "opening %s", text_of_name(path));
    if (fstat(got, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(got);
        return place_in_the_way(e, path, "not a file");
    }
    *fd = got;
    return 0;
}

int
place_file_begin(struct place *p, const struct entry *en, bool sized, char *hidden,
                 int *fd, struct err *e)
{
    CLEANUP(spot_release) struct spot s = SPOT_NONE;

    if (en->size > INT64_MAX)
        return err_set(e, ERR_CORRUPT, 0, "%s has an impossible size",
                       text_of_name(en->path));
    if (spot_open(p, en->path, &s, e) < 0)
        return -1;
    place_hidden_name(s.name, hidden);
    int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int got = openat(s.dir, hidden, flags, 0600);
    if (got < 0 && errno == EEXIST && unlinkat(s.dir, hidden, 0) == 0)
        got = openat(s.dir, hidden, flags, 0600);
    if (got < 0)
        return err_sys(e, errno, "creating %s", text_of_name(en->path));
    if (sized && en->size > 0 && ftruncate(got, (off_t)en->size) < 0) {
        err_sys(e, errno, "creating %s", text_of_name(en->path));
        close(got);
        (void)unlinkat(s.dir, hidden, 0);
        return -1;
    }
    *fd = got;
    return 0;
}

int
place_file_finish(struct place *p, const struct entry *en, int fd, struct err *e)
{
    struct meta_at at = { .fd = fd };

    if (atomic_load(&p->inherits))
        meta_disinherit(&at);
    int rc = meta_set(p, &at, en, false, e);
    if (close(fd) < 0 && rc == 0)
        rc = err_sys(e, errno, "writing"); /* how NFS tells of a full disk */
    return rc < 0 ? err_in(e, "finishing %s", text_of_name(en->path)) : 0;
}

int
place_rename(const struct spot *s, const char *hidden, struct slice path, struct err *e)
{
    if (renameat(s->dir, hidden, s->dir, s->name) == 0)
        return 0;
    int cause = errno;
    (void)unlinkat(s->dir, hidden, 0);
    if (cause == EISDIR || cause == EEXIST || cause == ENOTEMPTY)
        return place_in_the_way(e, path, "a folder");
    return err_sys(e, cause, "naming %s", text_of_name(path));
}

int
place_publish(struct place *p, struct slice path, const char *hidden, bool keep,
              struct err *e)
{
    CLEANUP(spot_release) struct spot s = SPOT_NONE;
    struct stat st;

    if (spot_open(p, path, &s, e) < 0)
        return -1;
    if (!keep)
        return place_rename(&s, hidden, path, e);
    if (renameat2(s.dir, hidden, s.dir, s.name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno == EINVAL || errno == ENOSYS) { /* not on this file system */
        if (fstatat(s.dir, s.name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
            return place_rename(&s, hidden, path, e);
        errno = EEXIST;
    }
    int cause = errno;
    (void)unlinkat(s.dir, hidden, 0);
    return cause == EEXIST ? 0 : err_sys(e, cause, "naming %s", text_of_name(path));
}

void
place_discard(struct place *p, struct slice path, const char *hidden)
{
    CLEANUP(spot_release) struct spot s = SPOT_NONE;
    struct err ignored = { 0 };

    if (spot_open(p, path, &s, &ignored) == 0)
        (void)unlinkat(s.dir, hidden, 0);
}

/* Makes the link, fifo or device; 0, or -1 with errno. */
static int
make_special(const struct spot *s, const char *hidden, const struct entry *en)
{
    if (en->type != ENTRY_LINK)
        return mknodat(s->dir, hidden, (entry_st_mode(en) & S_IFMT) | 0600,
                       (dev_t)en->rdev);
    AUTOFREE char *target = mem_alloc(en->target.len + 1);
    memcpy(target, en->target.ptr, en->target.len);
    target[en->target.len] = 0;
    return symlinkat(target, s->dir, hidden);
}

int
place_special(struct place *p, const struct entry *en, struct err *e)
{
    CLEANUP(spot_release) struct spot s = SPOT_NONE;
    char hidden[HIDDEN_MAX];

    if (en->type == ENTRY_LINK
        && (en->target.len == 0 || memchr(en->target.ptr, 0, en->target.len)))
        return err_set(e, ERR_CORRUPT, 0, "the link %s has no usable target",
                       text_of_name(en->path));
    if (spot_open(p, en->path, &s, e) < 0)
        return -1;
    place_hidden_name(s.name, hidden);
    if (make_special(&s, hidden, en) < 0
        && (errno != EEXIST || unlinkat(s.dir, hidden, 0) < 0
            || make_special(&s, hidden, en) < 0)) {
        if (!meta_tolerable(errno))
            return err_sys(e, errno, "making %s", text_of_name(en->path));
        place_issue(p, en->path, "link, fifo or device", errno);
        return 0;
    }
    struct meta_at at = { -1, s.dir, hidden };
    if (atomic_load(&p->inherits))
        meta_disinherit(&at);
    if (meta_set(p, &at, en, false, e) < 0) {
        (void)unlinkat(s.dir, hidden, 0);
        return err_in(e, "making %s", text_of_name(en->path));
    }
    return place_rename(&s, hidden, en->path, e);
}

int
place_sync(struct place *p, struct err *e)
{
    if (syncfs(p->dir) < 0)
        return err_sys(e, errno, "writing what was restored to the disk");
    pthread_mutex_lock(&p->lock);
    size_t count = p->mount_count; /* only ever grows */
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < count; i++)
        if (syncfs(p->mounts[i]) < 0)
            return err_sys(e, errno, "writing what was restored to the disk");
    return 0;
}

int
place_space(struct place *p, uint64_t *bytes, uint64_t *inodes, struct err *e)
{
    struct statvfs fs;

    if (fstatvfs(p->dir, &fs) < 0)
        return err_sys(e, errno, "asking for free space");
    *bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    *inodes = fs.f_files ? fs.f_favail : UINT64_MAX; /* some have no such limit */
    return 0;
}
