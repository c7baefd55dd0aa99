#include "copy.h"

#include "base/cancel.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct copy *
copy_of(struct source *s)
{
    return (struct copy *)s;
}

void
copy_init(struct copy *c, const struct source_ops *ops, const struct conf_source *conf,
          const struct source_options *o)
{
    AUTOFREE char *name = mem_printf("copy-%s", conf->name);

    c->base = (struct source){ .ops = ops, .opt = *o, .facts = BUF(FACTS_MAX) };
    c->dir = fs_join(o->tmp_dir, name);
    c->fd = -1;
    c->owners = owners_new();
    c->user = c->group = BUF(256);
}

void
copy_release(struct copy *c)
{
    if (c->fd >= 0)
        close(c->fd);
    owners_free(c->owners);
    buf_release(&c->user);
    buf_release(&c->group);
    mem_free(c->dir);
}

int
copy_tick(const struct copy *c, struct err *e)
{
    if (c->base.opt.tick)
        c->base.opt.tick(c->base.opt.arg);
    return cancel_check(e);
}

static int
make(struct copy *c, struct err *e)
{
    AUTOFREE char *path = fs_join(c->dir, "copy");
    struct err ignored = { 0 };

    if (fs_remove_tree(c->dir, e) < 0 || fs_mkdirs(c->dir, 0700, e) < 0)
        return -1;
    int rc = c->make(c, path, e);
    c->fd = rc < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (rc == 0 && c->fd < 0)
        rc = err_sys(e, errno, "opening %s", path);
    if (fs_remove_tree(c->dir, rc < 0 ? &ignored : e) < 0)
        rc = -1;
    return rc;
}

int
copy_next(struct source *s, struct entry *out, struct err *e)
{
    struct copy *c = copy_of(s);
    struct stat st;

    if (c->given)
        return 0;
    if (make(c, e) < 0)
        return -1;
    if (fstat(c->fd, &st) < 0)
        return err_sys(e, errno, "looking at the copy");
    c->given = true;
    facts_put_number(&s->facts, "bytes", (uint64_t)st.st_size);
    *out = (struct entry){ .path = slice_str(c->as),
                           .type = ENTRY_FILE,
                           .mode = c->from.st_mode & 07777,
                           .uid = c->from.st_uid,
                           .gid = c->from.st_gid,
                           .size = (uint64_t)st.st_size,
                           .mtime_s = c->from.st_mtim.tv_sec,
                           .mtime_ns = (uint32_t)c->from.st_mtim.tv_nsec,
                           /* no later run may take it for unchanged */
                           .ctime_s = st.st_ctim.tv_sec,
                           .ctime_ns = (uint32_t)st.st_ctim.tv_nsec };
    return 1;
}

int
copy_describe(struct source *s, struct entry *en, struct err *e)
{
    struct copy *c = copy_of(s);

    (void)e;
    owner_describe(c->owners, en, &c->user, &c->group);
    return 1;
}

int
copy_read_begin(struct source *s, struct entry *en, struct err *e)
{
    struct copy *c = copy_of(s);

    (void)en;
    return lseek(c->fd, 0, SEEK_SET) < 0 ? err_sys(e, errno, "reading the copy") : 1;
}

int
copy_read(struct source *s, uint8_t *out, size_t len, size_t *got, uint64_t *hole,
          struct err *e)
{
    struct copy *c = copy_of(s);
    ssize_t n;

    (void)hole; /* none: a database's pages are all written */
    do
        n = read(c->fd, out, len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(e, errno, "reading the copy");
    *got = (size_t)n;
    return 0;
}

int
copy_read_end(struct source *s, bool *changed, struct err *e)
{
    (void)s;
    (void)changed; /* never */
    (void)e;
    return 0;
}
