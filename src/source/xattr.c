#include "xattr.h"

#include "source/entry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

void
xattr_at(char out[XATTR_AT_MAX], int dir, const char *name)
{
    snprintf(out, XATTR_AT_MAX, "/proc/self/fd/%d/%s", dir, name);
}

static bool
begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

bool
xattr_kept(const char *name)
{
    if (begins(name, "security."))
        return strcmp(name, "security.selinux") != 0 && strcmp(name, "security.ima") != 0
            && strcmp(name, "security.evm") != 0;
    return begins(name, "user.") || begins(name, "trusted.")
        || strcmp(name, "system.posix_acl_access") == 0
        || strcmp(name, "system.posix_acl_default") == 0;
}

void
xattr_reader_init(struct xattr_reader *r)
{
    r->names = mem_alloc(XATTR_ROOM);
    r->value = mem_alloc(XATTR_ROOM);
}

void
xattr_reader_release(struct xattr_reader *r)
{
    mem_free(r->names);
    mem_free(r->value);
    *r = (struct xattr_reader){ 0 };
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Appends one attribute; one that went meanwhile is no issue. */
static void
put_one(struct xattr_reader *r, const char *path, const char *name, bool follow,
        struct buf *out, xattr_issue_fn *issue, void *arg)
{
    ssize_t n = follow ? getxattr(path, name, r->value, XATTR_ROOM)
                       : lgetxattr(path, name, r->value, XATTR_ROOM);
    size_t room = ENTRY_XATTR_MAX - out->len;
    size_t len = strlen(name);

    if (n < 0 && errno != ENODATA && errno != ENOENT)
        issue(arg, name, errno);
    if (n < 0)
        return;
    if (room < len + (size_t)n + 8) { /* 8: the two lengths */
        issue(arg, name, E2BIG);
        return;
    }
    entry_xattr_put(out, slice_of(name, len), slice_of(r->value, (size_t)n));
}

int
xattr_read(struct xattr_reader *r, const char *path, bool follow, struct buf *out,
           xattr_issue_fn *issue, void *arg)
{
    ssize_t n = follow ? listxattr(path, r->names, XATTR_ROOM)
                       : llistxattr(path, r->names, XATTR_ROOM);
    size_t count = 0, cap = 0;

    if (n <= 0)
        return n == 0 || errno == ENOTSUP ? 0 : errno;
    AUTOFREE const char **sorted = NULL;
    for (const char *p = r->names; p < r->names + n; p += strlen(p) + 1) {
        if (!xattr_kept(p))
            continue;
        sorted = mem_grow(sorted, &cap, count + 1, sizeof *sorted);
        sorted[count++] = p;
    }
    if (count > 1)
        qsort(sorted, count, sizeof *sorted, by_name);
    for (size_t i = 0; i < count; i++)
        put_one(r, path, sorted[i], follow, out, issue, arg);
    return 0;
}
