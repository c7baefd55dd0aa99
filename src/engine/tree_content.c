#include "tree_content.h"
#include "base/cancel.h"

#include <string.h>

struct content {
    struct repo *repo;
    content_fn *fn;
    void *arg;
    struct chunk_tools tools;
    struct chunk_id last; /* whose plain bytes are at hand */
    uint8_t *plain;
};

static int
give_zeros(struct content *c, uint64_t len, struct err *e)
{
    static const uint8_t zero[65536];

    while (len > 0) {
        size_t n = len < sizeof zero ? (size_t)len : sizeof zero;
        if (cancel_check(e) < 0 || c->fn(c->arg, slice_of(zero, n), e) < 0)
            return -1;
        len -= n;
    }
    return 0;
}

static int
give_extent(void *arg, uint64_t offset, const struct extent *x, struct err *e)
{
    struct content *c = arg;
    struct location at;

    (void)offset;
    if (cancel_check(e) < 0)
        return -1;
    if (chunk_id_is_hole(&x->id))
        return give_zeros(c, x->len, e);
    if (!chunk_id_equal(&x->id, &c->last)) {
        int rc = index_find(repo_index(c->repo), &x->id, NULL, NULL, &at, e);
        if (rc < 0)
            return -1;
        if (rc == 0 || at.raw > CHUNK_RAW_MAX || (uint64_t)x->offset + x->len > at.raw)
            return err_set(e, ERR_CORRUPT, 0, "a chunk of the file is in no index");
        if (repo_load_chunk(c->repo, &c->tools, NULL, &x->id, &at, c->plain, e) < 0)
            return -1;
        c->last = x->id;
    }
    return c->fn(c->arg, slice_of(c->plain + x->offset, x->len), e);
}

int
content_write(struct repo *r, const struct entry *en, content_fn *fn, void *arg,
              struct err *e)
{
    struct content c = { .repo = r, .fn = fn, .arg = arg };

    chunk_tools_init(&c.tools, 1);
    c.plain = mem_alloc(CHUNK_RAW_MAX);
    int rc = extent_each(en, repo_load_node, r, give_extent, &c, e);
    chunk_tools_release(&c.tools);
    mem_free(c.plain);
    return rc;
}
