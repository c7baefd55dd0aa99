#include "needs.h"
#include "base/cancel.h"

struct needs {
    struct repo *repo;
    size_t target;
    uint8_t *used; /* a bit per pack */
    uint32_t pack_count;
    struct chunk_id last;
};

static bool
is_finished(const struct needs *n, uint32_t pack)
{
    uint8_t name[32];
    uint64_t size;
    struct err bad = { 0 }; /* a damaged index: the caller's own call tells it */

    return pack < n->pack_count
        && index_pack(repo_index(n->repo), pack, name, &size, &bad) == 1;
}

/* What the target names comes first, and of that what new data may rely on. */
static bool
listed_and_usable(void *arg, uint32_t pack)
{
    struct needs *n = arg;

    return is_finished(n, pack) && repo_listed(n->repo, n->target, pack)
        && repo_usable(n->repo, pack);
}

static bool
listed(void *arg, uint32_t pack)
{
    struct needs *n = arg;

    return is_finished(n, pack) && repo_listed(n->repo, n->target, pack);
}

static bool
any(void *arg, uint32_t pack)
{
    return is_finished(arg, pack);
}

static int
use(struct needs *n, const struct chunk_id *id, struct err *e)
{
    static index_usable_fn *const tries[] = { listed_and_usable, listed, any };
    struct location at;
    int rc = 0;

    if (chunk_id_is_hole(id) || chunk_id_equal(id, &n->last))
        return 0;
    for (size_t i = 0; i < COUNT_OF(tries) && rc == 0; i++)
        rc = index_find(repo_index(n->repo), id, tries[i], n, &at, e);
    if (rc == 0)
        return err_set(e, ERR_CORRUPT, 0, "a chunk of it is in no index");
    if (rc < 0)
        return -1;
    n->last = *id;
    n->used[at.pack / 8] = (uint8_t)(n->used[at.pack / 8] | 1u << at.pack % 8);
    return 0;
}

static int
load(void *arg, enum chunk_kind kind, const struct chunk_id *id, struct buf *out,
     struct err *e)
{
    struct needs *n = arg;

    return use(n, id, e) < 0 ? -1 : repo_load_node(n->repo, kind, id, out, e);
}

static int
use_extent(void *arg, uint64_t at, const struct extent *x, struct err *e)
{
    (void)at;
    return use(arg, &x->id, e);
}

static int
walk(struct needs *n, const struct snapshot *s, struct err *e)
{
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *m = manifest_reader_new(&s->root, load, n);
    struct entry en;
    int rc;

    while ((rc = manifest_next(m, &en, e)) == 1)
        if (cancel_check(e) < 0
            || (en.type == ENTRY_FILE && extent_each(&en, load, n, use_extent, n, e) < 0))
            return -1;
    return rc;
}

int
needs_of(struct repo *r, const struct snapshot *s, size_t index, struct buf *packs,
         struct err *e)
{
    struct needs n = { .repo = r,
                       .target = index,
                       .pack_count = index_packs(repo_index(r)) };

    n.used = mem_zalloc(n.pack_count / 8 + 1);
    int rc = walk(&n, s, e);
    for (uint32_t i = 0; i < n.pack_count && rc == 0; i++) {
        uint8_t name[32];
        uint64_t size;
        if (!(n.used[i / 8] >> i % 8 & 1))
            continue;
        rc = index_pack(repo_index(r), i, name, &size, e);
        if (rc > 0)
            buf_put(packs, name, 32);
        rc = rc < 0 ? -1 : 0;
    }
    mem_free(n.used);
    return rc;
}
