#include "nodes.h"

/* Entries to be put into manifests; the paths are owned. */
struct entries {
    struct entry *list;
    size_t count, cap;
};

static void
entries_release(struct entries *x)
{
    for (size_t i = 0; i < x->count; i++)
        mem_free((void *)(uintptr_t)x->list[i].path.ptr);
    mem_free(x->list);
}

#define ENTRIES(name) CLEANUP(entries_release) struct entries name = { 0 }

/* A file whose fields all follow from `n`, some of them extreme. */
static struct entry *
add_path(struct entries *x, struct slice path, uint64_t n)
{
    uint8_t *copy = mem_alloc(path.len);

    memcpy(copy, path.ptr, path.len);
    x->list = mem_grow(x->list, &x->cap, x->count + 1, sizeof *x->list);
    struct entry *en = &x->list[x->count++];
    *en = (struct entry){
        .path = slice_of(copy, path.len),
        .type = ENTRY_FILE,
        .mode = (uint32_t)(n * 7) & 07777,
        .uid = n % 5 ? (uint32_t)n % 70000 : UINT32_MAX,
        .gid = (uint32_t)n % 3,
        .user = n % 4 ? SLICE("somebody") : SLICE(""),
        .group = SLICE("staff"),
        .size = n % 11 * 1000,
        .mtime_s = n % 6 ? (int64_t)n * 1000 : -(int64_t)n,
        .mtime_ns = (uint32_t)(n % 1000000000),
        .ctime_s = n % 100 ? (int64_t)n : INT64_MIN,
        .ctime_ns = 999999999,
        .ino = n % 50 ? n : UINT64_MAX,
        .link_group = n % 9 ? 0 : n,
        .extent_count = n % 11 ? 1 : 0,
    };
    if (n % 11) {
        fill_bytes(en->extents[0].id.bytes, 32, n / 50); /* fifty share a bundle */
        en->extents[0].offset = (uint32_t)(n % 50 * 1000);
        en->extents[0].len = en->size;
        fill_bytes(en->content_id, CONTENT_ID_LEN, n);
    }
    return en;
}

static int
by_order(const void *a, const void *b)
{
    return entry_order(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

static void
sort(struct entries *x)
{
    qsort(x->list, x->count, sizeof *x->list, by_order);
}

/* `n` files in folders of a hundred. */
static void
add_tree(struct entries *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        AUTOFREE char *path = mem_printf("srv/data/%03zu/report-%06zu.txt", i / 100, i);
        add_path(x, slice_str(path), i);
    }
    sort(x);
}

static struct manifest_root
write_manifest(struct nodes *n, const struct entries *x)
{
    CLEANUP(manifest_writer_free_p)
    struct manifest_writer *w = manifest_writer_new(n->keys, nodes_store, n);
    struct manifest_root root = { .level = 77 };
    struct err e = { 0 };

    for (size_t i = 0; i < x->count; i++)
        assert_ok(manifest_add(w, &x->list[i], &e), &e);
    assert_ok(manifest_finish(w, &root, &e), &e);
    assert_int_equal(root.entries, x->count);
    return root;
}

/* The same in an order that has nothing to do with that of the paths. */
static struct manifest_root
write_unordered(struct nodes *n, const struct entries *x)
{
    CLEANUP(manifest_writer_free_p)
    struct manifest_writer *w = manifest_writer_new(n->keys, nodes_store, n);
    struct manifest_root root = { .level = 77 };
    struct err e = { 0 };
    size_t step = 7919; /* a prime */

    assert_ok(manifest_writer_sort(w, "/tmp", &e), &e);
    for (size_t i = 0; i < x->count; i++)
        assert_ok(manifest_add(w, &x->list[i * step % x->count], &e), &e);
    assert_err(manifest_add(w, &x->list[0], &e), &e, ERR_EXISTS);
    assert_ok(manifest_finish(w, &root, &e), &e);
    return root;
}

static void
assert_same_entry(const struct entry *a, const struct entry *b)
{
    assert_true(slice_equal(a->path, b->path));
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->mode, b->mode);
    assert_int_equal(a->uid, b->uid);
    assert_int_equal(a->gid, b->gid);
    assert_true(slice_equal(a->user, b->user));
    assert_true(slice_equal(a->group, b->group));
    assert_true(a->size == b->size);
    assert_true(a->mtime_s == b->mtime_s && a->mtime_ns == b->mtime_ns);
    assert_true(a->ctime_s == b->ctime_s && a->ctime_ns == b->ctime_ns);
    assert_true(a->rdev == b->rdev);
    assert_true(a->ino == b->ino);
    assert_true(a->link_group == b->link_group);
    assert_true(slice_equal(a->target, b->target));
    assert_true(slice_equal(a->xattrs, b->xattrs));
    assert_memory_equal(a->content_id, b->content_id, CONTENT_ID_LEN);
    assert_int_equal(a->tree, b->tree);
    assert_int_equal(a->extent_count, b->extent_count);
    for (size_t i = 0; i < a->extent_count; i++) {
        assert_true(chunk_id_equal(&a->extents[i].id, &b->extents[i].id));
        assert_int_equal(a->extents[i].offset, b->extents[i].offset);
        assert_true(a->extents[i].len == b->extents[i].len);
    }
}

