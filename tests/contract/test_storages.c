/*
 * One contract for every storage. It runs on memory, a folder and each
 * wrapper, and on every S3 server that the environment names: DRTOOL_TEST_S3
 * holds lines "endpoint=… region=… access_key=… secret_key=… bucket=…".
 */
#include "storage/storage.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/random.h"
#include "storage/dir.h"
#include "storage/mem.h"
#include "storage/s3.h"
#include "storage/wrap.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define THREADS 8
#define MANY 1100 /* keys: more than a page of an S3 listing */
#define MIB ((size_t)1 << 20)

/* An S3 server of the environment, or nothing. */
struct server {
    char endpoint[256], region[64], access_key[128], secret_key[128], bucket[128];
};

static struct server server;
static char folder[64];
static struct storage *s; /* under test, empty at the start of each test */

#define ok(call)                                                               \
    do {                                                                       \
        struct err e = { 0 };                                                  \
        if ((call) < 0)                                                        \
            fail_msg("%s: %s", #call, err_text(&e));                           \
    } while (0)

#define fails(wanted, call)                                                    \
    do {                                                                       \
        struct err e = { 0 };                                                  \
        assert_int_equal((call), -1);                                          \
        if (e.kind != (wanted))                                                \
            fail_msg("%s: %s (%s)", #call, err_name(e.kind), err_text(&e));    \
        assert_true(e.text[0] != 0);                                           \
    } while (0)

static int
put_in(struct storage *to, const char *key, struct slice data, unsigned flags,
       struct err *e)
{
    struct body b = body_of(data);

    return storage_put(to, key, &b, flags, e);
}

#define put(key, text, flags) put_in(s, key, slice_str(text), flags, &e)

static int
get_in(struct storage *from, const char *key, uint64_t offset, uint64_t len,
       struct buf *out, struct err *e)
{
    struct range r = { .key = key, .offset = offset, .len = len };

    return storage_get(from, &r, out, e);
}

#define get(key, offset, len, out) get_in(s, key, offset, len, out, &e)

static void
assert_holds(const char *key, const char *text)
{
    AUTOBUF struct buf out = BUF(MIB);

    ok(get(key, 0, 0, &out));
    assert_int_equal(out.len, strlen(text));
    assert_memory_equal(buf_cstr(&out), text, out.len);
}

/* Keys of a listing, one a line. */
static int
note_key(void *arg, const struct object_info *o, struct err *e)
{
    (void)e;
    buf_printf(arg, "%s\n", o->key);
    return 0;
}

static void
assert_lists(const char *prefix, const char *after, const char *want)
{
    AUTOBUF struct buf out = BUF(4 * MIB);

    ok(storage_list_after(s, prefix, after, note_key, &out, &e));
    assert_string_equal(buf_cstr(&out), want);
}

struct keys {
    char **at;
    size_t count, cap;
};

static int
collect(void *arg, const struct object_info *o, struct err *e)
{
    struct keys *k = arg;

    (void)e;
    k->at = mem_grow(k->at, &k->cap, k->count + 1, sizeof *k->at);
    k->at[k->count++] = mem_strdup(o->key);
    return 0;
}

static int
empty(void **state)
{
    struct keys k = { 0 };

    (void)state;
    ok(storage_list(s, "", collect, &k, &e));
    ok(storage_remove(s, (const char *const *)k.at, k.count, &e));
    for (size_t i = 0; i < k.count; i++)
        mem_free(k.at[i]);
    mem_free(k.at);
    return 0;
}

static void
what_was_put_is_got(void **state)
{
    (void)state;
    ok(put("pack/4f/4f02", "some bytes", 0));
    assert_holds("pack/4f/4f02", "some bytes");
}

static void
an_object_of_no_bytes_is_an_object(void **state)
{
    struct object_info o;

    (void)state;
    ok(put("nothing", "", 0));
    assert_holds("nothing", "");
    ok(storage_head(s, "nothing", &o, &e));
    assert_int_equal(o.size, 0);
    assert_lists("", "", "nothing\n");
}

static void
a_get_appends_and_a_failed_one_leaves_no_trace(void **state)
{
    AUTOBUF struct buf out = BUF(64);

    (void)state;
    ok(put("o", "12345", 0));
    buf_put_str(&out, "x");
    ok(get("o", 0, 0, &out));
    assert_string_equal(buf_cstr(&out), "x12345");
    fails(ERR_NOT_FOUND, get("p", 0, 0, &out));
    fails(ERR_CORRUPT, get("o", 0, 9, &out));
    assert_string_equal(buf_cstr(&out), "x12345");
}

static void
ranges_are_exact(void **state)
{
    static const struct {
        uint64_t offset, len;
        const char *want;
    } cases[] = { { 0, 1, "0" }, { 0, 10, "0123456789" }, { 3, 4, "3456" }, { 9, 1, "9" },
                  { 4, 0, "456789" }, { 10, 0, "" } };

    (void)state;
    ok(put("o", "0123456789", 0));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTOBUF struct buf out = BUF(64);
        ok(get("o", cases[i].offset, cases[i].len, &out));
        assert_string_equal(buf_cstr(&out), cases[i].want);
    }
}

static void
a_range_past_the_end_is_damage(void **state)
{
    AUTOBUF struct buf out = BUF(64);

    (void)state;
    ok(put("o", "0123456789", 0));
    fails(ERR_CORRUPT, get("o", 0, 11, &out));
    fails(ERR_CORRUPT, get("o", 9, 2, &out));
    fails(ERR_CORRUPT, get("o", 10, 1, &out));
    fails(ERR_CORRUPT, get("o", 11, 0, &out));
    fails(ERR_CORRUPT, get("o", 1000, 1000, &out));
    assert_int_equal(out.len, 0);
}

static void
an_object_larger_than_the_room_for_it_is_damage(void **state)
{
    AUTOBUF struct buf out = BUF(9);

    (void)state;
    ok(put("o", "0123456789", 0));
    fails(ERR_CORRUPT, get("o", 0, 0, &out));
    assert_int_equal(out.len, 0);
}

static void
an_overwrite_replaces(void **state)
{
    (void)state;
    ok(put("a/b", "first, which is longer", 0));
    ok(put("a/b", "second", 0));
    assert_holds("a/b", "second");
    assert_lists("", "", "a/b\n");
}

/* A missing thing, damage and unreachability are never the same kind. */
static void
what_is_absent_is_not_found(void **state)
{
    AUTOBUF struct buf out = BUF(64);
    struct object_info o;

    (void)state;
    ok(put("a/b", "x", 0));
    fails(ERR_NOT_FOUND, get("a/c", 0, 0, &out));
    fails(ERR_NOT_FOUND, get("a", 0, 0, &out));
    fails(ERR_NOT_FOUND, get("a/b/c", 3, 4, &out));
    fails(ERR_NOT_FOUND, storage_head(s, "a/c", &o, &e));
    fails(ERR_NOT_FOUND, storage_head(s, "a", &o, &e));
}

static void
removing_takes_the_named_and_no_other(void **state)
{
    const char *const keys[] = { "a/1", "absent", "b/2", "a/absent/deep" };
    AUTOBUF struct buf out = BUF(64);

    (void)state;
    ok(put("a/1", "x", 0));
    ok(put("a/2", "x", 0));
    ok(put("b/2", "x", 0));
    ok(storage_remove(s, keys, COUNT_OF(keys), &e));
    assert_lists("", "", "a/2\n");
    fails(ERR_NOT_FOUND, get("a/1", 0, 0, &out));
}

static void
removing_what_is_absent_succeeds(void **state)
{
    const char *const key = "never/was/here";

    (void)state;
    ok(storage_remove(s, &key, 1, &e));
    ok(storage_remove(s, &key, 1, &e));
    ok(storage_remove(s, NULL, 0, &e));
}

/* A folder's tree walked name by name would give another order than this. */
static void
a_listing_is_in_the_order_of_the_bytes_of_whole_keys(void **state)
{
    static const char *const keys[] = { "a0", "a/c", "a-b", "a.b", "a_b", "aa", "a/b/z",
                                        "a/b-z", "z", "0" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        ok(put(keys[i], "x", 0));
    assert_lists("", "", "0\na-b\na.b\na/b-z\na/b/z\na/c\na0\na_b\naa\nz\n");
    assert_lists("a/", "", "a/b-z\na/b/z\na/c\n");
    assert_lists("", "a/b-z", "a/b/z\na/c\na0\na_b\naa\nz\n");
    assert_lists("", "a/b0", "a/c\na0\na_b\naa\nz\n");
    assert_lists("a", "a/c", "a0\na_b\naa\n");
}

static void
a_prefix_may_end_anywhere(void **state)
{
    (void)state;
    ok(put("pack/4f/4f02", "x", 0));
    ok(put("pack/4f/4f11", "x", 0));
    ok(put("pack/50/5001", "x", 0));
    ok(put("packs", "x", 0));
    assert_lists("pack", "", "pack/4f/4f02\npack/4f/4f11\npack/50/5001\npacks\n");
    assert_lists("pack/", "", "pack/4f/4f02\npack/4f/4f11\npack/50/5001\n");
    assert_lists("pack/4", "", "pack/4f/4f02\npack/4f/4f11\n");
    assert_lists("pack/4f/4f1", "", "pack/4f/4f11\n");
    assert_lists("pack/4f/4f11", "", "pack/4f/4f11\n");
    assert_lists("pack/4f/4f11x", "", "");
    assert_lists("nothing/like/it", "", "");
    assert_lists("packs/", "", "");
}

static void
every_valid_key_works(void **state)
{
    char longest[STORAGE_KEY_MAX + 1], deep[STORAGE_KEY_MAX + 1];
    const char *const keys[] = { "0", "_", "-", "a..b", "a.", "-a-/_b_/c.d.e", "drt.repo",
                                 longest, deep };

    (void)state;
    memset(longest, 'k', STORAGE_KEY_MAX);
    longest[STORAGE_KEY_MAX] = 0;
    for (size_t i = 0; i < STORAGE_KEY_MAX; i++)
        deep[i] = i % 2 ? '/' : 'd';
    deep[STORAGE_KEY_MAX - 1] = 0;
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        assert_true(storage_key_valid(keys[i]));
        ok(put(keys[i], keys[i], 0));
    }
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        assert_holds(keys[i], keys[i]);
}

static void
head_tells_size_and_time_and_a_hash_only_if_it_is_the_stores_own(void **state)
{
    struct body b = body_of(SLICE("0123456789"));
    struct object_info o;
    int64_t now_s;

    (void)state;
    ok(storage_put(s, "o", &b, 0, &e));
    ok(storage_now(s, &now_s, &e));
    ok(storage_head(s, "o", &o, &e));
    assert_int_equal(o.size, 10);
    assert_true(o.mtime_s >= now_s - 60 && o.mtime_s <= now_s + 60);
    if (o.attested)
        assert_memory_equal(o.sha256, b.sha256, sizeof o.sha256);
}

static int
check_listed(void *arg, const struct object_info *o, struct err *e)
{
    int64_t now_s = *(int64_t *)arg;

    (void)e;
    assert_int_equal(o->size, 10);
    assert_true(o->mtime_s >= now_s - 60 && o->mtime_s <= now_s + 60);
    assert_non_null(o->version);
    return 0;
}

static void
a_listing_tells_size_and_time(void **state)
{
    int64_t now_s;

    (void)state;
    ok(put("o", "0123456789", 0));
    ok(storage_now(s, &now_s, &e));
    ok(storage_list(s, "", check_listed, &now_s, &e));
}

static void
if_absent_keeps_what_is_there(void **state)
{
    (void)state;
    if (!(storage_traits(s) & STORAGE_IF_ABSENT))
        skip();
    ok(put("drt.repo", "first", PUT_IF_ABSENT));
    fails(ERR_EXISTS, put("drt.repo", "second", PUT_IF_ABSENT));
    assert_holds("drt.repo", "first");
}

/* What the callback asks for must not wait for the listing to end. */
static int
get_and_remove(void *arg, const struct object_info *o, struct err *e)
{
    AUTOBUF struct buf out = BUF(64);
    size_t *count = arg;

    ++*count;
    if (get_in(s, o->key, 0, 0, &out, e) < 0)
        return -1;
    return storage_remove(s, &o->key, 1, e);
}

static void
a_listing_allows_other_calls_meanwhile(void **state)
{
    size_t count = 0;

    (void)state;
    ok(put("o", "x", 0));
    ok(put("b/c", "x", 0));
    ok(put("b/d", "x", 0));
    ok(storage_list(s, "", get_and_remove, &count, &e));
    assert_int_equal(count, 3);
    assert_lists("", "", "");
}

static int
stop_at_second(void *arg, const struct object_info *o, struct err *e)
{
    size_t *count = arg;

    if (++*count < 2)
        return 0;
    return err_set(e, ERR_UNAVAIL, 7, "seen %s", o->key);
}

/* Its error comes through as it is, and a wrapper does not repeat it. */
static void
a_callback_may_stop_the_listing(void **state)
{
    struct err why = { 0 };
    size_t count = 0;

    (void)state;
    ok(put("o", "x", 0));
    ok(put("p", "x", 0));
    ok(put("q", "x", 0));
    assert_int_equal(storage_list(s, "", stop_at_second, &count, &why), -1);
    assert_int_equal(count, 2);
    assert_int_equal(why.cause, 7);
    assert_string_equal(why.text, "seen p");
}

/* A spool that rots between hashing and sending must not be delivered. */
static void
a_body_with_another_hash_is_not_stored(void **state)
{
    struct body b = body_of(SLICE("0123456789"));

    (void)state;
    ok(put("o", "good", 0));
    b.data = SLICE("0123456x89");
    fails(ERR_CORRUPT, storage_put(s, "o", &b, 0, &e));
    fails(ERR_CORRUPT, storage_put(s, "p", &b, 0, &e));
    assert_holds("o", "good");
    assert_lists("", "", "o\n");
}

static int
temp_file(void)
{
    char path[] = "/tmp/drtool-body-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

/* Bytes that differ everywhere, the same for the same `seed`. */
static void
fill(uint8_t *p, size_t len, uint64_t seed)
{
    struct random r = { .seed = seed };

    random_bytes(&r, p, len);
}

static void
sixty_four_mebibytes_come_from_a_file(void **state)
{
    AUTOBUF struct buf out = BUF(64 * MIB);
    AUTOFREE uint8_t *data = mem_alloc(64 * MIB);
    AUTOCLOSE int fd = temp_file();
    struct body b;

    (void)state;
    fill(data, 64 * MIB, 42);
    b = body_of(slice_of(data, 64 * MIB));
    ok(fs_write_all(fd, b.data, &e));
    ok(fs_write_all(fd, SLICE("more than is to be sent"), &e));
    b.data = (struct slice){ 0 };
    b.fd = fd;
    ok(storage_put(s, "pack/ab/abcd", &b, 0, &e));
    ok(get("pack/ab/abcd", 0, 0, &out));
    assert_int_equal(out.len, 64 * MIB);
    assert_true(memcmp(out.ptr, data, out.len) == 0);
    buf_clear(&out);
    ok(get("pack/ab/abcd", 33 * MIB + 7, 12345, &out));
    assert_memory_equal(out.ptr, data + 33 * MIB + 7, 12345);
}

static void
a_file_that_ends_too_early_is_not_stored(void **state)
{
    AUTOCLOSE int fd = temp_file();
    struct body b = body_of(SLICE("0123456789"));

    (void)state;
    ok(fs_write_all(fd, SLICE("01234"), &e));
    b.data = (struct slice){ 0 };
    b.fd = fd;
    fails(ERR_CORRUPT, storage_put(s, "o", &b, 0, &e));
    assert_lists("", "", "");
}

static int
get_until(const atomic_bool *stop, struct pace *pace, struct buf *out, struct err *e)
{
    struct range r = { .key = "pack/ab/abcd", .pace = pace, .stop = stop };

    return storage_get(s, &r, out, e);
}

static void
what_is_no_longer_wanted_is_not_got(void **state)
{
    AUTOBUF struct buf out = BUF(64);
    atomic_bool stop = true;

    (void)state;
    ok(put("pack/ab/abcd", "some bytes", 0));
    buf_put_str(&out, "x");
    fails(ERR_CANCELLED, get_until(&stop, NULL, &out, &e));
    assert_string_equal(buf_cstr(&out), "x");
    stop = false;
    ok(get_until(&stop, NULL, &out, &e));
    assert_string_equal(buf_cstr(&out), "xsome bytes");
}

static void *
stop_soon(void *arg)
{
    clock_sleep_ms(100);
    atomic_store((atomic_bool *)arg, true);
    return NULL;
}

/* At its pace the get would last 250 seconds. */
static void
a_get_on_its_way_ends_when_it_is_no_longer_wanted(void **state)
{
    static const struct pace_hours slow = { .rate = 4096 };
    CLEANUP(pace_free_p) struct pace *pace = pace_new(&slow, 1);
    AUTOFREE uint8_t *data = mem_zalloc(MIB);
    AUTOBUF struct buf out = BUF(MIB + 1);
    atomic_bool stop = false;
    int64_t began_ms = clock_mono_ms();
    pthread_t thread;

    (void)state;
    ok(put_in(s, "pack/ab/abcd", slice_of(data, MIB), 0, &e));
    buf_put_str(&out, "x");
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, &stop), 0);
    fails(ERR_CANCELLED, get_until(&stop, pace, &out, &e));
    pthread_join(thread, NULL);
    assert_int_equal(out.len, 1);
    assert_true(clock_mono_ms() - began_ms < 60000);
}

