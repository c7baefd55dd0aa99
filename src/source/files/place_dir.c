#include "placing.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACL_DEFAULT "system.posix_acl_default"

void
place_note_inheritance(struct place *p, int fd)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (getxattr(path, ACL_DEFAULT, NULL, 0) > 0)
        atomic_store(&p->inherits, true);
}

/* Another file system below the destination has to be synced by itself. */
static void
note_mount(struct place *p, int fd, dev_t dev)
{
    bool known = dev == p->dev;
    char path[64];

    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->mount_count && !known; i++)
        known = p->mount_devs[i] == dev;
    if (!known && p->mount_count < MOUNTS_MAX) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        int real = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (real >= 0) {
            p->mount_devs[p->mount_count] = dev;
            p->mounts[p->mount_count++] = real;
        }
    }
    pthread_mutex_unlock(&p->lock);
}

/* Makes a folder that was there usable for us until its own mode is set. */
static void
take_over(struct place *p, int fd)
{
    struct stat st;
    char path[64];

    place_note_inheritance(p, fd);
    if (fstat(fd, &st) < 0)
        return;
    note_mount(p, fd, st.st_dev);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (!p->root && (st.st_mode & 0700) != 0700)
        (void)!chmod(path, (st.st_mode & 07777) | 0700); /* shows when writing fails */
}

int
place_dir(struct place *p, const struct entry *en, struct err *e)
{
    CLEANUP(spot_release) struct spot s = SPOT_NONE;

    if (spot_open(p, en->path, &s, e) < 0)
        return -1;
    bool made = mkdirat(s.dir, s.name, 0700) == 0;
    if (!made && errno != EEXIST)
        return err_sys(e, errno, "making the folder %s", text_of_name(en->path));
    int fd = openat(s.dir, s.name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return place_in_the_way(e, en->path, "not a folder");
    if (fd < 0)
        return err_sys(e, errno, "opening the folder %s", text_of_name(en->path));
    if (!made)
        take_over(p, fd);
    else if (atomic_load(&p->inherits))
        meta_disinherit(&(struct meta_at){ -1, s.dir, s.name });
    parents_add(p, en->path, fd, made);
    return 0;
}

int
place_dir_finish(struct place *p, const struct entry *en, struct err *e)
{
    CLEANUP(spot_release) struct spot s = SPOT_NONE;
    bool top = en->path.len == 0;

    if (!top && spot_open(p, en->path, &s, e) < 0)
        return -1;
    int fd = openat(top ? p->dir : s.dir, top ? "." : s.name,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return place_in_the_way(e, en->path, "not a folder");
    if (fd < 0)
        return err_sys(e, errno, "opening the folder %s", text_of_name(en->path));
    int rc = meta_set(p, &(struct meta_at){ .fd = fd }, en, true, e);
    close(fd);
    return rc < 0 ? err_in(e, "finishing the folder %s", text_of_name(en->path)) : 0;
}