/* From here on the reader gives x[from], x[from + 1], ... `many` or to the end. */
static void
assert_reads(struct manifest_reader *r, const struct entries *x, size_t from, size_t many)
{
    struct err e = { 0 };
    struct entry en;

    for (size_t i = from; i < x->count && i - from < many; i++) {
        int rc = manifest_next(r, &en, &e);
        if (rc != 1)
            fail_msg("entry %zu: %d, %s", i, rc, err_text(&e));
        assert_same_entry(&en, &x->list[i]);
    }
    if (x->count - from <= many) {
        assert_int_equal(manifest_next(r, &en, &e), 0);
        assert_int_equal(manifest_next(r, &en, &e), 0); /* and stays there */
    }
}

static void
assert_round_trip(struct nodes *n, const struct entries *x)
{
    struct manifest_root root = write_manifest(n, x);
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *r = manifest_reader_new(&root, nodes_load, n);

    assert_reads(r, x, 0, SIZE_MAX);
}

static void
an_empty_manifest_has_no_entries(void **state)
{
    NODES(n);
    ENTRIES(x);
    struct manifest_root root = write_manifest(&n, &x);
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *r = manifest_reader_new(&root, nodes_load, &n);
    struct err e = { 0 };
    struct entry en;

    (void)state;
    assert_int_equal(root.level, 0);
    assert_int_equal(root.bytes, 0);
    assert_int_equal(manifest_next(r, &en, &e), 0);
    assert_ok(manifest_seek(r, SLICE("a"), &e), &e);
    assert_int_equal(manifest_next(r, &en, &e), 0);
    assert_ok(manifest_skip(r, SLICE("a"), &e), &e);
    assert_int_equal(manifest_next(r, &en, &e), 0);
}

static void
fifty_thousand_entries_come_back_in_order(void **state)
{
    NODES(n);
    ENTRIES(x);
    uint64_t bytes = 0;

    (void)state;
    add_tree(&x, TEST_SCALE(50000, 10000));
    for (size_t i = 0; i < x.count; i++)
        bytes += x.list[i].size;
    struct manifest_root root = write_manifest(&n, &x);
    assert_int_equal(root.bytes, bytes);
    assert_true(root.level >= 1);
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *r = manifest_reader_new(&root, nodes_load, &n);
    assert_reads(r, &x, 0, SIZE_MAX);
    assert_int_equal(n.loaded, n.count); /* each node once */
}