struct worker {
    pthread_t thread;
    unsigned number;
    bool won;
    struct err e;
};

static void
run(void *(*fn)(void *), struct worker workers[THREADS])
{
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){ .number = i };
        assert_int_equal(pthread_create(&workers[i].thread, NULL, fn, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        if (workers[i].e.kind != ERR_NONE)
            fail_msg("thread %u: %s", i, err_text(&workers[i].e));
    }
}

/* Each thread its own objects, written and read back. */
static void *
put_and_get(void *arg)
{
    struct worker *w = arg;
    AUTOFREE uint8_t *data = mem_alloc(MIB);
    AUTOBUF struct buf out = BUF(MIB);
    char key[64];

    for (unsigned i = 0; i < 6; i++) {
        size_t len = (size_t)i * i * 40000;
        fill(data, len, 1 + w->number * 100 + i);
        snprintf(key, sizeof key, "pack/%02x/%u", w->number, i);
        buf_clear(&out);
        if (put_in(s, key, slice_of(data, len), 0, &w->e) < 0
            || get_in(s, key, 0, 0, &out, &w->e) < 0)
            return NULL;
        if (!slice_equal(buf_slice(&out), slice_of(data, len)))
            err_set(&w->e, ERR_CORRUPT, 0, "%s is not what was put", key);
    }
    return NULL;
}

