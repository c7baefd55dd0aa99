/*
 * tree: folders to walk for the tests of sources, and what a walk gave.
 *
 * Each test makes its own folder below /tmp and removes it. Some names and
 * attributes need root; a test that cannot run is skipped.
 */
#ifndef TESTS_SOURCE_TREE_H
#define TESTS_SOURCE_TREE_H

#include "base/fs.h"
#include "source/source.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

struct tree {
    char dir[64];
    struct source *source;
    struct err e;
    struct buf seen; /* what tree_list() wrote down */
    unsigned issues[5];
    char issue_path[4096], issue_why[512]; /* the last one */
};

static inline void
tree_issue(void *arg, enum source_issue kind, struct slice path, const char *why)
{
    struct tree *t = arg;

    t->issues[kind]++;
    snprintf(t->issue_path, sizeof t->issue_path, "%.*s",
             path.len < 4000 ? (int)path.len : 4000, (const char *)path.ptr);
    snprintf(t->issue_why, sizeof t->issue_why, "%s", why);
}

static inline void
tree_init(struct tree *t)
{
    *t = (struct tree){ .dir = "/tmp/drtool-test-XXXXXX", .seen = BUF(1 << 26) };
    assert_non_null(mkdtemp(t->dir));
    assert_int_equal(chmod(t->dir, 0755), 0);
}

static inline void
tree_release(struct tree *t)
{
    struct err e = { 0 };

    source_close(t->source);
    buf_release(&t->seen);
    assert_int_equal(fs_remove_tree(t->dir, &e), 0);
}

#define TREE(name)                          \
    CLEANUP(tree_release) struct tree name; \
    tree_init(&name)

/* An absolute path below the tree's folder; a ring of eight. */
static inline const char *
tree_path(const struct tree *t, const char *name)
{
    static char ring[8][512];
    static unsigned next;
    char *out = ring[next++ % 8];

    snprintf(out, sizeof ring[0], "%s/%s", t->dir, name);
    return out;
}

static inline void
tree_folder(const struct tree *t, const char *name)
{
    struct err e = { 0 };

    assert_int_equal(fs_mkdirs(tree_path(t, name), 0755, &e), 0);
}

/* Makes a file with the folders above it. */
static inline void
tree_write(const struct tree *t, const char *name, const char *text)
{
    char *path = mem_strdup(tree_path(t, name));
    char *slash = strrchr(path, '/');
    struct err e = { 0 };

    *slash = 0;
    assert_int_equal(fs_mkdirs(path, 0755, &e), 0);
    *slash = '/';
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(fs_write_all(fd, slice_str(text), &e), 0);
    close(fd);
    mem_free(path);
}

/* What the tests vary of a source of files. */
struct tree_walk {
    const char *paths[8], *exclude[8];
    bool one_file_system, allow_empty;
    size_t names_max;
};

static inline int
tree_open(struct tree *t, const struct tree_walk *how)
{
    static char name[] = "test";
    struct conf_source c = { .name = name, .kind = SOURCE_FILES };
    struct source_options o = {
        .tmp_dir = "/tmp", .issue = tree_issue, .arg = t, .names_max = how->names_max
    };
    char **paths = (char **)(uintptr_t)how->paths;
    char **exclude = (char **)(uintptr_t)how->exclude;

    source_close(TAKE(t->source));
    c.allow_empty = how->allow_empty;
    c.files.paths = paths;
    c.files.exclude = exclude;
    c.files.one_file_system = how->one_file_system;
    return source_open(&c, &o, &t->source, &t->e);
}

/* Whether /tmp keeps extended attributes. To be asked before a tree is made,
 * since a skipped test leaves by a jump. */
static inline bool
tree_keeps_attributes(void)
{
    char path[] = "/tmp/drtool-test-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);

    assert_true(fd >= 0);
    bool kept = fsetxattr(fd, "user.a", "1", 1, 0) == 0;
    close(fd);
    unlink(path);
    return kept;
}

/* Opens a source of the whole tree. */
static inline void
tree_open_all(struct tree *t)
{
    assert_int_equal(tree_open(t, &(struct tree_walk){ .paths = { t->dir } }), 0);
}

/* Goes on to the entry whose path ends in `name`. */
static inline void
tree_find(struct tree *t, const char *name, struct entry *en)
{
    size_t len = strlen(name);

    while (source_next(t->source, en, &t->e) == 1)
        if (en->path.len >= len
            && memcmp(en->path.ptr + en->path.len - len, name, len) == 0)
            return;
    fail_msg("%s is not in the source", name);
}

/* Walks to the end and writes down the paths below the tree's folder, one a
 * line, checking the order. The return is a string in t->seen. */
static inline const char *
tree_list(struct tree *t)
{
    AUTOBUF struct buf last = BUF(1 << 17);
    size_t skip = strlen(t->dir); /* with a slash behind, but none before */
    struct entry en;
    int rc;

    buf_clear(&t->seen);
    while ((rc = source_next(t->source, &en, &t->e)) == 1) {
        assert_true(entry_path_valid(en.path));
        assert_true(last.len == 0 || entry_order(buf_slice(&last), en.path) < 0);
        buf_clear(&last);
        buf_put_slice(&last, en.path);
        if (en.path.len <= skip || (en.flags & ENTRY_ABOVE))
            continue;
        buf_put_slice(&t->seen, slice_sub(en.path, skip, en.path.len - skip));
        buf_put_str(&t->seen, "\n");
    }
    assert_int_equal(rc, 0);
    return buf_cstr(&t->seen);
}

/* The whole content of the current file; holes are read as zeros and counted. */
static inline void
tree_read(struct tree *t, struct entry *en, struct buf *out, uint64_t *holes,
          bool *changed)
{
    uint8_t block[5000];
    size_t got;
    uint64_t hole;

    *holes = 0;
    buf_clear(out);
    assert_int_equal(source_read_begin(t->source, en, &t->e), 1);
    do {
        assert_int_equal(source_read(t->source, block, sizeof block, &got, &hole, &t->e),
                         0);
        buf_put(out, block, got);
        buf_put_zero(out, (size_t)hole);
        *holes += hole;
    } while (got > 0 || hole > 0);
    assert_int_equal(source_read_end(t->source, changed, &t->e), 0);
}

/* Makes `depth` folders named `name` one in the other, below the tree's folder,
 * and removes them; neither needs a long path. */
static inline void
tree_dig(const struct tree *t, const char *name, unsigned depth)
{
    int fd = open(t->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    for (unsigned i = 0; i < depth; i++) {
        assert_int_equal(mkdirat(fd, name, 0755), 0);
        int next = openat(fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(fd);
        fd = next;
    }
    close(fd);
}

static inline void
tree_fill_in(int dir, const char *name)
{
    int up = dup(dir), next;
    unsigned depth = 0;

    while ((next = openat(up, name, O_PATH | O_DIRECTORY | O_CLOEXEC)) >= 0) {
        close(up);
        up = next;
        depth++;
    }
    for (; depth > 0; depth--) {
        next = openat(up, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        close(up);
        up = next;
        assert_int_equal(unlinkat(up, name, AT_REMOVEDIR), 0);
    }
    close(up);
}

#endif