/* The first entry not before the path, for paths that are there and others. */
static void
seeking_finds_what_a_search_of_all_finds(void **state)
{
    NODES(n);
    ENTRIES(x);
    struct err e = { 0 };

    (void)state;
    add_tree(&x, TEST_SCALE(50000, 10000));
    struct manifest_root root = write_manifest(&n, &x);
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *r = manifest_reader_new(&root, nodes_load, &n);
    for (size_t i = 0; i < x.count; i += 997) {
        struct slice path = x.list[i].path;
        assert_ok(manifest_seek(r, path, &e), &e);
        assert_reads(r, &x, i, 3);
        AUTOFREE char *behind = mem_printf("%.*s!", (int)path.len,
                                           (const char *)path.ptr);
        assert_ok(manifest_seek(r, slice_str(behind), &e), &e);
        assert_reads(r, &x, i + 1, 3);
        assert_ok(manifest_seek(r, slice_sub(path, 0, path.len - 5), &e), &e);
        assert_reads(r, &x, i / 10 * 10, 2);
    }
    assert_ok(manifest_seek(r, SLICE(""), &e), &e);
    assert_reads(r, &x, 0, 10);
    assert_ok(manifest_seek(r, SLICE("srv/data/007"), &e), &e);
    assert_reads(r, &x, 700, 10);
    assert_ok(manifest_seek(r, SLICE("srv/data/007/"), &e), &e);
    assert_reads(r, &x, 700, 10);
    assert_ok(manifest_seek(r, SLICE("zzz"), &e), &e);
    assert_reads(r, &x, x.count, 1);
    assert_ok(manifest_seek(r, SLICE("a"), &e), &e); /* and back again */
    assert_reads(r, &x, 0, SIZE_MAX);
}

/* Each first path of a node and its neighbours: the places where one off shows. */
static void
seeking_to_the_edges_of_nodes_works(void **state)
{
    NODES(n);
    ENTRIES(x);
    struct err e = { 0 };
    struct entry en;

    (void)state;
    add_tree(&x, 5000);
    struct manifest_root root = write_manifest(&n, &x);
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *r = manifest_reader_new(&root, nodes_load, &n);
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *walk = manifest_reader_new(&root, nodes_load, &n);
    size_t loads = 0, edges = 0;
    for (size_t i = 0; i < x.count; i++) {
        loads = n.loaded;
        assert_int_equal(manifest_next(walk, &en, &e), 1);
        if (n.loaded == loads)
            continue;
        edges++;
        for (size_t k = i ? i - 1 : 0; k <= i + 1 && k < x.count; k++) {
            assert_ok(manifest_seek(r, x.list[k].path, &e), &e);
            assert_reads(r, &x, k, 3);
        }
    }
    assert_true(edges > 3);
}

static void
skipping_goes_behind_a_folder_and_all_below(void **state)
{
    static const char *const paths[] = { "a",   "a/b", "a/b/c", "a/b.d", "a/c", "a b",
                                         "a-b", "ab",  "b",     "b/x",   "c" };
    static const struct {
        const char *path;
        const char *next;
    } skips[] = {
        { "a", "a b" }, { "a/b", "a/b.d" }, { "a/b/c", "a/b.d" }, { "b", "c" },
        { "ab", "b" },  { "c", NULL },      { "aa", "ab" },       { "0", "a" }
    };
    NODES(n);
    ENTRIES(x);
    struct err e = { 0 };
    struct entry en;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(paths); i++)
        add_path(&x, slice_str(paths[i]), i);
    sort(&x);
    struct manifest_root root = write_manifest(&n, &x);
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *r = manifest_reader_new(&root, nodes_load, &n);
    for (size_t i = 0; i < COUNT_OF(skips); i++) {
        assert_ok(manifest_skip(r, slice_str(skips[i].path), &e), &e);
        assert_int_equal(manifest_next(r, &en, &e), skips[i].next != NULL);
        if (skips[i].next)
            assert_true(slice_equal(en.path, slice_str(skips[i].next)));
    }
}