static void
eight_threads_put_and_get_at_once(void **state)
{
    struct worker workers[THREADS];

    (void)state;
    run(put_and_get, workers);
}

static void *
race(void *arg)
{
    struct worker *w = arg;
    char text[32];
    struct err e = { 0 };

    snprintf(text, sizeof text, "thread %u", w->number);
    w->won = put_in(s, "drt.repo", slice_str(text), PUT_IF_ABSENT, &e) == 0;
    if (!w->won && e.kind != ERR_EXISTS && e.kind != ERR_UNAVAIL)
        w->e = e;
    return NULL;
}

static void
of_eight_that_create_at_once_one_wins(void **state)
{
    struct worker workers[THREADS];
    unsigned winners = 0, winner = 0;
    char text[32];

    (void)state;
    if (!(storage_traits(s) & STORAGE_IF_ABSENT))
        skip();
    run(race, workers);
    for (unsigned i = 0; i < THREADS; i++) {
        winners += workers[i].won;
        winner = workers[i].won ? i : winner;
    }
    assert_int_equal(winners, 1);
    snprintf(text, sizeof text, "thread %u", winner);
    assert_holds("drt.repo", text);
}

/* Odd threads overwrite with 300,000 bytes of one letter; even ones read. */
static void *
overwrite_or_read(void *arg)
{
    struct worker *w = arg;
    AUTOFREE uint8_t *data = mem_alloc(300000);
    AUTOBUF struct buf out = BUF(MIB);

    memset(data, 'a' + (int)w->number, 300000);
    for (int i = 0; i < 12; i++) {
        buf_clear(&out);
        int rc = w->number % 2 ? put_in(s, "key", slice_of(data, 300000), 0, &w->e)
                               : get_in(s, "key", 0, 0, &out, &w->e);
        if (rc < 0)
            return NULL;
        for (size_t at = 1; at < out.len; at++)
            if (out.ptr[at] != out.ptr[0])
                err_set(&w->e, ERR_CORRUPT, 0, "a mixture was read");
        if (w->number % 2 == 0 && out.len != 300000)
            err_set(&w->e, ERR_CORRUPT, 0, "%zu bytes were read", out.len);
    }
    return NULL;
}

