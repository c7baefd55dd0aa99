#include "nodes.h"

/* Extent `n` of a file: every seventh is a hole, some reach into their chunk. */
static struct extent
extent_of(size_t n)
{
    struct extent x = { .len = n % 13 * 1000 + 1 };

    if (n % 7 == 0)
        return x;
    fill_bytes(x.id.bytes, 32, n + 1);
    x.offset = n % 5 ? 0 : (uint32_t)n % CHUNK_RAW_MAX;
    return x;
}

/* Writes the extents as a tree and gives the entry that names it. */
static struct entry
write_tree(struct nodes *n, const struct extent *list, size_t count)
{
    struct extent_writer *w = extent_writer_new(nodes_store, n);
    struct entry en = { .type = ENTRY_FILE, .tree = true, .extent_count = 1 };
    struct err e = { 0 };

    for (size_t i = 0; i < count; i++) {
        assert_ok(extent_add(w, &list[i], &e), &e);
        en.size += list[i].len;
    }
    assert_ok(extent_finish(w, &en.extents[0].id, &e), &e);
    en.extents[0].len = en.size;
    extent_writer_free(w);
    return en;
}

static struct extent *
make_extents(size_t count)
{
    struct extent *list = mem_alloc(count * sizeof *list);

    for (size_t i = 0; i < count; i++)
        list[i] = extent_of(i);
    return list;
}

struct expected {
    const struct extent *list;
    size_t seen, stop;
    uint64_t at;
};

static int
check(void *arg, uint64_t at, const struct extent *x, struct err *e)
{
    struct expected *want = arg;
    const struct extent *next = &want->list[want->seen];

    if (want->stop && want->seen == want->stop)
        return err_set(e, ERR_CANCELLED, 0, "enough");
    assert_true(at == want->at);
    assert_true(chunk_id_equal(&x->id, &next->id));
    assert_int_equal(x->offset, next->offset);
    assert_true(x->len == next->len);
    want->at += x->len;
    want->seen++;
    return 0;
}

static void
assert_round_trip(size_t count)
{
    AUTOFREE struct extent *list = make_extents(count);
    NODES(n);
    struct entry en = write_tree(&n, list, count);
    struct expected want = { .list = list };
    struct err e = { 0 };

    assert_ok(extent_each(&en, nodes_load, &n, check, &want, &e), &e);
    assert_int_equal(want.seen, count);
    assert_true(want.at == en.size);
}

static void
five_thousand_extents_and_holes_come_back(void **state)
{
    (void)state;
    assert_round_trip(5000);
}

static void
trees_of_all_sizes_come_back(void **state)
{
    static const size_t counts[] = {
        0, 1, 9, 255, 256, 257, 1399, 1400, 1401, 2800, 20000
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(counts); i++)
        assert_round_trip(counts[i]);
    assert_round_trip(TEST_SCALE(300000, 30000));
}

/* A file that repeats one chunk, as a disk image full of ones does. */
static void
equal_extents_make_a_tree_too(void **state)
{
    size_t count = 10000;
    AUTOFREE struct extent *list = mem_alloc(count * sizeof *list);
    NODES(n);
    struct expected want = { .list = list };
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < count; i++)
        list[i] = extent_of(3);
    struct entry en = write_tree(&n, list, count);
    assert_ok(extent_each(&en, nodes_load, &n, check, &want, &e), &e);
    assert_int_equal(want.seen, count);
    assert_in_range(n.count, 2, 5); /* its nodes are equal as well */
}

static void
inline_extents_are_told_alike(void **state)
{
    AUTOFREE struct extent *list = make_extents(ENTRY_EXTENTS_MAX);
    struct entry en = { .type = ENTRY_FILE, .extent_count = ENTRY_EXTENTS_MAX };
    struct expected want = { .list = list };
    NODES(n);
    struct err e = { 0 };

    (void)state;
    memcpy(en.extents, list, sizeof en.extents);
    assert_ok(extent_each(&en, nodes_load, &n, check, &want, &e), &e);
    assert_int_equal(want.seen, ENTRY_EXTENTS_MAX);
    assert_int_equal(n.loaded, 0);
    en.extent_count = 0;
    want.seen = 0;
    assert_ok(extent_each(&en, nodes_load, &n, check, &want, &e), &e);
    assert_int_equal(want.seen, 0);
}

static void
the_callers_error_ends_the_walk(void **state)
{
    AUTOFREE struct extent *list = make_extents(3000);
    NODES(n);
    struct entry en = write_tree(&n, list, 3000);
    struct expected want = { .list = list, .stop = 1500 };
    struct err e;

    (void)state;
    assert_err(extent_each(&en, nodes_load, &n, check, &want, &e), &e, ERR_CANCELLED);
    assert_int_equal(want.seen, 1500);
}

static int
count_node(void *arg, const struct chunk_id *id, struct err *e)
{
    size_t *count = arg;

    (void)id;
    (void)e;
    ++*count;
    return 0;
}

static void
each_node_is_told(void **state)
{
    AUTOFREE struct extent *list = make_extents(5000);
    NODES(n);
    struct entry en = write_tree(&n, list, 5000);
    size_t count = 0;
    struct err e = { 0 };

    (void)state;
    assert_ok(extent_each_node(&en, nodes_load, &n, count_node, NULL, &count, &e), &e);
    assert_int_equal(count, n.count);
    assert_true(count > 4);
}