/* Bytes of all kinds, and names that are the beginnings of others. */
static void
odd_names_survive_front_coding(void **state)
{
    uint8_t byte[3] = { 'x', 0, 'x' };
    NODES(n);
    ENTRIES(x);

    (void)state;
    for (int b = 1; b < 256; b++) {
        byte[1] = (uint8_t)b;
        if (b != '/') {
            add_path(&x, slice_of(byte + 1, b == '.' ? 2 : 1), (uint64_t)b);
            add_path(&x, slice_of(byte, 2), (uint64_t)b + 300);
        }
        add_path(&x, slice_of(byte, 3), (uint64_t)b + 600);
    }
    for (size_t len = 2; len < 3000; len += 13) {
        AUTOFREE uint8_t *path = mem_alloc(len);
        memset(path, 'y', len);
        add_path(&x, slice_of(path, len), len);
    }
    sort(&x);
    assert_round_trip(&n, &x);
}

static void
paths_may_be_as_long_as_the_format_says(void **state)
{
    AUTOFREE uint8_t *path = mem_alloc(ENTRY_PATH_MAX);
    NODES(n);
    ENTRIES(x);
    struct err e = { 0 };

    (void)state;
    memset(path, 'p', ENTRY_PATH_MAX);
    for (size_t i = 0; i < 40; i++) {
        path[i % 2 ? ENTRY_PATH_MAX - 1 : 0] = (uint8_t)('a' + i / 2);
        add_path(&x, slice_of(path, ENTRY_PATH_MAX), i);
    }
    for (size_t i = 2; i < ENTRY_PATH_MAX; i += 2) /* the deepest there is */
        path[i] = '/';
    path[1] = 'q';
    path[ENTRY_PATH_MAX - 1] = 'q';
    add_path(&x, slice_of(path, ENTRY_PATH_MAX), 100);
    sort(&x);
    struct manifest_root root = write_manifest(&n, &x);
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *r = manifest_reader_new(&root, nodes_load, &n);
    assert_reads(r, &x, 0, SIZE_MAX);
    for (size_t i = 0; i + 1 < x.count; i += 5) {
        assert_ok(manifest_seek(r, x.list[i].path, &e), &e);
        assert_reads(r, &x, i, 2);
        assert_ok(manifest_skip(r, x.list[i].path, &e), &e);
        assert_reads(r, &x, i + 1, 2);
    }
}

static void
every_type_of_entry_comes_back(void **state)
{
    NODES(n);
    ENTRIES(x);
    struct entry *en;

    (void)state;
    add_path(&x, SLICE("1"), 1)->type = ENTRY_DIR;
    en = add_path(&x, SLICE("2"), 2);
    en->type = ENTRY_LINK;
    en->target = SLICE("../somewhere \xff else");
    add_path(&x, SLICE("3"), 3)->type = ENTRY_FIFO;
    en = add_path(&x, SLICE("4"), 4);
    en->type = ENTRY_CHAR;
    en->rdev = UINT64_MAX;
    en = add_path(&x, SLICE("5"), 5);
    en->type = ENTRY_BLOCK;
    en->rdev = 0x801;
    for (size_t i = 0; i < x.count; i++) { /* only files have content */
        en = &x.list[i];
        en->size = 0;
        en->extent_count = 0;
        memset(en->extents, 0, sizeof en->extents);
        memset(en->content_id, 0, sizeof en->content_id);
    }
    en = add_path(&x, SLICE("6"), 11); /* an empty file */
    en->flags = ENTRY_CHANGED | ENTRY_ABOVE;
    en = add_path(&x, SLICE("7"), 6);
    en->tree = true;
    en->size = en->extents[0].len = UINT64_MAX;
    en->extents[0].offset = 0;
    en = add_path(&x, SLICE("8"), 7); /* all extents there may be, some holes */
    en->extent_count = ENTRY_EXTENTS_MAX;
    en->size = 0;
    for (size_t i = 0; i < ENTRY_EXTENTS_MAX; i++) {
        en->extents[i] = (struct extent){ .len = 1000 + i };
        if (i % 3)
            fill_bytes(en->extents[i].id.bytes, 32, i / 2);
        en->size += 1000 + i;
    }
    assert_round_trip(&n, &x);
}

