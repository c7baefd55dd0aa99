#include "compare.h"

#include "base/cancel.h"
#include "base/fs.h"
#include "base/text.h"
#include "content.h"
#include "source/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define TOLD_MAX 3
#define DEPTH_MAX 2048 /* folders within each other, below the root */

struct comparing {
    struct repo *repo;
    const struct compare_options *options;
    struct compare_result *result;
    struct place *place;
    uint8_t *buffer; /* CHUNK_RAW_MAX */
    unsigned told;
    uint64_t present; /* entries of the manifest that something lies at */
};

static void
tell(struct comparing *c, struct slice path, const char *what)
{
    struct buf *b = &c->result->told;

    if (c->told++ < TOLD_MAX)
        buf_printf(b, "%s%.200s: %s", b->len ? "; " : "", text_of_name(path), what);
    else if (c->told == TOLD_MAX + 1)
        buf_put_str(b, "; …");
}

/* The folder above `path` and its last part in `name`, opened part by part:
 * paths may be longer than one call takes, and no link may lead out. */
static int
open_parent(struct comparing *c, struct slice path, char **name)
{
    int dir = open(c->options->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    AUTOFREE char *text = mem_printf("%.*s", (int)path.len, (const char *)path.ptr);
    char *part = text;

    for (char *slash = strchr(part, '/'); dir >= 0 && slash; slash = strchr(part, '/')) {
        *slash = 0;
        int next = openat(dir, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        close(dir);
        dir = next;
        part = slash + 1;
    }
    *name = mem_strdup(part);
    return dir;
}

static bool
same_link(struct comparing *c, struct slice path, struct slice target)
{
    AUTOFREE char *name = NULL;
    AUTOCLOSE int dir = open_parent(c, path, &name);
    char got[4097];
    ssize_t n = dir < 0 ? -1 : readlinkat(dir, name, got, sizeof got);

    return n >= 0 && slice_equal(slice_of(got, (size_t)n), target);
}

/* A file of ours that even we may not read gets the right for a moment. */
static int
open_file(struct comparing *c, struct slice path, mode_t mode, int *fd)
{
    AUTOFREE char *name = NULL;
    struct err own = { 0 };

    if (place_open_existing(c->place, path, fd, &own) == 0 || own.kind != ERR_DENIED)
        return own.kind == ERR_NONE ? 0 : -1;
    AUTOCLOSE int dir = open_parent(c, path, &name);
    if (dir < 0 || fchmodat(dir, name, mode | 0400, 0) < 0)
        return -1;
    own = (struct err){ 0 };
    int rc = place_open_existing(c->place, path, fd, &own);
    return fchmodat(dir, name, mode, 0) < 0 ? -1 : rc;
}

/* Leaves *what alone, or says what is different. */
static int
compare_content(struct comparing *c, struct slice path, const struct entry *en,
                const char **what, struct err *e)
{
    AUTOCLOSE int fd = -1;

    if (open_file(c, path, en->mode, &fd) < 0) {
        *what = "it cannot be read";
        return 0;
    }
    int same = content_same(c->repo, en, fd, c->buffer, &c->result->bytes, e);
    if (same == 0)
        *what = "its content differs";
    return same < 0 ? -1 : 0;
}

/* A file that could not be given its owner does not get that owner's powers
 * either: the restore has told so. */
static bool
same_mode(const struct entry *en, const struct stat *st)
{
    mode_t lost = (st->st_uid != en->uid ? S_ISUID : 0u)
                | (st->st_gid != en->gid ? S_ISGID : 0u);

    return (st->st_mode & 07777) == en->mode
        || (geteuid() != 0 && (st->st_mode & 07777) == (en->mode & ~lost));
}

static int
compare_entry(struct comparing *c, struct slice path, const struct entry *en,
              struct err *e)
{
    const char *what = NULL;
    struct err blocked = { 0 };
    struct stat st;
    int there = place_stat(c->place, path, &st, &blocked);

    if (there < 0 && blocked.kind != ERR_EXISTS && blocked.kind != ERR_DENIED)
        return *e = blocked, -1;
    c->result->entries++;
    if (there == 0 || blocked.kind == ERR_EXISTS) { /* a folder above it is none */
        c->result->missing++;
        tell(c, path, "missing");
        return 0;
    }
    c->present += there == 1;
    if (there < 0)
        what = "it cannot be looked at";
    else if (entry_type_of(st.st_mode) != en->type)
        what = "it is of another type";
    else if (en->type != ENTRY_LINK && !same_mode(en, &st))
        what = "its mode differs";
    else if (en->type == ENTRY_FILE && (uint64_t)st.st_size != en->size)
        what = "its size differs";
    else if (en->type == ENTRY_LINK && !same_link(c, path, en->target))
        what = "it leads elsewhere";
    else if ((en->type == ENTRY_CHAR || en->type == ENTRY_BLOCK)
             && st.st_rdev != en->rdev)
        what = "it is another device";
    else if (en->type == ENTRY_FILE && compare_content(c, path, en, &what, e) < 0)
        return -1;
    if (what) {
        c->result->mismatched++;
        tell(c, path, what);
    }
    return 0;
}

/* Where an entry was restored to: false for one that was not. "/a/b" keeps its
 * path and the folders above it, of "/a/b/" only what lies below came. */
static bool
place_of(const struct compare_options *o, struct slice path, struct slice *out)
{
    size_t best = SIZE_MAX;

    *out = path;
    if (!o->paths)
        return true;
    for (const char *const *p = o->paths; *p; p++) {
        struct slice s = slice_str(*p + strspn(*p, "/"));
        bool content = s.len > 0 && s.ptr[s.len - 1] == '/';
        while (s.len > 0 && s.ptr[s.len - 1] == '/')
            s.len--;
        bool within = entry_below(path, s), above = !content && entry_below(s, path);
        if ((!within && !above) || s.len >= best)
            continue;
        size_t strip = content ? s.len + 1 : 0;
        if (within && path.len <= strip)
            continue; /* the folder whose content went to the root itself */
        *out = slice_sub(path, strip, path.len - strip);
        best = s.len;
    }
    return best != SIZE_MAX;
}

static int
compare_manifest(struct comparing *c, struct err *e)
{
    const struct compare_options *o = c->options;
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *m = manifest_reader_new(&o->snapshot->root, repo_load_node,
                                                    c->repo);
    struct slice below = slice_str(o->below), path;
    struct entry en;
    int rc = manifest_seek(m, slice_str(""), e);

    while (rc == 0 && (rc = manifest_next(m, &en, e)) == 1) {
        rc = cancel_check(e);
        if (rc == 0 && place_of(o, en.path, &path) && entry_below(path, below)
            && path.len > below.len)
            rc = compare_entry(c, path, &en, e);
    }
    return rc;
}

/* Counts what lies in a folder, at any depth. */
static int
count_below(int at, const char *name, unsigned depth, uint64_t *count, struct err *e)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    int rc = 0;

    if (!dir) {
        if (errno == EACCES && depth > 0)
            return 0; /* what we may not list was not restored by us either */
        return err_sys(e, errno, "listing %s", text_of_name(slice_str(name)));
    }
    for (struct dirent *d; rc == 0 && (d = readdir(dir)) != NULL;) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        ++*count;
        struct stat st;
        if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)
            && depth < DEPTH_MAX)
            rc = count_below(fd, d->d_name, depth + 1, count, e);
    }
    closedir(dir);
    return rc;
}

int
compare_tree(struct repo *r, const struct compare_options *o,
             struct compare_result *result, struct err *e)
{
    struct comparing c = { .repo = r, .options = o, .result = result };
    AUTOFREE char *top = o->below[0] ? fs_join(o->root, o->below) : mem_strdup(o->root);
    AUTOFREE uint8_t *buffer = mem_alloc(CHUNK_RAW_MAX);
    CLEANUP(place_close_p) struct place *place = NULL;
    struct place_options po = { OWNER_SKIP, NULL, NULL };
    uint64_t found = 0;

    *result = (struct compare_result){ .told = BUF(TOLD_MAX * 512) };
    c.buffer = buffer;
    if (place_open(o->root, &po, &place, e) < 0)
        return -1;
    c.place = place;
    if (compare_manifest(&c, e) < 0 || count_below(AT_FDCWD, top, 0, &found, e) < 0)
        return -1;
    result->extra = found > c.present ? found - c.present : 0;
    return 0;
}