/* A byte changed in a file of a terabyte must not cost a new tree. */
static void
a_changed_extent_changes_few_nodes(void **state)
{
    size_t count = 50000;
    AUTOFREE struct extent *list = make_extents(count);
    NODES(n);

    (void)state;
    (void)write_tree(&n, list, count);
    for (size_t at = 5; at < count; at += count / 9) {
        struct extent kept = list[at];
        nodes_mark(&n);
        list[at].id.bytes[20] ^= 1;
        (void)write_tree(&n, list, count);
        assert_in_range(nodes_fresh(&n), 1, 3);
        list[at] = kept;
    }
}

/* An insertion moves all that follows; the nodes are cut by content. */
static void
an_inserted_extent_changes_few_nodes(void **state)
{
    size_t count = 50000;
    AUTOFREE struct extent *list = make_extents(count + 1);
    NODES(n);

    (void)state;
    (void)write_tree(&n, list, count);
    size_t all = n.count;
    nodes_mark(&n);
    memmove(list + 1001, list + 1000, (count - 1000) * sizeof *list);
    list[1000] = extent_of(999999);
    (void)write_tree(&n, list, count + 1);
    assert_in_range(nodes_fresh(&n), 1, all / 4);
}

static void
a_tree_of_another_length_than_its_file_is_refused(void **state)
{
    AUTOFREE struct extent *list = make_extents(1000);
    static const int64_t off[] = { -1, 1, -100000, 100000, INT64_MAX / 2 };
    NODES(n);
    struct entry en = write_tree(&n, list, 1000);
    struct err e;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(off); i++) {
        struct entry wrong = en;
        wrong.size += (uint64_t)off[i];
        assert_err(extent_each(&wrong, nodes_load, &n, NULL, NULL, &e), &e, ERR_CORRUPT);
    }
    en.size = 0;
    assert_err(extent_each(&en, nodes_load, &n, NULL, NULL, &e), &e, ERR_CORRUPT);
}

struct covered {
    uint64_t end, size;
};

static int
cover(void *arg, uint64_t at, const struct extent *x, struct err *e)
{
    struct covered *c = arg;

    (void)e;
    assert_true(at == c->end);
    assert_true(x->offset <= CHUNK_RAW_MAX);
    assert_true(x->len <= c->size - c->end); /* nothing behind the file's end is told */
    c->end += x->len;
    return 0;
}

/* Whatever a node says, the walk ends, and 0 means that the file is covered. */
static void
walk_lies(struct nodes *n, const struct entry *en, struct slice lied)
{
    struct covered c = { 0, en->size };
    struct err e = { 0 };

    n->lied = lied;
    if (extent_each(en, nodes_load, n, cover, &c, &e) == 0)
        assert_true(c.end == en->size);
    else
        assert_true(e.kind == ERR_CORRUPT || e.kind == ERR_NOT_FOUND);
}

static void
malformed_nodes_are_no_danger(void **state)
{
    AUTOFREE struct extent *list = make_extents(3000);
    NODES(n);
    struct entry en = write_tree(&n, list, 3000);

    (void)state;
    for (size_t k = 0; k<n.count; k += n.count> 1 ? n.count - 1 : 1) { /* leaf, root */
        struct node *node = &n.list[k];
        size_t len = node->bytes.len;
        AUTOFREE uint8_t *copy = mem_alloc(len);
        memcpy(copy, node->bytes.ptr, len);
        n.lie = node;
        for (size_t i = 0; i < len; i += i < 200 ? 1 : TEST_SCALE(101, 1009))
            for (int bit = 0; bit < 8; bit++) {
                copy[i] ^= (uint8_t)(1 << bit);
                walk_lies(&n, &en, slice_of(copy, len));
                copy[i] ^= (uint8_t)(1 << bit);
            }
        for (size_t cut = 0; cut < len; cut += cut < 200 ? 1 : TEST_SCALE(101, 1009)) {
            AUTOFREE uint8_t *exact = mem_alloc(cut + !cut);
            memcpy(exact, copy, cut);
            walk_lies(&n, &en, slice_of(exact, cut));
        }
        n.lie = NULL;
    }
}

/* A node that names itself as its child would be walked for ever. */
static void
a_node_that_names_itself_is_refused(void **state)
{
    AUTOFREE struct extent *list = make_extents(3000);
    NODES(n);
    struct entry en = write_tree(&n, list, 3000);
    struct node *root = nodes_find(&n, &en.extents[0].id);
    AUTOBUF struct buf lie = BUF(100);
    struct err e;

    (void)state;
    for (uint8_t level = 0; level < TREE_LEVELS_MAX; level++) {
        buf_clear(&lie);
        buf_put_u8(&lie, 1);
        buf_put_u8(&lie, level);
        buf_put_u16(&lie, 0);
        buf_put_u32(&lie, 1);
        buf_put(&lie, en.extents[0].id.bytes, 32);
        if (level == 0)
            buf_put_u32(&lie, 0);
        buf_put_u64(&lie, en.size);
        n.lie = root;
        n.lied = buf_slice(&lie);
        if (level > 0)
            assert_err(extent_each(&en, nodes_load, &n, NULL, NULL, &e), &e, ERR_CORRUPT);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_thousand_extents_and_holes_come_back),
        cmocka_unit_test(trees_of_all_sizes_come_back),
        cmocka_unit_test(equal_extents_make_a_tree_too),
        cmocka_unit_test(inline_extents_are_told_alike),
        cmocka_unit_test(the_callers_error_ends_the_walk),
        cmocka_unit_test(each_node_is_told),
        cmocka_unit_test(a_changed_extent_changes_few_nodes),
        cmocka_unit_test(an_inserted_extent_changes_few_nodes),
        cmocka_unit_test(a_tree_of_another_length_than_its_file_is_refused),
        cmocka_unit_test(malformed_nodes_are_no_danger),
        cmocka_unit_test(a_node_that_names_itself_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