static void
attributes_come_back_whether_small_or_big(void **state)
{
    static const size_t lengths[] = { 1,
                                      100,
                                      XATTRS_INLINE - 20,
                                      XATTRS_INLINE,
                                      XATTRS_INLINE + 1,
                                      65536,
                                      ENTRY_XATTR_MAX };
    struct buf values[COUNT_OF(lengths)];
    NODES(n);
    ENTRIES(x);
    size_t apart = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        AUTOFREE char *path = mem_printf("%zu", i);
        values[i] = BUF(ENTRY_XATTR_MAX);
        memset(buf_room(&values[i], lengths[i]), (int)i, lengths[i]);
        values[i].len = lengths[i];
        add_path(&x, slice_str(path), i)->xattrs = buf_slice(&values[i]);
        AUTOFREE char *plain = mem_printf("%zu-plain", i);
        add_path(&x, slice_str(plain), i);
        apart += lengths[i] > XATTRS_INLINE;
    }
    sort(&x);
    assert_round_trip(&n, &x);
    for (size_t i = 0; i < n.count; i++)
        apart -= n.list[i].kind == KIND_XATTRS;
    assert_int_equal(apart, 0);
    for (size_t i = 0; i < COUNT_OF(lengths); i++)
        buf_release(&values[i]);
}

/* A leaf must not grow over NODE_MAX even of entries that are all large. */
static void
large_entries_stay_within_a_node(void **state)
{
    AUTOFREE uint8_t *value = mem_zalloc(XATTRS_INLINE);
    NODES(n);
    ENTRIES(x);

    (void)state;
    for (size_t i = 0; i < 2000; i++) {
        AUTOFREE char *path = mem_printf("%0*zu", 2000, i);
        add_path(&x, slice_str(path), i)->xattrs = slice_of(value, XATTRS_INLINE);
    }
    sort(&x);
    assert_round_trip(&n, &x);
}

/* One entry more, less or changed costs a node per level, and few of them. */
static void
a_change_of_one_entry_changes_few_nodes(void **state)
{
    NODES(n);
    ENTRIES(x);

    (void)state;
    add_tree(&x, TEST_SCALE(50000, 10000));
    struct manifest_root root = write_manifest(&n, &x);
    size_t all = n.count, most = 3 * (root.level + 1u);
    assert_true(all > 10);
    for (size_t at = 0; at < x.count; at += x.count / 9) {
        struct entry kept = x.list[at];
        nodes_mark(&n);
        x.list[at].mtime_s++;
        (void)write_manifest(&n, &x);
        assert_in_range(nodes_fresh(&n), 1, most);
        x.list[at] = kept;
        nodes_mark(&n); /* removed */
        memmove(x.list + at, x.list + at + 1, (x.count - at - 1) * sizeof kept);
        x.count--;
        (void)write_manifest(&n, &x);
        assert_in_range(nodes_fresh(&n), 1, most);
        memmove(x.list + at + 1, x.list + at, (x.count - at) * sizeof kept);
        x.list[at] = kept;
        x.count++;
        nodes_mark(&n); /* added */
        AUTOFREE char *path = mem_printf("%.*s.bak", (int)kept.path.len,
                                         (const char *)kept.path.ptr);
        struct entry *more = add_path(&x, slice_str(path), 12345);
        sort(&x);
        (void)write_manifest(&n, &x);
        assert_in_range(nodes_fresh(&n), 1, most);
        more = bsearch(&(struct entry){ .path = slice_str(path) }, x.list, x.count,
                       sizeof *x.list, by_order);
        assert_non_null(more);
        mem_free((void *)(uintptr_t)more->path.ptr);
        size_t i = (size_t)(more - x.list);
        memmove(more, more + 1, (x.count - i - 1) * sizeof *more);
        x.count--;
    }
    nodes_mark(&n);
    struct manifest_root again = write_manifest(&n, &x);
    assert_int_equal(nodes_fresh(&n), 0);
    assert_true(chunk_id_equal(&again.id, &root.id));
}

