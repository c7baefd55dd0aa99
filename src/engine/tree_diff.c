#include "base/cancel.h"
#include "engine/tree.h"

#include <string.h>

static bool
same_layout(const struct entry *a, const struct entry *b)
{
    if (a->tree != b->tree || a->extent_count != b->extent_count)
        return false;
    for (size_t i = 0; i < a->extent_count; i++)
        if (!chunk_id_equal(&a->extents[i].id, &b->extents[i].id)
            || a->extents[i].offset != b->extents[i].offset
            || a->extents[i].len != b->extents[i].len)
            return false;
    return true;
}

/* Small files have a content id wherever they lie; of others the chunks tell,
 * since the same bytes are cut the same way. */
static bool
same_content(const struct entry *a, const struct entry *b)
{
    static const uint8_t none[CONTENT_ID_LEN];

    if (a->size != b->size)
        return false;
    if (memcmp(a->content_id, none, sizeof none) != 0
        && memcmp(b->content_id, none, sizeof none) != 0)
        return memcmp(a->content_id, b->content_id, sizeof none) == 0;
    return same_layout(a, b);
}

static unsigned
compare(const struct entry *a, const struct entry *b)
{
    unsigned what = 0;

    if (a->type != b->type)
        what |= TREE_TYPE;
    if (a->mode != b->mode)
        what |= TREE_MODE;
    if (a->uid != b->uid || a->gid != b->gid || !slice_equal(a->user, b->user)
        || !slice_equal(a->group, b->group))
        what |= TREE_OWNER;
    if (a->mtime_s != b->mtime_s || a->mtime_ns != b->mtime_ns)
        what |= TREE_TIME;
    if (!slice_equal(a->xattrs, b->xattrs))
        what |= TREE_XATTRS;
    if (what & TREE_TYPE)
        return what; /* the rest are different things */
    if (a->type == ENTRY_FILE && a->size != b->size)
        what |= TREE_SIZE;
    if (a->type == ENTRY_FILE && !same_content(a, b))
        what |= TREE_CONTENT;
    if (!slice_equal(a->target, b->target))
        what |= TREE_LINK;
    if (a->rdev != b->rdev)
        what |= TREE_DEVICE;
    return what;
}

struct side {
    struct manifest_reader *reader;
    struct entry entry;
    int have; /* 1 an entry, 0 the end, -1 */
};

static int
step(struct side *s, struct err *e)
{
    s->have = manifest_next(s->reader, &s->entry, e);
    return s->have < 0 ? -1 : 0;
}

/* Tells of the lower of the two entries and goes on behind it. */
static int
merge(struct side *a, struct side *b, tree_diff_fn *fn, void *arg, struct err *e)
{
    int order = !a->have ? 1 : !b->have ? -1 : entry_order(a->entry.path, b->entry.path);
    unsigned what = order == 0 ? compare(&a->entry, &b->entry) : 0;

    if ((order != 0 || what)
        && fn(arg, order <= 0 ? &a->entry : NULL, order >= 0 ? &b->entry : NULL, what, e)
               < 0)
        return -1;
    if (order == 0 && manifest_skip_same(a->reader, b->reader, e) < 0)
        return -1;
    if (order <= 0 && step(a, e) < 0)
        return -1;
    return order >= 0 ? step(b, e) : 0;
}

int
tree_diff(struct repo *r, const struct snapshot *a, const struct snapshot *b,
          tree_diff_fn *fn, void *arg, struct err *e)
{
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *ma = manifest_reader_new(&a->root, repo_load_node, r);
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *mb = manifest_reader_new(&b->root, repo_load_node, r);
    struct side x = { .reader = ma }, y = { .reader = mb };

    if (chunk_id_equal(&a->root.id, &b->root.id))
        return 0; /* the same root is the same tree */
    if (step(&x, e) < 0 || step(&y, e) < 0)
        return -1;
    while (x.have || y.have)
        if (cancel_check(e) < 0 || merge(&x, &y, fn, arg, e) < 0)
            return -1;
    return 0;
}
