#include "files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_ROOM 256
#define TARGET_ROOM 65536

void
meta_init(struct files *f)
{
    f->owners = owners_new();
    xattr_reader_init(&f->reader);
    f->user = f->group = BUF(NAME_ROOM);
    f->target = BUF(TARGET_ROOM);
    f->xattrs = BUF(ENTRY_XATTR_MAX + 32);
}

void
meta_release(struct files *f)
{
    owners_free(f->owners);
    xattr_reader_release(&f->reader);
    buf_release(&f->user);
    buf_release(&f->group);
    buf_release(&f->target);
    buf_release(&f->xattrs);
}

/* The same for all names of an inode, in this run and later ones, and never
 * 0. The mixing (splitmix64) only spreads the bits. */
static uint64_t
link_group(const struct stat *st)
{
    uint64_t x = st->st_ino + (uint64_t)st->st_dev * 0x9e3779b97f4a7c15;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    x ^= x >> 31;
    return x ? x : 1;
}

void
meta_fill(struct entry *en, const struct stat *st)
{
    bool device = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);

    en->type = entry_type_of(st->st_mode);
    en->mode = st->st_mode & 07777;
    en->uid = st->st_uid;
    en->gid = st->st_gid;
    en->size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
    en->mtime_s = st->st_mtim.tv_sec;
    en->mtime_ns = (uint32_t)st->st_mtim.tv_nsec;
    en->ctime_s = st->st_ctim.tv_sec;
    en->ctime_ns = (uint32_t)st->st_ctim.tv_nsec;
    en->ino = st->st_ino;
    en->rdev = device ? st->st_rdev : 0;
    en->link_group = !S_ISDIR(st->st_mode) && st->st_nlink > 1 ? link_group(st) : 0;
}

int
meta_lost(struct files *f, int cause)
{
    bool gone = cause == ENOENT || cause == ENOTDIR || cause == ELOOP || cause == ESTALE;

    source_report(&f->base, gone ? SOURCE_VANISHED : SOURCE_UNREADABLE, f->item.path,
                  strerror(cause));
    return 0;
}

static void
xattr_issue(void *arg, const char *name, int cause)
{
    struct files *f = arg;
    AUTOFREE char *why = mem_printf("extended attribute %s: %s", name, strerror(cause));

    source_report(&f->base, cause == E2BIG ? SOURCE_TOO_LONG : SOURCE_UNREADABLE,
                  f->item.path, why);
}

/* Reads the link's target into its buffer; an errno or 0. */
static int
read_target(struct files *f)
{
    buf_clear(&f->target);
    uint8_t *to = buf_room(&f->target, TARGET_ROOM);
    ssize_t n = readlinkat(f->item.dir, f->item.name, (char *)to, TARGET_ROOM);

    if (n < 0)
        return errno == EINVAL ? ENOENT : errno; /* EINVAL: no longer a link */
    f->target.len = (size_t)n;
    return 0;
}

int
meta_describe(struct files *f, struct entry *en, struct err *e)
{
    char at[XATTR_AT_MAX];

    (void)e;
    buf_clear(&f->xattrs);
    owner_describe(f->owners, en, &f->user, &f->group);
    int cause = en->type == ENTRY_LINK ? read_target(f) : 0;
    if (cause)
        return meta_lost(f, cause);
    xattr_at(at, f->item.dir, f->item.name);
    cause = xattr_read(&f->reader, at, f->item.follow, &f->xattrs, xattr_issue, f);
    if (cause == E2BIG)
        xattr_issue(f, "(list)", cause); /* over 64 KiB of names */
    else if (cause)
        return meta_lost(f, cause);
    en->target = en->type == ENTRY_LINK ? buf_slice(&f->target) : slice_of(NULL, 0);
    en->xattrs = buf_slice(&f->xattrs);
    f->described = true;
    return 1;
}