/* Nodes are authenticated, but a writer may lie: whatever the bytes are,
 * reading ends with an error or with entries that are well-formed. */
static void
read_lies(struct nodes *n, const struct manifest_root *root, struct slice lied)
{
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *r = manifest_reader_new(root, nodes_load, n);
    struct err e = { 0 };
    struct entry en;
    int rc;

    n->lied = lied;
    while ((rc = manifest_next(r, &en, &e)) == 1) {
        assert_true(entry_path_valid(en.path));
        assert_in_range(en.type, ENTRY_FILE, ENTRY_BLOCK);
        assert_in_range(en.extent_count, 0, ENTRY_EXTENTS_MAX);
    }
    if (rc < 0)
        assert_true(e.kind == ERR_CORRUPT || e.kind == ERR_NOT_FOUND);
}

static void
lie_about(struct nodes *n, const struct manifest_root *root, struct node *node,
          size_t step)
{
    size_t len = node->bytes.len;
    AUTOFREE uint8_t *copy = mem_alloc(len);

    n->lie = node;
    memcpy(copy, node->bytes.ptr, len);
    for (size_t i = 0; i < len; i += i < 400 ? TEST_SCALE(1, 4) : step)
        for (int bit = 0; bit < 8; bit++) {
            copy[i] ^= (uint8_t)(1 << bit);
            read_lies(n, root, slice_of(copy, len));
            copy[i] ^= (uint8_t)(1 << bit);
        }
    for (size_t cut = 0; cut < len; cut += cut < 400 ? TEST_SCALE(1, 4) : step) {
        AUTOFREE uint8_t *exact = mem_alloc(cut + !cut);
        memcpy(exact, node->bytes.ptr, cut);
        read_lies(n, root, slice_of(exact, cut));
    }
    n->lie = NULL;
}

/* What two manifests differ in: entries that only one has, or that have another time. */
struct differences {
    size_t only_a, only_b, changed;
};

/* By a walk of both in step that passes by what they share. */
static struct differences
walk_both(struct nodes *n, const struct manifest_root *a, const struct manifest_root *b)
{
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *ra = manifest_reader_new(a, nodes_load, n);
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *rb = manifest_reader_new(b, nodes_load, n);
    struct differences d = { 0 };
    struct err e = { 0 };
    struct entry x, y;
    int have_x = manifest_next(ra, &x, &e), have_y = manifest_next(rb, &y, &e);

    while (have_x == 1 || have_y == 1) {
        int order = !have_x ? 1 : !have_y ? -1 : entry_order(x.path, y.path);
        d.only_a += order < 0;
        d.only_b += order > 0;
        d.changed += order == 0 && x.mtime_s != y.mtime_s;
        if (order == 0)
            assert_ok(manifest_skip_same(ra, rb, &e), &e);
        if (order <= 0)
            have_x = manifest_next(ra, &x, &e);
        if (order >= 0)
            have_y = manifest_next(rb, &y, &e);
    }
    assert_int_equal(have_x, 0);
    assert_int_equal(have_y, 0);
    return d;
}

/* A copy of `x` in which one entry of `odds` is gone or has another time, from the
 * entry `from` on. */
static struct manifest_root
write_other(struct nodes *n, const struct entries *x, size_t from, uint32_t odds,
            struct random *chance, struct differences *d)
{
    AUTOFREE struct entry *list = mem_alloc(x->count * sizeof *list);
    struct entries y = { .list = list };

