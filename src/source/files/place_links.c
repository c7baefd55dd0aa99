#include "placing.h"

#include "base/fs.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP_MAX 17 /* 16 hex digits and a NUL */

static void
group_name(char out[GROUP_MAX], uint64_t group)
{
    snprintf(out, GROUP_MAX, "%016llx", (unsigned long long)group);
}

/* Makes the folder anew when a killed run has left one. */
static int
make_links(struct place *p)
{
    AUTOFREE char *path = mem_printf("/proc/self/fd/%d/%s", p->dir, p->links_name);
    struct err ignored = { 0 };

    if (mkdirat(p->dir, p->links_name, 0700) == 0)
        return 0;
    if (errno != EEXIST || fs_remove_tree(path, &ignored) < 0)
        return -1;
    return mkdirat(p->dir, p->links_name, 0700);
}

/* The folder of links, made when it is needed for the first time. */
static int
links_folder(struct place *p, bool make, int *out, struct err *e)
{
    int rc = 0;

    pthread_mutex_lock(&p->lock);
    if (p->links < 0 && make) {
        place_hidden_name("", p->links_name);
        if (make_links(p) == 0)
            p->links = openat(p->dir, p->links_name,
                              O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (p->links < 0)
            rc = err_sys(e, errno, "making a folder for hard links");
    }
    *out = p->links;
    pthread_mutex_unlock(&p->lock);
    return rc;
}

/* What a file system refuses about hard links is no error: the name becomes a
 * file of its own. */
static int
refused(struct place *p, struct slice path, int cause, struct err *e)
{
    if (cause != EXDEV && cause != EMLINK && !meta_tolerable(cause))
        return err_sys(e, cause, "linking %s", text_of_name(path));
    place_issue(p, path, "hard link", cause);
    return 0;
}

int
place_link_note(struct place *p, uint64_t group, struct slice path, struct err *e)
{
    CLEANUP(spot_release) struct spot s = SPOT_NONE;
    char name[GROUP_MAX];
    int links;

    group_name(name, group);
    if (spot_open(p, path, &s, e) < 0 || links_folder(p, true, &links, e) < 0)
        return -1;
    if (linkat(s.dir, s.name, links, name, 0) == 0 || errno == EEXIST)
        return 0;
    return refused(p, path, errno, e);
}

static bool
same_inode(int dir, const char *name, int links, const char *group)
{
    struct stat a, b;

    return fstatat(dir, name, &a, AT_SYMLINK_NOFOLLOW) == 0
        && fstatat(links, group, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_dev == b.st_dev
        && a.st_ino == b.st_ino;
}

int
place_link(struct place *p, uint64_t group, struct slice path, struct err *e)
{
    CLEANUP(spot_release) struct spot s = SPOT_NONE;
    char name[GROUP_MAX], hidden[HIDDEN_MAX];
    int links;

    group_name(name, group);
    if (spot_open(p, path, &s, e) < 0 || links_folder(p, false, &links, e) < 0)
        return -1;
    if (links < 0)
        return 0;
    if (linkat(links, name, s.dir, s.name, 0) == 0)
        return 1;
    if (errno == ENOENT)
        return 0;
    if (errno != EEXIST)
        return refused(p, path, errno, e);
    /* rename() does nothing when both are names of one inode. */
    if (same_inode(s.dir, s.name, links, name))
        return 1;
    place_hidden_name(s.name, hidden);
    if (linkat(links, name, s.dir, hidden, 0) < 0
        && (errno != EEXIST || unlinkat(s.dir, hidden, 0) < 0
            || linkat(links, name, s.dir, hidden, 0) < 0))
        return errno == ENOENT ? 0 : refused(p, path, errno, e);
    return place_rename(&s, hidden, path, e) < 0 ? -1 : 1;
}

int
place_links_end(struct place *p, struct err *e)
{
    int rc = 0;

    if (p->links < 0)
        return 0;
    DIR *dir = fdopendir(p->links);
    p->links = -1;
    if (!dir)
        return err_sys(e, errno, "reading the folder %s", p->links_name);
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            (void)unlinkat(dirfd(dir), d->d_name, 0);
    closedir(dir);
    if (unlinkat(p->dir, p->links_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        rc = err_sys(e, errno, "removing the folder %s", p->links_name);
    return rc;
}
