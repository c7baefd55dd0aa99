/*
 * ground: what tests of base, conf and cli share; needs nothing above base.
 */
#ifndef TESTS_SUPPORT_GROUND_H
#define TESTS_SUPPORT_GROUND_H

#include "base/buf.h"
#include "base/err.h"
#include "base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Fails the test with the error's own words. */
#define succeeds(call, e)                                                      \
    do {                                                                       \
        if ((call) < 0)                                                        \
            fail_msg("%s: %s", #call, err_text(e));                            \
    } while (0)

/* The call fails with this kind, and its words contain `part`. */
#define fails(call, e, kind_, part)                                            \
    do {                                                                       \
        *(e) = (struct err){ 0 };                                              \
        assert_int_equal((call), -1);                                          \
        assert_string_equal(err_name((e)->kind), err_name(kind_));             \
        if (!strstr(err_text(e), part))                                        \
            fail_msg("\"%s\" is not in: %s", part, err_text(e));               \
        *(e) = (struct err){ 0 };                                              \
    } while (0)

/* A folder below /tmp that lives as long as the scope. */
struct scratch_dir {
    char path[40];
};

static inline void
scratch_remove(struct scratch_dir *d)
{
    struct err e = { 0 };

    if (fs_remove_tree(d->path, &e) < 0)
        print_error("%s\n", err_text(&e));
}

#define SCRATCH(name)                                                          \
    CLEANUP(scratch_remove) struct scratch_dir name = { "/tmp/drtool-test-XXXXXX" }; \
    assert_non_null(mkdtemp((name).path))

/* The file's contents become `text`; returns its path, which the caller frees. */
static inline char *
scratch_file(const struct scratch_dir *d, const char *name, const char *text)
{
    char *path = fs_join(d->path, name);
    struct err e = { 0 };

    succeeds(fs_replace(path, slice_str(text), 0600, &e), &e);
    return path;
}

#endif