    *d = (struct differences){ 0 };
    for (size_t i = 0; i < x->count; i++) {
        uint32_t what = i < from ? 2 : random_below(chance, 2 * odds);
        d->only_a += what == 0;
        d->changed += what == 1;
        if (what == 0)
            continue;
        list[y.count] = x->list[i];
        list[y.count++].mtime_s += what == 1;
    }
    return write_manifest(n, &y);
}

static void
walking_in_step_misses_no_difference(void **state)
{
    NODES(n);
    ENTRIES(x);
    struct random chance = { .seed = 5 };

    (void)state;
    add_tree(&x, 5000);
    struct manifest_root a = write_manifest(&n, &x);
    for (uint32_t round = 0; round < TEST_SCALE(120, 20); round++) {
        struct differences want, have;
        struct manifest_root b = write_other(&n, &x, random_below(&chance, 5000),
                                             1 + random_below(&chance, 3000), &chance,
                                             &want);
        have = walk_both(&n, &a, &b);
        assert_int_equal(have.only_a, want.only_a);
        assert_int_equal(have.changed, want.changed);
        assert_int_equal(have.only_b, 0);
        have = walk_both(&n, &b, &a);
        assert_int_equal(have.only_b, want.only_a);
        assert_int_equal(have.changed, want.changed);
        assert_int_equal(have.only_a, 0);
    }
}

/* Trees of different heights have nodes in common, too. */
static void
walking_in_step_loads_what_differs_and_little_else(void **state)
{
    NODES(n);
    ENTRIES(x);

    (void)state;
    add_tree(&x, TEST_SCALE(150000, 50000));
    struct manifest_root a = write_manifest(&n, &x);
    assert_true(n.count > 40);
    x.list[x.count / 2].mtime_s++;
    struct manifest_root b = write_manifest(&n, &x);
    struct entries few = { .list = x.list, .count = 5000 };
    struct manifest_root c = write_manifest(&n, &few);
    assert_true(c.level <= a.level);
    n.loaded = 0;
    assert_int_equal(walk_both(&n, &a, &b).changed, 1);
    assert_in_range(n.loaded, 1, 20);
    assert_int_equal(walk_both(&n, &c, &a).only_b, x.count - few.count);
}

static void
malformed_nodes_are_no_danger(void **state)
{
    NODES(n);
    ENTRIES(x);

    (void)state;
    add_tree(&x, 20);
    add_path(&x, SLICE("zz/link"), 0)->type = ENTRY_LINK;
    x.list[x.count - 1].target = SLICE("target");
    add_path(&x, SLICE("zz/y"), 1)->xattrs = SLICE("\x06user.a\x01z");
    sort(&x);
    struct manifest_root root = write_manifest(&n, &x);
    assert_int_equal(root.level, 0);
    lie_about(&n, &root, nodes_find(&n, &root.id), 1);
}

static void
malformed_inner_nodes_are_no_danger(void **state)
{
    NODES(n);
    ENTRIES(x);

    (void)state;
    add_tree(&x, 1500);
    struct manifest_root root = write_manifest(&n, &x);
    assert_true(root.level >= 1);
    lie_about(&n, &root, nodes_find(&n, &root.id), TEST_SCALE(37, 211));
    for (unsigned level = 0; level < 256; level++) {
        struct manifest_root wrong = root;
        if (level == root.level)
            continue;
        wrong.level = (uint8_t)level;
        CLEANUP(manifest_reader_free_p)
        struct manifest_reader *r = manifest_reader_new(&wrong, nodes_load, &n);
        struct entry en;
        struct err e;
        assert_err(manifest_next(r, &en, &e), &e, ERR_CORRUPT);
    }
}