static void
a_reader_sees_the_old_or_the_new_object_whole(void **state)
{
    struct worker workers[THREADS];
    AUTOFREE char *data = mem_zalloc(300001);

    (void)state;
    memset(data, 'z', 300000);
    ok(put("key", data, 0));
    run(overwrite_or_read, workers);
}

static void *
put_many(void *arg)
{
    struct worker *w = arg;
    char key[64];

    for (unsigned i = w->number; i < MANY; i += THREADS) {
        snprintf(key, sizeof key, "pack/%02x/%05u", i % 7, i);
        if (put_in(s, key, slice_str(key), 0, &w->e) < 0)
            return NULL;
    }
    return NULL;
}

static int
compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* More than one page of a listing and more than one batch of a removal. */
static void
many_objects_are_listed_in_order_and_removed(void **state)
{
    struct worker workers[THREADS];
    struct keys k = { 0 }, rest = { 0 };

    (void)state;
    run(put_many, workers);
    ok(storage_list(s, "pack/", collect, &k, &e));
    assert_int_equal(k.count, MANY);
    for (size_t i = 1; i < k.count; i++)
        assert_true(compare(&k.at[i - 1], &k.at[i]) < 0);
    ok(storage_list_after(s, "pack/", k.at[MANY - 2], collect, &rest, &e));
    assert_int_equal(rest.count, 1);
    mem_free(rest.at[0]);
    ok(storage_remove(s, (const char *const *)k.at + 1, MANY - 1, &e));
    rest.count = 0;
    ok(storage_list(s, "", collect, &rest, &e));
    assert_int_equal(rest.count, 1);
    assert_string_equal(rest.at[0], k.at[0]);
    mem_free(rest.at[0]);
    mem_free(rest.at);
    for (size_t i = 0; i < MANY; i++)
        mem_free(k.at[i]);
    mem_free(k.at);
}

