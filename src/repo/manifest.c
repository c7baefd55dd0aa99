#include "repo/manifest.h"
#include "base/text.h"
#include "state/sorter.h"

#include "entry_format.h"

#include <assert.h>
#include <string.h>

/* A node: version 1 | level 1 | zero 2 | count 4 | items. */
#define NODE_HEADER 8
#define NODE_VERSION 1

#define LEAF_MIN ((size_t)16 << 10)
#define LEAF_FULL ((size_t)256 << 10)
#define LEAF_ODDS 512 /* one entry in so many ends a leaf, once it may */
#define INNER_ODDS 256

/* A node being built. */
struct level {
    struct buf node;
    struct buf last, first; /* paths: of the item before, and of the first item */
    uint32_t count;
    uint64_t entries, bytes;
    struct entry_context context;
};

struct manifest_writer {
    const uint8_t *cut_key;
    node_store_fn *store;
    void *arg;
    struct level levels[TREE_LEVELS_MAX];
    unsigned top;           /* the highest level with anything in it */
    struct sorter *sorter;  /* NULL: entries come in order */
    struct buf key, record; /* of an entry that is sorted */
};

static void
node_begin(struct level *l, uint8_t level)
{
    buf_clear(&l->node);
    buf_clear(&l->last);
    buf_clear(&l->first);
    buf_put_u8(&l->node, NODE_VERSION);
    buf_put_u8(&l->node, level);
    buf_put_u16(&l->node, 0);
    buf_put_u32(&l->node, 0);
    l->count = 0;
    l->entries = l->bytes = 0;
    l->context = (struct entry_context){ 0 };
}

struct manifest_writer *
manifest_writer_new(const struct keys *k, node_store_fn *store, void *arg)
{
    struct manifest_writer *w = mem_zalloc(sizeof *w);

    w->cut_key = k->manifest_cut;
    w->store = store;
    w->arg = arg;
    for (uint8_t i = 0; i < TREE_LEVELS_MAX; i++) {
        w->levels[i].node = BUF(NODE_MAX);
        w->levels[i].last = BUF(ENTRY_PATH_MAX);
        w->levels[i].first = BUF(ENTRY_PATH_MAX);
        node_begin(&w->levels[i], i);
    }
    return w;
}

int
manifest_writer_sort(struct manifest_writer *w, const char *dir, struct err *e)
{
    w->key = BUF(ENTRY_PATH_MAX);
    w->record = BUF(ENTRY_PATH_MAX + ENTRY_XATTR_MAX + 4096);
    return sorter_new(dir, &w->sorter, e);
}

void
manifest_writer_free(struct manifest_writer *w)
{
    if (!w)
        return;
    sorter_free(w->sorter);
    buf_release(&w->key);
    buf_release(&w->record);
    for (size_t i = 0; i < TREE_LEVELS_MAX; i++) {
        buf_release(&w->levels[i].node);
        buf_release(&w->levels[i].last);
        buf_release(&w->levels[i].first);
    }
    mem_free(w);
}

/* Appends a path as what it shares with the one before, and the rest. */
static void
put_path(struct level *l, struct slice path)
{
    size_t shared = 0, most = l->last.len < path.len ? l->last.len : path.len;

    while (shared < most && l->last.ptr[shared] == path.ptr[shared])
        shared++;
    buf_put_var(&l->node, shared);
    buf_put_var(&l->node, path.len - shared);
    buf_put_slice(&l->node, slice_sub(path, shared, path.len - shared));
    l->last.len = shared;
    buf_put_slice(&l->last, slice_sub(path, shared, path.len - shared));
    if (l->count++ == 0)
        buf_put_slice(&l->first, path);
}

static int add_child(struct manifest_writer *w, unsigned level, struct slice first,
                     const struct chunk_id *id, uint64_t entries, uint64_t bytes,
                     struct err *e);

static int
store_node(struct manifest_writer *w, unsigned level, struct chunk_id *id, struct err *e)
{
    struct level *l = &w->levels[level];

    put_u32(l->node.ptr + 4, l->count);
    return w->store(w->arg, KIND_NODE, buf_slice(&l->node), id, e);
}

