#include "engine/tree.h"
#include "base/cancel.h"
#include "base/fs.h"
#include "base/text.h"

#include "tree_content.h"

#include <string.h>

int
tree_path(const char *text, struct slice *out, struct err *e)
{
    struct slice p = slice_str(text);

    while (p.len > 0 && p.ptr[0] == '/')
        p = slice_sub(p, 1, p.len - 1);
    while (p.len > 0 && p.ptr[p.len - 1] == '/')
        p.len--;
    if (p.len > 0 && !entry_path_valid(p))
        return err_set(e, ERR_USAGE, 0, "\"%s\" is not a path in a snapshot", text);
    *out = p;
    return 0;
}

static int
absent(struct slice path, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, 0, "/%s is not in this snapshot",
                   text_of_name(path));
}

int
tree_list(struct repo *r, const struct snapshot *s, struct slice path, bool recursive,
          tree_entry_fn *fn, void *arg, struct err *e)
{
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *m = manifest_reader_new(&s->root, repo_load_node, r);
    struct entry en;
    bool found = path.len == 0;
    int rc;

    if (manifest_seek(m, path, e) < 0)
        return -1;
    while ((rc = manifest_next(m, &en, e)) == 1 && entry_below(en.path, path)) {
        bool itself = en.path.len == path.len && path.len > 0;
        found = true;
        if (cancel_check(e) < 0
            || ((!itself || en.type != ENTRY_DIR) && fn(arg, &en, e) < 0))
            return -1;
        if (!recursive && !itself && en.type == ENTRY_DIR
            && manifest_skip(m, en.path, e) < 0)
            return -1;
    }
    if (rc < 0)
        return -1;
    return found ? 0 : absent(path, e);
}

/* The entry at exactly `path`. Its slices live as long as the reader. */
static int
find(struct manifest_reader *m, struct slice path, struct entry *en, struct err *e)
{
    if (manifest_seek(m, path, e) < 0)
        return -1;
    int rc = manifest_next(m, en, e);
    if (rc < 0)
        return -1;
    return rc == 1 && slice_equal(en->path, path) ? 0 : absent(path, e);
}

static int
write_fd(void *arg, struct slice data, struct err *e)
{
    return fs_write_all(*(const int *)arg, data, e);
}

int
tree_dump(struct repo *r, const struct snapshot *s, struct slice path, int fd,
          struct err *e)
{
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *m = manifest_reader_new(&s->root, repo_load_node, r);
    struct entry en;

    if (find(m, path, &en, e) < 0)
        return -1;
    if (en.type != ENTRY_FILE)
        return err_set(e, ERR_USAGE, 0, "/%s is no file; --format tar dumps folders",
                       text_of_name(path));
    return content_write(r, &en, write_fd, &fd, e);
}

/* Differences. */

static bool
same_extents(const struct entry *a, const struct entry *b)
{
    static const uint8_t zero[CONTENT_ID_LEN];

    if (a->tree != b->tree || a->size != b->size)
        return false;
    if (memcmp(a->content_id, zero, sizeof zero) != 0
        && memcmp(a->content_id, b->content_id, sizeof zero) == 0)
        return true;
    if (a->extent_count != b->extent_count)
        return false;
    for (size_t i = 0; i < a->extent_count; i++)
        if (!chunk_id_equal(&a->extents[i].id, &b->extents[i].id)
            || a->extents[i].offset != b->extents[i].offset
            || a->extents[i].len != b->extents[i].len)
            return false;
    return true;
}

static unsigned
compare(const struct entry *a, const struct entry *b)
{
    bool file = a->type == ENTRY_FILE && b->type == ENTRY_FILE;

    return (a->type != b->type ? TREE_TYPE : 0u) | (a->mode != b->mode ? TREE_MODE : 0u)
         | (a->uid != b->uid || a->gid != b->gid ? TREE_OWNER : 0u)
         | (file && a->size != b->size ? TREE_SIZE : 0u)
         | (a->mtime_s != b->mtime_s || a->mtime_ns != b->mtime_ns ? TREE_TIME : 0u)
         | (file && !same_extents(a, b) ? TREE_CONTENT : 0u)
         | (!slice_equal(a->target, b->target) ? TREE_LINK : 0u)
         | (a->rdev != b->rdev ? TREE_DEVICE : 0u)
         | (!slice_equal(a->xattrs, b->xattrs) ? TREE_XATTRS : 0u);
}

int
tree_diff(struct repo *r, const struct snapshot *a, const struct snapshot *b,
          tree_diff_fn *fn, void *arg, struct err *e)
{
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *ma = manifest_reader_new(&a->root, repo_load_node, r);
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *mb = manifest_reader_new(&b->root, repo_load_node, r);
    struct entry x, y;

    if (chunk_id_equal(&a->root.id, &b->root.id))
        return 0; /* the same root is the same tree */
    int have_x = manifest_next(ma, &x, e), have_y = manifest_next(mb, &y, e);
    while (have_x == 1 || have_y == 1) {
        if (have_x < 0 || have_y < 0 || cancel_check(e) < 0)
            return -1;
        int c = !have_x ? 1 : !have_y ? -1 : entry_order(x.path, y.path);
        unsigned changes = c == 0 ? compare(&x, &y) : 0;
        if ((c != 0 || changes)
            && fn(arg, c <= 0 ? &x : NULL, c >= 0 ? &y : NULL, changes, e) < 0)
            return -1;
        if (c <= 0)
            have_x = manifest_next(ma, &x, e);
        if (c >= 0)
            have_y = manifest_next(mb, &y, e);
    }
    return have_x < 0 || have_y < 0 ? -1 : 0;
}