static const struct CMUnitTest contract[] = {
    cmocka_unit_test_setup(what_was_put_is_got, empty),
    cmocka_unit_test_setup(an_object_of_no_bytes_is_an_object, empty),
    cmocka_unit_test_setup(a_get_appends_and_a_failed_one_leaves_no_trace, empty),
    cmocka_unit_test_setup(ranges_are_exact, empty),
    cmocka_unit_test_setup(a_range_past_the_end_is_damage, empty),
    cmocka_unit_test_setup(an_object_larger_than_the_room_for_it_is_damage, empty),
    cmocka_unit_test_setup(an_overwrite_replaces, empty),
    cmocka_unit_test_setup(what_is_absent_is_not_found, empty),
    cmocka_unit_test_setup(removing_takes_the_named_and_no_other, empty),
    cmocka_unit_test_setup(removing_what_is_absent_succeeds, empty),
    cmocka_unit_test_setup(a_listing_is_in_the_order_of_the_bytes_of_whole_keys, empty),
    cmocka_unit_test_setup(a_prefix_may_end_anywhere, empty),
    cmocka_unit_test_setup(every_valid_key_works, empty),
    cmocka_unit_test_setup(
        head_tells_size_and_time_and_a_hash_only_if_it_is_the_stores_own, empty),
    cmocka_unit_test_setup(a_listing_tells_size_and_time, empty),
    cmocka_unit_test_setup(if_absent_keeps_what_is_there, empty),
    cmocka_unit_test_setup(a_listing_allows_other_calls_meanwhile, empty),
    cmocka_unit_test_setup(a_callback_may_stop_the_listing, empty),
    cmocka_unit_test_setup(a_body_with_another_hash_is_not_stored, empty),
    cmocka_unit_test_setup(sixty_four_mebibytes_come_from_a_file, empty),
    cmocka_unit_test_setup(a_file_that_ends_too_early_is_not_stored, empty),
    cmocka_unit_test_setup(what_is_no_longer_wanted_is_not_got, empty),
    cmocka_unit_test_setup(a_get_on_its_way_ends_when_it_is_no_longer_wanted, empty),
    cmocka_unit_test_setup(eight_threads_put_and_get_at_once, empty),
    cmocka_unit_test_setup(of_eight_that_create_at_once_one_wins, empty),
    cmocka_unit_test_setup(a_reader_sees_the_old_or_the_new_object_whole, empty),
    cmocka_unit_test_setup_teardown(many_objects_are_listed_in_order_and_removed, empty,
                                    empty),
};