static void
a_missing_node_is_an_error_and_not_the_end(void **state)
{
    NODES(n);
    ENTRIES(x);
    struct err e = { 0 };
    struct entry en;
    int rc;

    (void)state;
    add_tree(&x, 3000);
    struct manifest_root root = write_manifest(&n, &x);
    for (size_t i = 0; i < n.count; i++) {
        CLEANUP(manifest_reader_free_p)
        struct manifest_reader *r = manifest_reader_new(&root, nodes_load, &n);
        enum chunk_kind kind = n.list[i].kind;
        n.list[i].kind = KIND_CONFIG;
        while ((rc = manifest_next(r, &en, &e)) == 1)
            continue;
        assert_int_equal(rc, -1);
        n.list[i].kind = kind;
    }
}

static int
store_fails(void *arg, enum chunk_kind kind, struct slice plain, struct chunk_id *id,
            struct err *e)
{
    struct nodes *n = arg;

    if (n->stored == 3)
        return err_set(e, ERR_FULL, 0, "no room");
    return nodes_store(arg, kind, plain, id, e);
}

static void
a_node_that_cannot_be_stored_ends_the_writing(void **state)
{
    NODES(n);
    ENTRIES(x);
    CLEANUP(manifest_writer_free_p)
    struct manifest_writer *w = manifest_writer_new(n.keys, store_fails, &n);
    struct err e = { 0 };
    size_t i = 0;

    (void)state;
    add_tree(&x, 5000);
    while (i < x.count && manifest_add(w, &x.list[i], &e) == 0)
        i++;
    assert_true(i < x.count);
    assert_int_equal(e.kind, ERR_FULL);
}

/* Slashes come first, whatever stands beside them; attributes of any size come along. */
static void
entries_in_any_order_make_the_same_manifest(void **state)
{
    static const char *const odd[] = { "a",   "a/b",   "a/b/c", "a-b",
                                       "a b", "a\x01", "a0",    "\xff\xff" };
    AUTOBUF struct buf xattrs = BUF(ENTRY_XATTR_MAX);
    static uint8_t big[50000];
    ENTRIES(x);
    NODES(n);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(odd); i++)
        add_path(&x, slice_str(odd[i]), i);
    fill_bytes(big, sizeof big, 1);
    entry_xattr_put(&xattrs, SLICE("user.big"), slice_of(big, sizeof big));
    x.list[3].xattrs = buf_slice(&xattrs);
    add_tree(&x, 20000);
    struct manifest_root a = write_manifest(&n, &x), b = write_unordered(&n, &x);
    assert_true(chunk_id_equal(&a.id, &b.id));
    assert_int_equal(a.entries, b.entries);
    assert_int_equal(a.bytes, b.bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_in_any_order_make_the_same_manifest),
        cmocka_unit_test(an_empty_manifest_has_no_entries),
        cmocka_unit_test(fifty_thousand_entries_come_back_in_order),
        cmocka_unit_test(seeking_finds_what_a_search_of_all_finds),
        cmocka_unit_test(seeking_to_the_edges_of_nodes_works),
        cmocka_unit_test(skipping_goes_behind_a_folder_and_all_below),
        cmocka_unit_test(odd_names_survive_front_coding),
        cmocka_unit_test(paths_may_be_as_long_as_the_format_says),
        cmocka_unit_test(every_type_of_entry_comes_back),
        cmocka_unit_test(attributes_come_back_whether_small_or_big),
        cmocka_unit_test(large_entries_stay_within_a_node),
        cmocka_unit_test(a_change_of_one_entry_changes_few_nodes),
        cmocka_unit_test(walking_in_step_misses_no_difference),
        cmocka_unit_test(walking_in_step_loads_what_differs_and_little_else),
        cmocka_unit_test(malformed_nodes_are_no_danger),
        cmocka_unit_test(malformed_inner_nodes_are_no_danger),
        cmocka_unit_test(a_missing_node_is_an_error_and_not_the_end),
        cmocka_unit_test(a_node_that_cannot_be_stored_ends_the_writing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
