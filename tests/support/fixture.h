/*
 * fixture: what tests of the upper layers share: a folder of their own, a
 * repository on file:// targets in it, and the sweep of all damages that a
 * parser of something small must refuse.
 */
#ifndef TESTS_SUPPORT_FIXTURE_H
#define TESTS_SUPPORT_FIXTURE_H

#include "base/fs.h"
#include "repo/repo.h"
#include "storage/wrap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Slower builds do less of what only adds certainty. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SCALE(release, sanitized) (sanitized)
#else
#define TEST_SCALE(release, sanitized) (release)
#endif

/* Fails the test with the error's own words. */
#define assert_ok(call, e)                          \
    do {                                            \
        int ok_ = (call);                           \
        if (ok_ < 0)                                \
            fail_msg("%s: %s", #call, err_text(e)); \
    } while (0)

/* A failure of this kind; clears the error. */
#define assert_err(call, e, kind_)                                 \
    do {                                                           \
        *(e) = (struct err){ 0 };                                  \
        assert_int_equal((call), -1);                              \
        assert_string_equal(err_name((e)->kind), err_name(kind_)); \
        *(e) = (struct err){ 0 };                                  \
    } while (0)

/* A folder below /tmp; removed by folder_remove(). */
struct folder {
    char path[40];
};
void folder_make(struct folder *f);
void folder_remove(struct folder *f);
char *folder_path(const struct folder *f, const char *name); /* free it */
/* Writes a file with the folders above it. */
void folder_write(const struct folder *f, const char *name, struct slice data);

#define FOLDER(name)                           \
    CLEANUP(folder_remove) struct folder name; \
    folder_make(&name)

/* Bytes that look random, the same for the same seed. */
void fill_bytes(uint8_t *out, size_t len, uint64_t seed);

/* A way to open an object: 0 when it is believed. */
typedef int open_fn(void *arg, struct slice object, struct err *e);
/* The object opens; with any one bit flipped, or cut at any length, it does
 * not, and the kind is CORRUPT or FORGED. */
void refuse_all_damage(struct slice object, open_fn *open, void *arg);

/* A storage that tells of each call with a key before it is made and, when it
 * succeeded, after; `traits` are those it pretends to have. */
struct hook {
    void (*before)(void *arg, enum fault_call call, const char *key);
    void (*after)(void *arg, enum fault_call call, const char *key);
    void *arg;
    unsigned traits;
};
struct storage *storage_hook(struct storage *inner, const struct hook *h);

/* A repository on `targets` folders t0, t1, ... below `folder`, which is in memory
 * if there is room; the key file and the state lie there too. */
#define SITE_TARGETS_MAX 4
struct site {
    struct folder folder;
    struct conf conf;
    struct conf_target targets[SITE_TARGETS_MAX];
    char code[CODE_TEXT_LEN + 1];
    /* Given to repo_open(), when set. */
    struct storage *(*wrap)(void *arg, const char *target, struct storage *inner);
    void *wrap_arg;
    bool as_found;     /* as verify opens it */
    struct repo *repo; /* of site_open() */
};
void site_make(struct site *s, size_t targets);
void site_open(struct site *s);              /* for writing, lanes not started */
int site_try(struct site *s, struct err *e); /* the same, where it may fail */
void site_open_again(struct site *s);        /* closes first */
void site_close(struct site *s);
void site_remove(struct site *s);
/* A plain storage of target `i`, to look and to meddle; close it. */
struct storage *site_store(const struct site *s, size_t i);
/* How many objects of target `i` begin with `prefix`. */
size_t site_count(const struct site *s, size_t i, const char *prefix);
/* Forgets what this host keeps of checked objects. */
void site_drop_cache(struct site *s);

#define SITE(name, targets_)               \
    CLEANUP(site_remove) struct site name; \
    site_make(&name, targets_)

#endif