/* A bucket below a prefix of this run's own; `change` spoils the options. */
static struct storage *
open_s3(void (*change)(struct s3_options *))
{
    static char prefix[64];
    struct s3_options o = { .bucket = server.bucket, .prefix = prefix,
                            .endpoint = server.endpoint, .region = server.region,
                            .access_key = server.access_key,
                            .secret_key = server.secret_key };
    struct storage *out = NULL;

    snprintf(prefix, sizeof prefix, "contract & more/%ld", (long)getpid());
    if (change)
        change(&o);
    ok(storage_s3(&o, &out, &e));
    return out;
}

static void
wrong_secret(struct s3_options *o)
{
    o->secret_key = "not-the-secret";
}

static void
wrong_access(struct s3_options *o)
{
    o->access_key = "AKNOBODY";
}

static void
wrong_bucket(struct s3_options *o)
{
    o->bucket = "no-such-bucket-here";
}

static void
wrong_endpoint(struct s3_options *o)
{
    o->endpoint = "http://127.0.0.1:9";
}

static void
other_prefix(struct s3_options *o)
{
    o->prefix = "contract-other";
}

/* Every call fails with `kind`, and each text says `words`. */
static void
assert_all_fail(struct storage *t, enum err_kind kind, const char *words)
{
    const char *const keys[] = { "o", "p" };
    AUTOBUF struct buf out = BUF(64);
    struct object_info o;
    int64_t now_s;
    struct keys k = { 0 };

    for (int call = 0; call < 7; call++) {
        struct err e = { 0 };
        int rc = call == 0 ? put_in(t, "o", SLICE("x"), 0, &e)
                 : call == 1 ? get_in(t, "o", 0, 0, &out, &e)
                 : call == 2 ? storage_head(t, "o", &o, &e)
                 : call == 3 ? storage_list(t, "", collect, &k, &e)
                 : call == 4 ? storage_remove(t, keys, 2, &e)
                 : call == 5 ? put_in(t, "o", SLICE("x"), PUT_IF_ABSENT, &e)
                             : storage_remove(t, keys, 1, &e);
        assert_int_equal(rc, -1);
        if (e.kind != kind || !strstr(err_text(&e), words))
            fail_msg("call %d: %s: %s", call, err_name(e.kind), err_text(&e));
    }
    if (kind == ERR_UNAVAIL)
        fails(kind, storage_now(t, &now_s, &e));
}

