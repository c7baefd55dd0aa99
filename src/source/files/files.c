#include "files.h"

#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const struct source_ops files_ops;

static struct files *
files_of(struct source *s)
{
    assert(s->ops == &files_ops);
    return (struct files *)s;
}

static int
files_next(struct source *s, struct entry *out, struct err *e)
{
    struct files *f = files_of(s);

    content_drop(f);
    f->described = false;
    int rc = walk_next(f->walk, &f->item, e);
    if (rc <= 0)
        return rc;
    ahead_pass(f->ahead, f->item.path, S_ISREG(f->item.st.st_mode));
    *out = (struct entry){ .path = f->item.path,
                           .flags = f->item.above ? ENTRY_ABOVE : 0 };
    meta_fill(out, &f->item.st);
    return 1;
}

static int
files_describe(struct source *s, struct entry *en, struct err *e)
{
    return meta_describe(files_of(s), en, e);
}

static int
files_read_begin(struct source *s, struct entry *en, struct err *e)
{
    return content_begin(files_of(s), en, e);
}

static int
files_read(struct source *s, uint8_t *out, size_t len, size_t *got, uint64_t *hole,
           struct err *e)
{
    return content_read(files_of(s), out, len, got, hole, e);
}

static int
files_read_end(struct source *s, bool *changed, struct err *e)
{
    (void)e;
    return content_end(files_of(s), changed);
}

static void
files_close(struct source *s)
{
    struct files *f = files_of(s);

    content_drop(f);
    ahead_free(f->ahead);
    walk_free(f->walk);
    exclude_free(f->rules);
    roots_release(&f->roots);
    meta_release(f);
    mem_free(f);
}

static const struct source_ops files_ops = {
    .moved = "lies on another file system",
    .next = files_next,
    .describe = files_describe,
    .read_begin = files_read_begin,
    .read = files_read,
    .read_end = files_read_end,
    .close = files_close,
};

/* What tells this file system from another one mounted at the same place. The
 * device number is not used where there is something better: it may change
 * from one start of the machine to the next. */
static char *
identity_of(const char *path)
{
    struct statfs fs;
    struct stat st;
    unsigned id[2];

    if (!path || statfs(path, &fs) < 0 || stat(path, &st) < 0)
        return mem_strdup("");
    static_assert(sizeof fs.f_fsid == sizeof id);
    memcpy(id, &fs.f_fsid, sizeof id);
    if (id[0] || id[1])
        return mem_printf("%lx-%08x%08x", (unsigned long)fs.f_type, id[0], id[1]);
    return mem_printf("%lx-%u:%u", (unsigned long)fs.f_type, major(st.st_dev),
                      minor(st.st_dev));
}

int
files_open(const struct conf_source *c, const struct source_options *o,
           struct source **out, struct err *e)
{
    struct roots roots;

    if (access("/proc/self/fd", X_OK) < 0)
        return err_set(e, ERR_UNSUPPORTED, errno,
                       "extended attributes cannot be read: mount proc at /proc");
    if (roots_init(&roots, c->files.paths, c->allow_empty, e) < 0) {
        roots_release(&roots);
        return -1;
    }
    struct files *f = mem_zalloc(sizeof *f);
    f->base = (struct source){ .ops = &files_ops, .opt = *o };
    f->base.identity = identity_of(c->files.paths ? c->files.paths[0] : NULL);
    f->roots = roots;
    f->rules = exclude_new(c->files.exclude);
    f->walk = walk_new(&f->base, o, &f->roots, f->rules, c->files.one_file_system);
    f->ahead = ahead_new(c, o, &f->roots);
    f->content.fd = -1;
    f->wary = WARY_FILES;
    meta_init(f);
    *out = &f->base;
    return 0;
}
