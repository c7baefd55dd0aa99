#include "walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define LISTING_BUFFER 131072 /* bytes of one getdents64() */

struct walk {
    struct source *source;
    const struct roots *roots;
    struct exclude *rules;
    bool one_file_system;
    struct names_pool pool;
    struct chain chain;
    struct buf path;
    struct buf from; /* empty, or what comes before it is left out */
    char *listing;

    /* What walk_next() gave last, when it is a folder to be entered. */
    bool started, descend;
    bool is_root;
    const char *name;
    struct frame next;
};

struct walk *
walk_new(struct source *s, const struct source_options *o, const struct roots *roots,
         struct exclude *rules, bool one_file_system)
{
    struct walk *w = mem_zalloc(sizeof *w);

    w->source = s;
    w->roots = roots;
    w->rules = rules;
    w->one_file_system = one_file_system;
    w->path = BUF(ENTRY_PATH_MAX + 2 * CHAIN_PART_MAX);
    w->from = BUF(ENTRY_PATH_MAX);
    w->listing = mem_alloc(LISTING_BUFFER);
    names_pool_init(&w->pool, o->tmp_dir, o->names_max);
    return w;
}

void
walk_free(struct walk *w)
{
    if (!w)
        return;
    chain_release(&w->chain, &w->pool);
    mem_free(w->listing);
    buf_release(&w->path);
    buf_release(&w->from);
    names_pool_release(&w->pool);
    mem_free(w);
}

/* Reports the current path; `cause` tells whether it is still there. */
static void
report(struct walk *w, int cause)
{
    bool gone = cause == ENOENT || cause == ENOTDIR || cause == ELOOP || cause == ESTALE;

    source_report(w->source, gone ? SOURCE_VANISHED : SOURCE_UNREADABLE,
                  buf_slice(&w->path), strerror(cause));
}

/* A path of the configuration became unreachable since it was checked. */
static void
report_lost_roots(struct walk *w, struct range r)
{
    for (size_t i = r.from; i < r.to; i++)
        source_report(w->source, SOURCE_VANISHED, slice_str(w->roots->paths[i]),
                      strerror(ENOENT));
}

/* File systems that the kernel makes up: reading them is not a backup, and
 * some of their files never end. */
static bool
made_up(int fd)
{
    static const uint32_t kinds[] = {
        PROC_SUPER_MAGIC,
        SYSFS_MAGIC,
        CGROUP_SUPER_MAGIC,
        CGROUP2_SUPER_MAGIC,
        DEBUGFS_MAGIC,
        TRACEFS_MAGIC,
        SECURITYFS_MAGIC,
        DEVPTS_SUPER_MAGIC,
        BPF_FS_MAGIC,
        PSTOREFS_MAGIC,
        EFIVARFS_MAGIC,
        SELINUX_MAGIC,
        BINFMTFS_MAGIC,
        SMACK_MAGIC,
        0x62656570 /* configfs */,
        0x65735543 /* fusectl */,
        0x19800202 /* mqueue */,
    };
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0)
        return false;
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if ((uint32_t)fs.f_type == kinds[i])
            return true;
    return false;
}

static int
open_folder(int dir, const char *name, const struct frame *f)
{
    int flags = O_DIRECTORY | O_CLOEXEC | (f->follow ? 0 : O_NOFOLLOW);

    if (!f->listed)
        return openat(dir, name, O_PATH | flags);
    int fd = openat(dir, name, O_RDONLY | O_NOATIME | flags);
    return fd < 0 && errno == EPERM ? openat(dir, name, O_RDONLY | flags) : fd;
}

/* Adds the names in the folder `fd` to the pool. What cannot be read is
 * reported; the names read until then count. */
static int
list(struct walk *w, int fd, struct err *e)
{
    for (;;) {
        ssize_t n = getdents64(fd, w->listing, LISTING_BUFFER);
        if (n < 0)
            report(w, errno);
        if (n <= 0)
            return 0;
        for (char *p = w->listing; p < w->listing + n;) {
            const struct dirent64 *d = (const struct dirent64 *)(const void *)p;
            const char *name = d->d_name;
            p += d->d_reclen;
            if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
                continue;
            if (!*name || strlen(name) >= CHAIN_PART_MAX || strchr(name, '/'))
                report(w, EUCLEAN);
            else if (names_add(&w->pool, name, e) < 0)
                return -1;
        }
    }
}

/* Adds the names below the current path that lead to roots: they are met even
 * when the folder does not list them. */
static int
list_roots(struct walk *w, struct range r, size_t path_len, struct err *e)
{
    char part[CHAIN_PART_MAX];

    for (size_t i = r.from; i < r.to; i++) {
        const char *name = w->roots->paths[i] + path_len + (path_len > 0);
        size_t len = strcspn(name, "/");
        if (len >= sizeof part)
            continue; /* no such thing can exist */
        memcpy(part, name, len);
        part[len] = 0;
        if (names_add(&w->pool, part, e) < 0)
            return -1;
    }
    return 0;
}

/* Opens the folder of `w->next`, decides whether its names count, and makes
 * it the current one. */