static void
wrong_keys_are_denied(void **state)
{
    CLEANUP(storage_close_p) struct storage *a = open_s3(wrong_secret);
    CLEANUP(storage_close_p) struct storage *b = open_s3(wrong_access);

    (void)state;
    assert_all_fail(a, ERR_DENIED, "check the credentials");
    assert_all_fail(b, ERR_DENIED, "check the credentials");
    assert_all_fail(b, ERR_DENIED, server.endpoint);
}

/* An object that is missing and a bucket that is are different things. */
static void
a_missing_bucket_is_told_as_such(void **state)
{
    CLEANUP(storage_close_p) struct storage *t = open_s3(wrong_bucket);

    (void)state;
    assert_all_fail(t, ERR_NO_TARGET,
                    "bucket no-such-bucket-here does not exist at http");
}

static void
an_endpoint_that_nobody_serves_is_away(void **state)
{
    CLEANUP(storage_close_p) struct storage *t = open_s3(wrong_endpoint);

    (void)state;
    assert_all_fail(t, ERR_UNAVAIL, "127.0.0.1:9");
}

static void
a_clock_that_is_off_is_told_with_its_minutes(void **state)
{
    (void)state;
    clock_skew(1200);
    struct err e = { 0 };
    struct object_info o;
    int put_rc = put_in(s, "o", SLICE("x"), 0, &e);
    enum err_kind kind = e.kind;
    bool said = strstr(e.text, "clock is 20 minutes off") != NULL;
    int head_rc = storage_head(s, "o", &o, &e);
    bool said_again = strstr(e.text, "clock is 20 minutes off") != NULL;
    clock_skew(0);
    assert_int_equal(put_rc, -1);
    assert_int_equal(kind, ERR_DENIED);
    assert_true(said);
    assert_int_equal(head_rc, -1);
    assert_true(said_again);
}

