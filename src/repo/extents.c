#include "repo/manifest.h"

#include <string.h>

/* A node: version 1 | level 1 | zero 2 | count 4 | items. Items of level 0 are
 * extents (id 32, offset 4, length 8), above it children (id 32, length 8). A
 * node ends where an id says so, which is keyed by itself. */
#define NODE_HEADER 8
#define NODE_VERSION 1
#define ITEMS_MIN 256
#define ITEMS_MAX 1400
#define ODDS 512

struct level {
    struct buf node;
    uint32_t count;
    uint64_t len;
};

struct extent_writer {
    node_store_fn *store;
    void *arg;
    struct level levels[TREE_LEVELS_MAX];
    unsigned top;
};

static void
node_begin(struct level *l, uint8_t level)
{
    buf_clear(&l->node);
    buf_put_u8(&l->node, NODE_VERSION);
    buf_put_u8(&l->node, level);
    buf_put_u16(&l->node, 0);
    buf_put_u32(&l->node, 0);
    l->count = 0;
    l->len = 0;
}

struct extent_writer *
extent_writer_new(node_store_fn *store, void *arg)
{
    struct extent_writer *w = mem_zalloc(sizeof *w);

    w->store = store;
    w->arg = arg;
    for (uint8_t i = 0; i < TREE_LEVELS_MAX; i++) {
        w->levels[i].node = BUF(NODE_MAX);
        node_begin(&w->levels[i], i);
    }
    return w;
}

void
extent_writer_free(struct extent_writer *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < TREE_LEVELS_MAX; i++)
        buf_release(&w->levels[i].node);
    mem_free(w);
}

static int
store_node(struct extent_writer *w, unsigned level, struct chunk_id *id, struct err *e)
{
    struct level *l = &w->levels[level];

    put_u32(l->node.ptr + 4, l->count);
    return w->store(w->arg, KIND_EXTENTS, buf_slice(&l->node), id, e);
}

static int add_item(struct extent_writer *w, unsigned level, const struct extent *x,
                    struct err *e);

static int
end_node(struct extent_writer *w, unsigned level, struct err *e)
{
    struct extent child = { .len = w->levels[level].len };

    if (level + 1 == TREE_LEVELS_MAX)
        return err_set(e, ERR_UNSUPPORTED, 0, "a file has too many extents");
    if (store_node(w, level, &child.id, e) < 0 || add_item(w, level + 1, &child, e) < 0)
        return -1;
    node_begin(&w->levels[level], (uint8_t)level);
    return 0;
}

static int
add_item(struct extent_writer *w, unsigned level, const struct extent *x, struct err *e)
{
    struct level *l = &w->levels[level];

    if (level > w->top)
        w->top = level;
    buf_put(&l->node, x->id.bytes, sizeof x->id.bytes);
    if (level == 0)
        buf_put_u32(&l->node, x->offset);
    buf_put_u64(&l->node, x->len);
    l->len += x->len;
    l->count++;
    bool cut = l->count >= ITEMS_MIN && get_u64(x->id.bytes) % ODDS == 0;
    return cut || l->count == ITEMS_MAX ? end_node(w, level, e) : 0;
}

int
extent_add(struct extent_writer *w, const struct extent *x, struct err *e)
{
    return add_item(w, 0, x, e);
}

int
extent_finish(struct extent_writer *w, struct chunk_id *root, struct err *e)
{
    unsigned level = 0;

    for (; level < w->top; level++)
        if (w->levels[level].count > 0 && end_node(w, level, e) < 0)
            return -1;
    return store_node(w, level, root, e);
}

struct walk {
    node_load_fn *load;
    void *load_arg;
    extent_node_fn *node;
    extent_fn *fn;
    void *arg;
    uint64_t at;
};

static int
walk_node(struct walk *w, const struct chunk_id *id, int level, uint64_t len,
          struct err *e)
{
    AUTOBUF struct buf node = BUF(NODE_MAX);
    uint64_t end = w->at + len;

    if ((w->node && w->node(w->arg, id, e) < 0)
        || w->load(w->load_arg, KIND_EXTENTS, id, &node, e) < 0)
        return -1;
    struct reader r = reader_of(buf_slice(&node));
    uint8_t version = read_u8(&r), have = read_u8(&r);
    read_u16(&r);
    uint32_t count = read_u32(&r);
    if (r.bad || version != NODE_VERSION || have >= TREE_LEVELS_MAX
        || (level >= 0 && have != level))
        return err_set(e, ERR_CORRUPT, 0, "a node of an extent tree is malformed");
    for (uint32_t i = 0; i < count; i++) {
        struct extent x = { .offset = 0 };
        read_copy(&r, x.id.bytes, sizeof x.id.bytes);
        if (have == 0)
            x.offset = read_u32(&r);
        x.len = read_u64(&r);
        if (r.bad || x.len > end - w->at || x.offset > CHUNK_RAW_MAX)
            return err_set(e, ERR_CORRUPT, 0, "a node of an extent tree is malformed");
        if (have > 0) {
            if (walk_node(w, &x.id, have - 1, x.len, e) < 0)
                return -1;
            continue;
        }
        if (w->fn && w->fn(w->arg, w->at, &x, e) < 0)
            return -1;
        w->at += x.len;
    }
    if (w->at != end)
        return err_set(e, ERR_CORRUPT, 0, "an extent tree has a wrong length");
    return 0;
}

int
extent_each_node(const struct entry *en, node_load_fn *load, void *load_arg,
                 extent_node_fn *node, extent_fn *fn, void *arg, struct err *e)
{
    struct walk w = { load, load_arg, node, fn, arg, 0 };

    if (en->tree)
        return walk_node(&w, &en->extents[0].id, -1, en->size, e);
    for (size_t i = 0; i < en->extent_count; i++) {
        if (fn && fn(arg, w.at, &en->extents[i], e) < 0)
            return -1;
        w.at += en->extents[i].len;
    }
    return 0;
}

int
extent_each(const struct entry *en, node_load_fn *load, void *load_arg, extent_fn *fn,
            void *arg, struct err *e)
{
    return extent_each_node(en, load, load_arg, NULL, fn, arg, e);
}
