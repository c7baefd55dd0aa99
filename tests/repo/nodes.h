/*
 * nodes: metadata chunks in memory, as node_store_fn and node_load_fn.
 */
#ifndef TESTS_REPO_NODES_H
#define TESTS_REPO_NODES_H

#include "support/fixture.h"

struct nodes {
    struct keys *keys;
    struct node {
        struct chunk_id id;
        enum chunk_kind kind;
        struct buf bytes;
        bool fresh; /* stored since nodes_mark() */
    } * list;
    size_t count, cap;
    size_t stored, loaded;  /* calls */
    const struct node *lie; /* its bytes are `lied` instead */
    struct slice lied;
};

static inline void
nodes_init(struct nodes *n)
{
    crypto_init();
    *n = (struct nodes){ .keys = keys_new() };
    keys_generate(n->keys);
    /* the same cuts in every run */
    fill_bytes(n->keys->manifest_cut, sizeof n->keys->manifest_cut, 1);
}

static inline void
nodes_release(struct nodes *n)
{
    for (size_t i = 0; i < n->count; i++)
        buf_release(&n->list[i].bytes);
    mem_free(n->list);
    keys_free(n->keys);
}

#define NODES(name)                           \
    CLEANUP(nodes_release) struct nodes name; \
    nodes_init(&name)

static inline struct node *
nodes_find(struct nodes *n, const struct chunk_id *id)
{
    for (size_t i = n->count; i > 0; i--)
        if (chunk_id_equal(&n->list[i - 1].id, id))
            return &n->list[i - 1];
    return NULL;
}

static inline int
nodes_store(void *arg, enum chunk_kind kind, struct slice plain, struct chunk_id *id,
            struct err *e)
{
    struct nodes *n = arg;

    (void)e;
    assert_in_range(plain.len, 0, NODE_MAX);
    keys_chunk_id(n->keys, (uint8_t)kind, plain, id);
    n->stored++;
    if (nodes_find(n, id))
        return 0;
    n->list = mem_grow(n->list, &n->cap, n->count + 1, sizeof *n->list);
    n->list[n->count] = (struct node){ *id, kind, BUF(plain.len), true };
    buf_put_slice(&n->list[n->count++].bytes, plain);
    return 0;
}

static inline int
nodes_load(void *arg, enum chunk_kind kind, const struct chunk_id *id, struct buf *out,
           struct err *e)
{
    struct nodes *n = arg;
    const struct node *node = nodes_find(n, id);

    n->loaded++;
    if (!node || node->kind != kind)
        return err_set(e, ERR_NOT_FOUND, 0, "there is no such node");
    struct slice bytes = node == n->lie ? n->lied : buf_slice(&node->bytes);
    if (bytes.len > out->max - out->len)
        return err_set(e, ERR_CORRUPT, 0, "it is too large");
    buf_put_slice(out, bytes);
    return 0;
}

static inline void
nodes_mark(struct nodes *n)
{
    for (size_t i = 0; i < n->count; i++)
        n->list[i].fresh = false;
}

static inline size_t
nodes_fresh(const struct nodes *n)
{
    size_t fresh = 0;

    for (size_t i = 0; i < n->count; i++)
        fresh += n->list[i].fresh;
    return fresh;
}

#endif