static void
prefixes_of_one_bucket_do_not_see_each_other(void **state)
{
    CLEANUP(storage_close_p) struct storage *t = open_s3(other_prefix);
    struct keys k = { 0 };
    const char *const key = "o";

    (void)state;
    ok(put("o", "x", 0));
    ok(storage_list(t, "", collect, &k, &e));
    assert_int_equal(k.count, 0);
    ok(storage_remove(t, &key, 1, &e));
    assert_holds("o", "x");
}

static const struct CMUnitTest s3_only[] = {
    cmocka_unit_test_setup(wrong_keys_are_denied, empty),
    cmocka_unit_test_setup(a_missing_bucket_is_told_as_such, empty),
    cmocka_unit_test_setup(an_endpoint_that_nobody_serves_is_away, empty),
    cmocka_unit_test_setup(a_clock_that_is_off_is_told_with_its_minutes, empty),
    cmocka_unit_test_setup(prefixes_of_one_bucket_do_not_see_each_other, empty),
};

static struct storage *
make_dir(void)
{
    strcpy(folder, "/tmp/drtool-contract-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return storage_dir(folder);
}

static struct storage *
make_retry(void)
{
    return storage_retry(storage_mem(), &RETRY_DEFAULT);
}

static struct storage *
make_trace(void)
{
    return storage_trace(storage_mem(), "traced");
}

static struct storage *
make_fault(void)
{
    return storage_fault(storage_mem(), &(struct fault_plan){ .at = 0 });
}

/* So fast that the suite ends, so slow that every body goes in turns. */
static struct storage *
make_limit(struct storage *inner)
{
    static const struct pace_hours fast = { .rate = (uint64_t)4 << 30 };

    return storage_limit(inner, pace_new(&fast, 1), pace_new(&fast, 1));
}

static struct storage *
make_limit_mem(void)
{
    return make_limit(storage_mem());
}

static struct storage *
make_limit_dir(void)
{
    return make_limit(make_dir());
}

static struct storage *
make_s3(void)
{
    return open_s3(NULL);
}

static const struct {
    const char *name;
    struct storage *(*make)(void);
} places[] = {
    { "mem", storage_mem },     { "dir", make_dir },     { "retry(mem)", make_retry },
    { "trace(mem)", make_trace }, { "fault(mem)", make_fault },
    { "limit(mem)", make_limit_mem }, { "limit(dir)", make_limit_dir },
};

static int
run_contract(const char *name, struct storage *under_test, bool real)
{
    s = under_test;
    print_message("contract of %s\n", name);
    int failed = _cmocka_run_group_tests(name, contract, COUNT_OF(contract), NULL, NULL);
    if (real)
        failed += _cmocka_run_group_tests(name, s3_only, COUNT_OF(s3_only), NULL, NULL);
    empty(NULL);
    storage_close(s);
    return failed;
}

static int
run_servers(const char *lines)
{
    int failed = 0;

    while (lines && *lines) {
        if (sscanf(lines, "endpoint=%255s region=%63s access_key=%127s secret_key=%127s "
                          "bucket=%127s", server.endpoint, server.region,
                   server.access_key, server.secret_key, server.bucket) == 5)
            failed += run_contract(server.endpoint, make_s3(), true);
        lines = strchr(lines, '\n');
        lines = lines ? lines + 1 : NULL;
    }
    return failed;
}

int
main(void)
{
    int failed = 0;

    for (size_t i = 0; i < COUNT_OF(places); i++) {
        struct err e;
        folder[0] = 0;
        failed += run_contract(places[i].name, places[i].make(), false);
        if (folder[0] && fs_remove_tree(folder, &e) < 0)
            print_error("%s\n", err_text(&e));
    }
    failed += run_servers(getenv("DRTOOL_TEST_S3"));
    return failed != 0;
}
