#include "engine/tree.h"
#include "base/cancel.h"
#include "base/fs.h"
#include "base/text.h"

#include "tree_walk.h"

#include <errno.h>
#include <string.h>

/* Entries of a folder passed by before the walk seeks what is behind it: most
 * folders are small, and seeking opens a node on every level. */
#define SKIP_AFTER 100

int
tree_path(const char *text, struct slice *out, struct err *e)
{
    struct slice p = slice_str(text);

    while (p.len > 0 && p.ptr[0] == '/')
        p = slice_sub(p, 1, p.len - 1);
    while (p.len > 0 && p.ptr[p.len - 1] == '/')
        p.len--;
    if (p.len > 0 && !entry_path_valid(p))
        return err_set(e, ERR_USAGE, 0, "\"%s\" is not a path in a snapshot",
                       text_of_name(slice_str(text)));
    *out = p;
    return 0;
}

static int
absent(struct slice path, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, 0, "/%s is not in this snapshot",
                   text_of_name(path));
}

/* A walk; on one level, all below `top` is passed by. */
struct walk {
    struct manifest_reader *manifest;
    struct slice path;
    bool recursive, found;
    tree_entry_fn *fn;
    void *arg;
    struct buf top; /* empty: nothing is passed by yet */
    unsigned passed;
};

/* Is the entry below the one told last? 1, 0 (then it is the one), -1. */
static int
pass_by(struct walk *w, const struct entry *en, struct err *e)
{
    if (w->top.len > 0 && entry_below(en->path, buf_slice(&w->top))) {
        if (++w->passed == SKIP_AFTER
            && manifest_skip(w->manifest, buf_slice(&w->top), e) < 0)
            return -1;
        return 1;
    }
    w->passed = 0;
    buf_clear(&w->top);
    buf_put_slice(&w->top, en->path);
    return 0;
}

static int
walk(struct walk *w, struct err *e)
{
    struct entry en;
    int rc;

    if (manifest_seek(w->manifest, w->path, e) < 0)
        return -1;
    while ((rc = manifest_next(w->manifest, &en, e)) == 1
           && entry_below(en.path, w->path)) {
        w->found = true;
        if (cancel_check(e) < 0)
            return -1;
        int passed = w->recursive || en.path.len == w->path.len ? 0 : pass_by(w, &en, e);
        if (passed < 0 || (passed == 0 && w->fn(w->arg, &en, e) < 0))
            return -1;
    }
    return rc < 0 ? -1 : 0;
}

int
tree_walk(struct manifest_reader *m, struct slice path, bool recursive, tree_entry_fn *fn,
          void *arg, struct err *e)
{
    struct walk w = { .manifest = m,
                      .path = path,
                      .recursive = recursive,
                      .fn = fn,
                      .arg = arg,
                      .found = path.len == 0,
                      .top = BUF(ENTRY_PATH_MAX) };
    int rc = walk(&w, e);

    buf_release(&w.top);
    if (rc < 0)
        return -1;
    return w.found ? 0 : absent(path, e);
}

struct listing {
    struct slice path;
    tree_entry_fn *fn;
    void *arg;
};

static int
list_entry(void *arg, const struct entry *en, struct err *e)
{
    struct listing *l = arg;

    if (en->type == ENTRY_DIR && en->path.len == l->path.len)
        return 0; /* the folder that is listed */
    return l->fn(l->arg, en, e);
}

int
tree_list(struct repo *r, const struct snapshot *s, struct slice path, bool recursive,
          tree_entry_fn *fn, void *arg, struct err *e)
{
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *m = manifest_reader_new(&s->root, repo_load_node, r);
    struct listing l = { path, fn, arg };

    return tree_walk(m, path, recursive, list_entry, &l, e);
}

/* The entry at exactly `path`, whose slices live until the reader goes on. A
 * folder that is known only by what is in it has type ENTRY_DIR and no path. */
static int
find(struct manifest_reader *m, struct slice path, struct entry *en, struct err *e)
{
    if (manifest_seek(m, path, e) < 0)
        return -1;
    int rc = manifest_next(m, en, e);
    if (rc < 0)
        return -1;
    if (rc == 1 && slice_equal(en->path, path))
        return 0;
    if (rc == 0 || !entry_below(en->path, path))
        return absent(path, e);
    *en = (struct entry){ .type = ENTRY_DIR };
    return 0;
}

static int
write_fd(void *arg, struct slice data, struct err *e)
{
    return fs_write_all(*(const int *)arg, data, e);
}

static int
leave_hole(void *arg, uint64_t len, struct err *e)
{
    if (len > INT64_MAX || lseek(*(const int *)arg, (off_t)len, SEEK_CUR) < 0)
        return err_sys(e, errno, "leaving a hole");
    return 0;
}

static int
no_file(const struct entry *en, struct slice path, struct err *e)
{
    if (en->type == ENTRY_LINK)
        return err_set(e, ERR_USAGE, 0, "/%s is a symbolic link to %s",
                       text_of_name(path), text_of_name(en->target));
    if (en->type == ENTRY_DIR)
        return err_set(e, ERR_USAGE, 0, "/%s is a folder; --format tar dumps it",
                       text_of_name(path));
    return err_set(e, ERR_USAGE, 0, "/%s is a device or pipe, which has no bytes",
                   text_of_name(path));
}

int
tree_dump(struct repo *r, const struct snapshot *s, struct slice path, bool sparse,
          int fd, struct err *e)
{
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *m = manifest_reader_new(&s->root, repo_load_node, r);
    CLEANUP(content_free_p) struct content *c = content_new(r);
    struct content_sink to = { write_fd, sparse ? leave_hole : NULL, &fd };
    struct entry en = { .type = ENTRY_DIR };

    if (path.len > 0 && find(m, path, &en, e) < 0)
        return -1;
    if (en.type != ENTRY_FILE)
        return no_file(&en, path, e);
    if (content_write(c, &en, &to, e) < 0)
        return err_in(e, "/%s", text_of_name(path));
    if (sparse && ftruncate(fd, (off_t)en.size) < 0) /* it may end in a hole */
        return err_sys(e, errno, "setting the length");
    return 0;
}
