/* Nodes of both trees: the first part is the root, the rest all below it. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
struct two_nodes {
    struct slice root, other;
    unsigned loads;
};

static int
load_two(void *arg, enum chunk_kind kind, const struct chunk_id *id, struct buf *out,
         struct err *e)
{
    struct two_nodes *n = arg;

    if (++n->loads > 300 || kind == KIND_FILE || !id)
        return err_set(e, ERR_CORRUPT, 0, "enough");
    buf_put_slice(out, n->loads > 1 ? n->other : n->root);
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 4 || len > NODE_MAX)
        return 0;
    size_t half = get_u16(data) > len - 4 ? len - 4 : get_u16(data);
    struct two_nodes n = { slice_of(data + 4, half),
                           slice_of(data + 4 + half, len - 4 - half), 0 };
    struct manifest_root root = { .level = data[2] };
    struct entry en, file = { .tree = true, .size = data[3] };
    struct err e = { 0 };
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *r = manifest_reader_new(&root, load_two, &n);
    while (manifest_next(r, &en, &e) == 1)
        assert(entry_path_valid(en.path) && en.extent_count <= ENTRY_EXTENTS_MAX);
    n.loads = 0;
    (void)!extent_each(&file, load_two, &n, NULL, NULL, &e);
    return 0;
}
