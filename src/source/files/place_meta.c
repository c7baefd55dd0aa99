#include "placing.h"

#include "../xattr.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"

void
place_issue(struct place *p, struct slice path, const char *what, int cause)
{
    if (p->o.issue)
        p->o.issue(p->o.arg, path, what, strerror(cause));
}

bool
meta_tolerable(int cause)
{
    return cause == EPERM || cause == EACCES || cause == EINVAL || cause == ENOTSUP
        || cause == ENOSYS;
}

static int
set_mode(const struct meta_at *at, mode_t mode)
{
    return at->fd >= 0 ? fchmod(at->fd, mode)
                       : fchmodat(at->dir, at->name, mode, AT_SYMLINK_NOFOLLOW);
}

/* To look is cheaper than to change what is right already. */
static int
change_owner(const struct meta_at *at, uid_t uid, gid_t gid)
{
    struct stat st;

    if (at->fd >= 0 && fstat(at->fd, &st) == 0 && st.st_uid == uid && st.st_gid == gid)
        return 0;
    return at->fd >= 0 ? fchown(at->fd, uid, gid)
                       : fchownat(at->dir, at->name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

/* Sets owner and group. *lost gets the mode bits that must not be given to an
 * owner or group other than the entry's. */
static int
set_owner(struct place *p, const struct meta_at *at, const struct entry *en, mode_t *lost,
          struct err *e)
{
    uid_t uid = en->uid;
    gid_t gid = en->gid;
    bool skip = p->o.owner == OWNER_SKIP || (p->o.owner == OWNER_AUTO && !p->root);

    if (p->o.owner == OWNER_AUTO) {
        uid = owner_id(p->owners, OWNER_USER, en->user, en->uid);
        gid = owner_id(p->owners, OWNER_GROUP, en->group, en->gid);
    }
    *lost = 0;
    if (skip) {
        *lost = (uid != geteuid() ? S_ISUID : 0u) | (gid != getegid() ? S_ISGID : 0u);
        if (*lost && p->o.owner == OWNER_AUTO)
            place_issue(p, en->path, "owner", EPERM);
        return 0;
    }
    if (change_owner(at, uid, gid) == 0)
        return 0;
    int cause = errno;
    if (!meta_tolerable(cause))
        return err_sys(e, cause, "setting the owner");
    *lost = S_ISUID | S_ISGID;
    place_issue(p, en->path, "owner", cause);
    return 0;
}

/* Attributes that depend on the mode, or would be changed with it, come after
 * it; user.* come before, since a mode may forbid writing them. */
static bool
after_mode(struct slice name)
{
    return name.len > 5 && memcmp(name.ptr, "user.", 5) != 0;
}

static int
set_xattr(const struct meta_at *at, const char *name, struct slice value)
{
    char path[XATTR_AT_MAX];

    if (at->fd >= 0)
        return fsetxattr(at->fd, name, value.ptr, value.len, 0);
    xattr_at(path, at->dir, at->name);
    return lsetxattr(path, name, value.ptr, value.len, 0);
}

static void
set_xattrs(struct place *p, const struct meta_at *at, const struct entry *en, bool after)
{
    struct reader r = reader_of(en->xattrs);
    struct slice name, value;
    char text[256];

    while (entry_xattr_next(&r, &name, &value)) {
        memcpy(text, name.ptr, name.len);
        text[name.len] = 0;
        if (after_mode(name) != after || set_xattr(at, text, value) == 0)
            continue;
        int cause = errno;
        AUTOFREE char *what = mem_printf("extended attribute %s", text);
        place_issue(p, en->path, what, cause);
    }
    if (r.bad && after)
        place_issue(p, en->path, "extended attributes", EBADMSG);
}

static bool
has_xattr(const struct entry *en, const char *wanted)
{
    struct reader r = reader_of(en->xattrs);
    struct slice name, value;

    while (entry_xattr_next(&r, &name, &value))
        if (slice_equal(name, slice_str(wanted)))
            return true;
    return false;
}

/* Removes what a folder had before and the entry has not. */
static void
prune_xattrs(const struct meta_at *at, const struct entry *en)
{
    char names[4096];
    ssize_t n = flistxattr(at->fd, names, sizeof names);

    for (const char *name = names; n > 0 && name < names + n; name += strlen(name) + 1) {
        bool ours = strncmp(name, "user.", 5) == 0 || strcmp(name, ACL_ACCESS) == 0
                 || strcmp(name, ACL_DEFAULT) == 0;
        if (ours && !has_xattr(en, name))
            (void)fremovexattr(at->fd, name);
    }
}

void
meta_disinherit(const struct meta_at *at)
{
    char path[XATTR_AT_MAX];

    if (at->fd >= 0) {
        (void)fremovexattr(at->fd, ACL_ACCESS);
        (void)fremovexattr(at->fd, ACL_DEFAULT);
        return;
    }
    xattr_at(path, at->dir, at->name);
    (void)lremovexattr(path, ACL_ACCESS);
    (void)lremovexattr(path, ACL_DEFAULT);
}

/* Times before 1970 and after 2038 are cut off silently by some file systems. */
static void
check_time(struct place *p, const struct meta_at *at, const struct entry *en)
{
    struct stat st;
    int rc = at->fd >= 0 ? fstat(at->fd, &st)
                         : fstatat(at->dir, at->name, &st, AT_SYMLINK_NOFOLLOW);

    if (rc == 0 && st.st_mtim.tv_sec != en->mtime_s)
        place_issue(p, en->path, "time of change", ERANGE);
}

static int
set_times(struct place *p, const struct meta_at *at, const struct entry *en,
          struct err *e)
{
    struct timespec t[2] = { { .tv_nsec = UTIME_OMIT },
                             { .tv_sec = en->mtime_s, .tv_nsec = (long)en->mtime_ns } };

    if (en->mtime_ns >= 1000000000)
        t[1].tv_nsec = 0; /* other values have a meaning of their own */
    if ((at->fd >= 0 ? futimens(at->fd, t)
                     : utimensat(at->dir, at->name, t, AT_SYMLINK_NOFOLLOW))
        < 0) {
        if (!meta_tolerable(errno))
            return err_sys(e, errno, "setting the time of change");
        place_issue(p, en->path, "time of change", errno);
        return 0;
    }
    if (en->mtime_s < 0 || en->mtime_s > INT32_MAX)
        check_time(p, at, en);
    return 0;
}

int
meta_set(struct place *p, const struct meta_at *at, const struct entry *en, bool prune,
         struct err *e)
{
    mode_t lost, mode = en->mode & 07777;

    if (set_owner(p, at, en, &lost, e) < 0)
        return -1;
    if (prune)
        prune_xattrs(at, en);
    if (en->xattrs.len > 0)
        set_xattrs(p, at, en, false);
    if (en->type == ENTRY_DIR)
        lost = 0; /* there the bits only choose the group of new files */
    if (mode & lost)
        place_issue(p, en->path, "setuid or setgid", EPERM);
    if (en->type != ENTRY_LINK && set_mode(at, mode & ~lost) < 0) {
        if (!meta_tolerable(errno))
            return err_sys(e, errno, "setting the mode");
        place_issue(p, en->path, "mode", errno);
    }
    if (en->xattrs.len > 0)
        set_xattrs(p, at, en, true);
    return set_times(p, at, en, e);
}