static int
enter(struct walk *w, struct err *e)
{
    struct frame f = w->next;
    const struct frame *up = chain_top(&w->chain);
    bool leads = f.roots.from < f.roots.to;
    struct stat st;

    f.fd = open_folder(up ? up->fd : AT_FDCWD, up ? w->name : "/", &f);
    if (f.fd < 0) {
        report(w, errno);
        f.listed = false;
        f.fd = leads ? open_folder(up ? up->fd : AT_FDCWD, up ? w->name : "/", &f) : -1;
    }
    if (f.fd < 0 || fstat(f.fd, &st) < 0) {
        report_lost_roots(w, f.roots);
        if (f.fd >= 0)
            close(f.fd);
        return 0;
    }
    f.dev = st.st_dev;
    f.ino = st.st_ino;
    if (f.listed && !w->is_root && up && f.dev != up->dev)
        f.listed = !w->one_file_system && !made_up(f.fd);
    if (!f.listed && !leads) {
        close(f.fd);
        return 0;
    }
    if ((f.listed && list(w, f.fd, e) < 0) || list_roots(w, f.roots, f.path_len, e) < 0
        || names_finish(&w->pool, &f.names, e) < 0) {
        close(f.fd);
        return -1;
    }
    chain_push(&w->chain, &f);
    return 0;
}

/* Leaves the current folder, and with it those above that are lost. */
static void
leave(struct walk *w)
{
    while (!chain_pop(&w->chain, &w->pool, w->path.ptr)) {
        w->path.len = chain_top(&w->chain)->path_len;
        report(w, ENOENT); /* the rest of its names */
    }
}

/* Appends `name` to the folder's path; false when that is too long. */
static bool
set_path(struct walk *w, const struct frame *f, const char *name)
{
    w->path.len = f->path_len;
    if (w->path.len > 0)
        buf_put_u8(&w->path, '/');
    buf_put_str(&w->path, name);
    buf_cstr(&w->path);
    if (w->path.len <= ENTRY_PATH_MAX)
        return true;
    source_report(w->source, SOURCE_TOO_LONG, buf_slice(&w->path),
                  "the path is too long");
    return false;
}

/* Whether the rules leave out the current path. */
static bool
excluded(struct walk *w, const struct frame *f, bool folder)
{
    return f->listed && !w->is_root
        && exclude_match(w->rules, (char *)w->path.ptr + f->rules_at, folder);
}

static bool
kept_type(struct walk *w, mode_t mode)
{
    if (entry_type_of(mode))
        return true;
    if (S_ISSOCK(mode))
        source_report(w->source, SOURCE_SOCKET, buf_slice(&w->path), "a socket");
    else
        source_report(w->source, SOURCE_UNREADABLE, buf_slice(&w->path),
                      "of a type that is not known");
    return false;
}

/* Whether the current path and all below it come before where the walk begins. */
static bool
skipped(const struct walk *w)
{
    struct slice path = buf_slice(&w->path), from = buf_slice(&w->from);

    return from.len > 0 && entry_order(path, from) < 0 && !entry_below(from, path);
}

void
walk_skip_to(struct walk *w, struct slice path)
{
    buf_clear(&w->from);
    buf_put_slice(&w->from, path);
}

/* Looks at one name of the current folder; false when it is left out. */
static bool
look(struct walk *w, const struct frame *f, const char *name, struct walk_item *item)
{
    if (!set_path(w, f, name) || skipped(w))
        return false;
    struct range r = roots_below(w->roots, f->roots, buf_slice(&w->path));
    w->is_root = r.from < r.to && strlen(w->roots->paths[r.from]) == w->path.len;
    bool follow = r.from < r.to;
    r.from += w->is_root;
    bool leads = r.from < r.to;

    if (fstatat(f->fd, name, &item->st,
                AT_NO_AUTOMOUNT | (follow ? 0 : AT_SYMLINK_NOFOLLOW))
        < 0) {
        if (leads || !excluded(w, f, true))
            report(w, errno);
        report_lost_roots(w, r);
        return false;
    }
    bool folder = S_ISDIR(item->st.st_mode);
    bool out = excluded(w, f, folder) || (!f->listed && !w->is_root);
    if (leads && !folder)
        report_lost_roots(w, r);
    if ((out && !(leads && folder)) || !kept_type(w, item->st.st_mode))
        return false;

    item->path = buf_slice(&w->path);
    item->name = w->name = name;
    item->dir = f->fd;
    item->follow = follow;
    item->above = out;
    w->descend = folder;
    w->next = (struct frame){ .path_len = w->path.len,
                              .roots = r,
                              .follow = follow,
                              .listed = !out,
                              .fd = -1,
                              .rules_at = w->is_root ? w->path.len + 1 : f->rules_at };
    return true;
}

static void
start(struct walk *w)
{
    struct range all = { 0, w->roots->count };

    w->started = true;
    w->descend = all.to > 0;
    w->is_root = all.to > 0 && w->roots->paths[0][0] == 0;
    all.from += w->is_root;
    w->next = (struct frame){ .roots = all, .listed = w->is_root, .fd = -1 };
}

int
walk_next(struct walk *w, struct walk_item *item, struct err *e)
{
    if (!w->started)
        start(w);
    if (w->descend) {
        w->descend = false;
        if (enter(w, e) < 0)
            return -1;
    }
    for (struct frame *f; (f = chain_top(&w->chain)) != NULL;) {
        const char *name;
        int more = names_next(&w->pool, &f->names, &name, e);
        if (more < 0)
            return -1;
        if (!more)
            leave(w);
        else if (look(w, f, name, item))
            return 1;
    }
    return 0;
}