/* Ends the node of a level and hands it to the one above. */
static int
end_node(struct manifest_writer *w, unsigned level, struct err *e)
{
    struct level *l = &w->levels[level];
    struct chunk_id id;

    if (level + 1 == TREE_LEVELS_MAX)
        return err_set(e, ERR_UNSUPPORTED, 0, "the manifest is too deep");
    if (store_node(w, level, &id, e) < 0
        || add_child(w, level + 1, buf_slice(&l->first), &id, l->entries, l->bytes, e)
               < 0)
        return -1;
    node_begin(l, (uint8_t)level);
    return 0;
}

/* Does a node that has just got `path` end here? */
static bool
ends(const struct manifest_writer *w, const struct level *l, struct slice path,
     unsigned odds)
{
    return l->node.len >= LEAF_FULL
        || (l->node.len >= LEAF_MIN && crypto_short_hash(w->cut_key, path) % odds == 0);
}

static int
add_child(struct manifest_writer *w, unsigned level, struct slice first,
          const struct chunk_id *id, uint64_t entries, uint64_t bytes, struct err *e)
{
    struct level *l = &w->levels[level];

    if (level > w->top)
        w->top = level;
    put_path(l, first);
    buf_put(&l->node, id->bytes, sizeof id->bytes);
    buf_put_var(&l->node, entries);
    buf_put_var(&l->node, bytes);
    l->entries += entries;
    l->bytes += bytes;
    return ends(w, l, first, INNER_ODDS) && l->count > 1 ? end_node(w, level, e) : 0;
}

static int
add_next(struct manifest_writer *w, const struct entry *en, struct err *e)
{
    struct level *l = &w->levels[0];
    struct chunk_id xattrs;
    bool apart = en->xattrs.len > XATTRS_INLINE;

    assert(l->count == 0 || entry_order(buf_slice(&l->last), en->path) < 0);
    if (apart && w->store(w->arg, KIND_XATTRS, en->xattrs, &xattrs, e) < 0)
        return -1;
    put_path(l, en->path);
    entry_put(&l->node, &l->context, en, apart ? &xattrs : NULL);
    l->entries++;
    l->bytes += en->type == ENTRY_FILE ? en->size : 0;
    return ends(w, l, en->path, LEAF_ODDS) ? end_node(w, 0, e) : 0;
}

/* A path as a key whose bytes are in entry_order(): no path has a NUL. */
static void
turn_slashes(struct buf *path, uint8_t from, uint8_t to)
{
    for (size_t i = 0; i < path->len; i++)
        if (path->ptr[i] == from)
            path->ptr[i] = to;
}

int
manifest_add(struct manifest_writer *w, const struct entry *en, struct err *e)
{
    struct entry_context alone = { 0 };

    if (!w->sorter)
        return add_next(w, en, e);
    buf_clear(&w->key);
    buf_clear(&w->record);
    buf_put_slice(&w->key, en->path);
    turn_slashes(&w->key, '/', 0);
    entry_put(&w->record, &alone, en, NULL);
    if (sorter_put(w->sorter, buf_slice(&w->key), buf_slice(&w->record), e) == 0)
        return 0;
    return e->kind == ERR_EXISTS
             ? err_set(e, ERR_EXISTS, 0, "%s is there twice", text_of_name(en->path))
             : -1;
}

static int
add_sorted(void *arg, struct slice key, struct slice value, struct err *e)
{
    struct manifest_writer *w = arg;
    struct entry_context alone = { 0 };
    struct reader r = reader_of(value);
    struct chunk_id unused;
    struct entry en = { 0 };
    bool apart = false;

    buf_clear(&w->key);
    buf_put_slice(&w->key, key);
    turn_slashes(&w->key, 0, '/');
    if (!entry_get(&r, &alone, &en, &unused, &apart) || apart)
        return err_set(e, ERR_IO, 0, "an entry was damaged while it was sorted");
    en.path = buf_slice(&w->key);
    return add_next(w, &en, e);
}

int
manifest_finish(struct manifest_writer *w, struct manifest_root *out, struct err *e)
{
    unsigned level = 0;

    if (w->sorter && sorter_each(w->sorter, add_sorted, w, e) < 0)
        return -1;
    for (; level < w->top; level++)
        if (w->levels[level].count > 0 && end_node(w, level, e) < 0)
            return -1;
    struct level *l = &w->levels[level];
    out->level = (uint8_t)level;
    out->entries = l->entries;
    out->bytes = l->bytes;
    return store_node(w, level, &out->id, e);
}

