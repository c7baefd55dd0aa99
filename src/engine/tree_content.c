#include "tree_content.h"
#include "base/cancel.h"

#include <string.h>

struct kept {
    struct chunk_id id;
    uint32_t len; /* 0: nothing */
    uint8_t *plain;
};

struct content {
    struct repo *repo;
    struct chunk_tools tools;
    struct kept kept[2]; /* a file's chunk, a bundle */
    /* Of the file being written. */
    const struct content_sink *to;
    uint64_t given;
};

struct content *
content_new(struct repo *r)
{
    struct content *c = mem_zalloc(sizeof *c);

    c->repo = r;
    chunk_tools_init(&c->tools, 1);
    return c;
}

void
content_free(struct content *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < COUNT_OF(c->kept); i++)
        mem_free(c->kept[i].plain);
    chunk_tools_release(&c->tools);
    mem_free(c);
}

static int
give_zeros(struct content *c, uint64_t len, struct err *e)
{
    static const uint8_t zero[65536];

    while (len > 0) {
        size_t n = len < sizeof zero ? (size_t)len : sizeof zero;
        if (cancel_check(e) < 0 || c->to->data(c->to->arg, slice_of(zero, n), e) < 0)
            return -1;
        len -= n;
    }
    return 0;
}

/* The plain bytes of a chunk, read unless they are at hand; NULL with `e`. */
static const struct kept *
load(struct content *c, const struct chunk_id *id, struct err *e)
{
    struct location at;

    for (size_t i = 0; i < COUNT_OF(c->kept); i++)
        if (c->kept[i].len > 0 && chunk_id_equal(id, &c->kept[i].id))
            return &c->kept[i];
    int rc = repo_find(c->repo, id, &at, e);
    if (rc < 0)
        return NULL;
    if (rc == 0 || chunk_class_of(at.kind) != CLASS_DATA || at.raw > CHUNK_RAW_MAX) {
        err_set(e, ERR_CORRUPT, 0, "a chunk of it is in no index");
        return NULL;
    }
    struct kept *k = &c->kept[at.kind == KIND_BUNDLE];
    k->len = 0;
    if (!k->plain)
        k->plain = mem_alloc(CHUNK_RAW_MAX);
    if (repo_load_anywhere(c->repo, &c->tools, NULL, id, &at, k->plain, e) < 0)
        return NULL;
    k->id = *id;
    k->len = at.raw;
    return k;
}

static int
give_extent(void *arg, uint64_t offset, const struct extent *x, struct err *e)
{
    struct content *c = arg;

    (void)offset;
    c->given += x->len;
    if (cancel_check(e) < 0)
        return -1;
    if (chunk_id_is_hole(&x->id))
        return c->to->hole ? c->to->hole(c->to->arg, x->len, e)
                           : give_zeros(c, x->len, e);
    if (x->len == 0)
        return 0;
    const struct kept *k = load(c, &x->id, e);
    if (!k)
        return -1;
    if (x->len > k->len || x->offset > k->len - x->len)
        return err_set(e, ERR_CORRUPT, 0, "a chunk of it is too short");
    return c->to->data(c->to->arg, slice_of(k->plain + x->offset, (size_t)x->len), e);
}

int
content_write(struct content *c, const struct entry *en, const struct content_sink *to,
              struct err *e)
{
    c->to = to;
    c->given = 0;
    if (extent_each(en, repo_load_node, c->repo, give_extent, c, e) < 0)
        return -1;
    if (c->given != en->size)
        return err_set(e, ERR_CORRUPT, 0, "its pieces do not make up its size");
    return 0;
}
