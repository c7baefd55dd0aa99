/*
 * restore: a whole tree through a source and a place, and the comparison of
 * both sides, as the engine does it but in one simple loop.
 */
#ifndef TESTS_SOURCE_RESTORE_H
#define TESTS_SOURCE_RESTORE_H

#include "source/place.h"
#include "tree.h"

struct issues {
    unsigned count;
    char last[256]; /* "WHAT: WHY" */
};

static inline void
note_issue(void *arg, struct slice path, const char *what, const char *why)
{
    struct issues *i = arg;

    (void)path;
    i->count++;
    snprintf(i->last, sizeof i->last, "%s: %s", what, why);
}

/* Opens the tree's folder as a destination. */
static inline struct place *
place_for(const struct tree *to, struct issues *i, enum owner_mode owner)
{
    struct place_options o = { .owner = owner, .issue = note_issue, .arg = i };
    struct place *p = NULL;
    struct err e = { 0 };

    *i = (struct issues){ 0 };
    assert_int_equal(place_open(to->dir, &o, &p, &e), 0);
    return p;
}

/* A file with that content, at its final name. */
static inline int
put_file(struct place *p, const struct entry *en, const char *text, bool keep,
         struct err *e)
{
    char hidden[32];
    int fd;

    if (place_file_begin(p, en, true, hidden, &fd, e) < 0)
        return -1;
    assert_int_equal(fs_pwrite_all(fd, slice_str(text), 0, e), 0);
    if (place_file_finish(p, en, fd, e) < 0)
        return -1;
    return place_publish(p, en->path, hidden, keep, e);
}

static inline void
restore_file(struct tree *t, struct place *p, struct entry *en)
{
    static uint8_t block[100000];
    char hidden[32];
    uint64_t hole, at = 0;
    size_t got;
    int fd;
    bool changed;

    int rc = en->link_group ? place_link(p, en->link_group, en->path, &t->e) : 0;
    assert_true(rc >= 0);
    if (rc == 1)
        return;
    assert_int_equal(source_read_begin(t->source, en, &t->e), 1);
    assert_int_equal(place_file_begin(p, en, true, hidden, &fd, &t->e), 0);
    do {
        assert_int_equal(source_read(t->source, block, sizeof block, &got, &hole, &t->e),
                         0);
        assert_int_equal(fs_pwrite_all(fd, slice_of(block, got), at, &t->e), 0);
        at += got + hole;
    } while (got > 0 || hole > 0);
    assert_int_equal(source_read_end(t->source, &changed, &t->e), 0);
    assert_int_equal(place_file_finish(p, en, fd, &t->e), 0);
    assert_int_equal(place_publish(p, en->path, hidden, false, &t->e), 0);
    if (en->link_group)
        assert_int_equal(place_link_note(p, en->link_group, en->path, &t->e), 0);
}

/* Brings all of the tree to the place; folders are finished at the end. */
static inline void
restore_all(struct tree *t, struct place *p)
{
    struct entry en;

    tree_open_all(t);
    while (source_next(t->source, &en, &t->e) == 1) {
        assert_int_equal(source_describe(t->source, &en, &t->e), 1);
        if (en.type == ENTRY_DIR)
            assert_int_equal(place_dir(p, &en, &t->e), 0);
        else if (en.type == ENTRY_FILE)
            restore_file(t, p, &en);
        else
            assert_int_equal(place_special(p, &en, &t->e), 0);
    }
    assert_int_equal(place_links_end(p, &t->e), 0);
    tree_open_all(t);
    while (source_next(t->source, &en, &t->e) == 1)
        if (en.type == ENTRY_DIR) {
            assert_int_equal(source_describe(t->source, &en, &t->e), 1);
            assert_int_equal(place_dir_finish(p, &en, &t->e), 0);
        }
    assert_int_equal(place_sync(p, &t->e), 0);
}

static inline void
assert_same_entry(const struct entry *a, const struct entry *b, size_t skip)
{
    assert_true(slice_equal(a->path, slice_sub(b->path, skip, b->path.len - skip)));
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->mode, b->mode);
    assert_int_equal(a->uid, b->uid);
    assert_int_equal(a->gid, b->gid);
    assert_true(a->size == b->size);
    assert_true(a->mtime_s == b->mtime_s);
    assert_int_equal(a->mtime_ns, b->mtime_ns);
    assert_true(a->rdev == b->rdev);
    assert_int_equal(a->link_group != 0, b->link_group != 0);
    assert_true(slice_equal(a->target, b->target));
    assert_true(slice_equal(a->xattrs, b->xattrs));
}

static inline void
assert_same_content(struct tree *t, struct entry *a, struct tree *copy, struct entry *b)
{
    AUTOBUF struct buf one = BUF(64 << 20), two = BUF(64 << 20);
    uint64_t holes, copied;
    bool changed;

    tree_read(t, a, &one, &holes, &changed);
    tree_read(copy, b, &two, &copied, &changed);
    assert_true(slice_equal(buf_slice(&one), buf_slice(&two)));
    assert_true(holes == copied);
}

/* Walks the tree and its copy below `to` side by side. */
static inline void
assert_same(struct tree *t, const struct tree *to)
{
    AUTOFREE char *below = mem_printf("%s%s", to->dir, t->dir);
    struct tree copy = { .issues = { 0 } };
    size_t skip = strlen(to->dir);
    struct entry a, b;

    assert_int_equal(tree_open(&copy, &(struct tree_walk){ .paths = { below } }), 0);
    tree_open_all(t);
    while (source_next(t->source, &a, &t->e) == 1) {
        if (a.flags & ENTRY_ABOVE)
            continue;
        do
            assert_int_equal(source_next(copy.source, &b, &copy.e), 1);
        while (b.flags & ENTRY_ABOVE);
        assert_int_equal(source_describe(t->source, &a, &t->e), 1);
        assert_int_equal(source_describe(copy.source, &b, &copy.e), 1);
        assert_same_entry(&a, &b, skip);
        if (a.type == ENTRY_FILE)
            assert_same_content(t, &a, &copy, &b);
    }
    assert_int_equal(source_next(copy.source, &b, &copy.e), 0);
    source_close(copy.source);
}

#endif