/* Reading. */

struct place_in_node {
    struct buf node;
    struct reader left;
    uint32_t items_left;
    struct buf path; /* of the item read last */
    struct entry_context context;
    bool stepped_back; /* that item, a child, is to be read again */
    struct chunk_id child;
};

struct manifest_reader {
    struct manifest_root root;
    node_load_fn *load;
    void *arg;
    struct place_in_node levels[TREE_LEVELS_MAX];
    struct buf xattrs;
    bool placed; /* manifest_seek() was called */
    bool have;   /* an entry was read by seek and not given yet */
    struct entry entry;
};

struct manifest_reader *
manifest_reader_new(const struct manifest_root *root, node_load_fn *load, void *arg)
{
    struct manifest_reader *r = mem_zalloc(sizeof *r);

    r->root = *root;
    r->load = load;
    r->arg = arg;
    for (size_t i = 0; i < TREE_LEVELS_MAX; i++) {
        r->levels[i].node = BUF(NODE_MAX);
        r->levels[i].path = BUF(ENTRY_PATH_MAX);
    }
    r->xattrs = BUF(ENTRY_XATTR_MAX);
    return r;
}

void
manifest_reader_free(struct manifest_reader *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < TREE_LEVELS_MAX; i++) {
        buf_release(&r->levels[i].node);
        buf_release(&r->levels[i].path);
    }
    buf_release(&r->xattrs);
    mem_free(r);
}

static int
damaged(struct err *e)
{
    return err_set(e, ERR_CORRUPT, 0, "a node of the manifest is malformed");
}

static int
open_node(struct manifest_reader *r, unsigned level, const struct chunk_id *id,
          struct err *e)
{
    struct place_in_node *p = &r->levels[level];

    buf_clear(&p->node);
    buf_clear(&p->path);
    p->context = (struct entry_context){ 0 };
    p->stepped_back = false;
    if (r->load(r->arg, KIND_NODE, id, &p->node, e) < 0)
        return err_in(e, "reading the manifest");
    p->left = reader_of(buf_slice(&p->node));
    uint8_t version = read_u8(&p->left), have = read_u8(&p->left);
    read_u16(&p->left);
    p->items_left = read_u32(&p->left);
    return p->left.bad || version != NODE_VERSION || have != level ? damaged(e) : 0;
}

/* The next item's path into p->path; false when it is malformed. */
static bool
get_path(struct place_in_node *p)
{
    uint64_t shared = read_var(&p->left), rest = read_var(&p->left);

    if (p->left.bad || shared > p->path.len || rest > p->left.left
        || shared + rest > ENTRY_PATH_MAX)
        return false;
    p->path.len = (size_t)shared;
    buf_put_slice(&p->path, read_slice(&p->left, (size_t)rest));
    return true;
}

static bool
get_child(struct place_in_node *p, struct chunk_id *id)
{
    bool ok = p->stepped_back || get_path(p);

    if (!p->stepped_back) {
        read_copy(&p->left, p->child.bytes, sizeof p->child.bytes);
        read_var(&p->left);
        read_var(&p->left);
    }
    p->stepped_back = false;
    p->items_left--;
    *id = p->child;
    return ok && !p->left.bad;
}

/* The child read last is to be read again. */
static void
step_back(struct place_in_node *p)
{
    p->stepped_back = true;
    p->items_left++;
}

/* Takes the inner node at `level` to the last child that does not begin behind
 * `path`; *id gets it. */
static int
choose_child(struct manifest_reader *r, unsigned level, struct slice path,
             struct chunk_id *id, struct err *e)
{
    struct place_in_node *p = &r->levels[level];
    struct chunk_id next;

    if (p->items_left == 0 || !get_child(p, id))
        return damaged(e);
    while (p->items_left > 0) {
        if (!get_child(p, &next))
            return damaged(e);
        if (entry_order(buf_slice(&p->path), path) > 0) {
            step_back(p);
            return 0;
        }
        *id = next;
    }
    return 0;
}

/* The next entry of the leaf; 1, 0 at its end, -1. */
static int
leaf_next(struct manifest_reader *r, struct err *e)
{
    struct place_in_node *p = &r->levels[0];
    struct chunk_id xattrs;
    bool apart = false;

    if (p->items_left == 0)
        return 0;
    p->items_left--;
    if (!get_path(p))
        return damaged(e);
    r->entry.path = buf_slice(&p->path);
    if (!entry_path_valid(r->entry.path)
        || !entry_get(&p->left, &p->context, &r->entry, &xattrs, &apart))
        return damaged(e);
    if (apart) {
        buf_clear(&r->xattrs);
        if (r->load(r->arg, KIND_XATTRS, &xattrs, &r->xattrs, e) < 0)
            return err_in(e, "reading the attributes of a file");
        r->entry.xattrs = buf_slice(&r->xattrs);
    }
    return 1;
}

/* The lowest inner node with children left; above the root's level: none. */
static unsigned
level_left(const struct manifest_reader *r)
{
    unsigned level = 1;

    while (level <= r->root.level && r->levels[level].items_left == 0)
        level++;
    return level;
}

/* Opens the next child of the inner node at `level`. */
static int
enter_child(struct manifest_reader *r, unsigned level, struct err *e)
{
    struct chunk_id id;

    return get_child(&r->levels[level], &id) ? open_node(r, level - 1, &id, e)
                                             : damaged(e);
}

/* Goes to the next leaf: up to a node with children left, and down again. */
static int
next_leaf(struct manifest_reader *r, struct err *e)
{
    unsigned level = level_left(r);

    if (level > r->root.level)
        return 0;
    for (; level > 0; level--)
        if (enter_child(r, level, e) < 0)
            return -1;
    return 1;
}

static int
advance(struct manifest_reader *r, struct err *e)
{
    int rc = leaf_next(r, e);

    while (rc == 0) {
        rc = next_leaf(r, e);
        if (rc <= 0)
            return rc;
        rc = leaf_next(r, e);
    }
    return rc;
}

int
manifest_seek(struct manifest_reader *r, struct slice path, struct err *e)
{
    struct chunk_id id = r->root.id;
    int rc;

    if (r->root.level >= TREE_LEVELS_MAX)
        return damaged(e);
    for (unsigned level = r->root.level;; level--) {
        if (open_node(r, level, &id, e) < 0)
            return -1;
        if (level == 0)
            break;
        if (choose_child(r, level, path, &id, e) < 0)
            return -1;
    }
    r->placed = true;
    do
        rc = advance(r, e);
    while (rc == 1 && entry_order(r->entry.path, path) < 0);
    r->have = rc == 1;
    return rc < 0 ? -1 : 0;
}

int
manifest_skip(struct manifest_reader *r, struct slice path, struct err *e)
{
    AUTOBUF struct buf behind = BUF(ENTRY_PATH_MAX + 1);

    buf_put_slice(&behind, path);
    buf_put_u8(&behind, 1); /* '/' sorts as 0: this is behind all below `path` */
    return manifest_seek(r, buf_slice(&behind), e);
}

static bool
at_leaf_end(const struct manifest_reader *r)
{
    return r->placed && !r->have && r->levels[0].items_left == 0;
}

int
manifest_skip_same(struct manifest_reader *a, struct manifest_reader *b, struct err *e)
{
    while (at_leaf_end(a) && at_leaf_end(b)) {
        unsigned la = level_left(a), lb = level_left(b);
        struct chunk_id x, y;
        if (la > a->root.level || lb > b->root.level)
            return 0;
        if (la == lb) {
            if (!get_child(&a->levels[la], &x) || !get_child(&b->levels[lb], &y))
                return damaged(e);
            if (chunk_id_equal(&x, &y))
                continue;
            step_back(&a->levels[la]);
            step_back(&b->levels[lb]);
            if (la == 1) /* two leaves */
                return 0;
        }
        /* What differs may still have children in common. */
        if ((la >= lb && enter_child(a, la, e) < 0)
            || (lb >= la && enter_child(b, lb, e) < 0))
            return -1;
    }
    return 0;
}

int
manifest_next(struct manifest_reader *r, struct entry *out, struct err *e)
{
    if (!r->placed && manifest_seek(r, slice_of(NULL, 0), e) < 0)
        return -1;
    int rc = r->have ? 1 : advance(r, e);
    r->have = false;
    if (rc == 1)
        *out = r->entry;
    return rc;
}
