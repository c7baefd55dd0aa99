/* Limits where the bytes go: over HTTP and to a folder. Only that it lasts long
 * enough is asked of the clock; how long it may last is not. */
#include "storage/wrap.h"

#include "base/clock.h"
#include "storage/dir.h"
#include "storage/mem.h"
#include "storage/open.h"
#include "storage/s3.h"
#include "support/ground.h"
#include "support/server.h"

#include <pthread.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static struct pace *
pace_of(uint64_t rate)
{
    return pace_new(&(struct pace_hours){ .rate = rate }, 1);
}

static int
put(struct storage *s, size_t size, struct err *e)
{
    AUTOFREE uint8_t *data = mem_zalloc(size);
    struct body b = body_of(slice_of(data, size));

    return storage_put(s, "pack/1", &b, 0, e);
}

static int
get(struct storage *s, const atomic_bool *stop, struct buf *out, struct err *e)
{
    struct range r = { .key = "pack/1", .stop = stop };

    return storage_get(s, &r, out, e);
}

/* A server with one answer, and its bucket behind a limit of `rate` each way. */
struct scene {
    struct server *server;
    struct storage *s;
};

static void
scene_end(struct scene *c)
{
    storage_close(c->s);
    server_stop(c->server);
}

static struct scene
scene_of(const struct server_step *step, uint64_t rate, struct http_limits limits)
{
    struct scene c = { .server = server_start(step, 1) };
    struct s3_options o = { .bucket = "shop", .endpoint = server_endpoint(c.server),
                            .region = "eu-1", .access_key = "AK", .secret_key = "SK",
                            .limits = limits };
    struct err e = { 0 };

    succeeds(storage_s3(&o, &c.s, &e), &e);
    c.s = storage_limit(c.s, pace_of(rate), pace_of(rate));
    return c;
}

static const struct http_limits usual;

/* Under these any request of two seconds is a stall and late, if it is not one
 * that waits for its own pace. */
static const struct http_limits strict = { .stall_s = 2, .stall_rate = 1 << 20,
                                           .slack_ms = 2000,
                                           .min_rate = (uint64_t)1 << 40 };

static const struct server_step done = { .status = 200 };

/* A text of `size` bytes, for a server's answer. */
static char *
text_of(size_t size)
{
    char *text = mem_alloc(size + 1);

    memset(text, 'x', size);
    text[size] = 0;
    return text;
}

static void
a_put_over_http_keeps_its_pace(void **state)
{
    CLEANUP(scene_end) struct scene c = scene_of(&done, 4 * MIB, usual);
    struct err e = { 0 };
    int64_t began_ms = clock_mono_ms();

    (void)state;
    succeeds(put(c.s, 2 * MIB, &e), &e);
    assert_true(clock_mono_ms() - began_ms >= 300);
    assert_int_equal(server_body_size(c.server, 0), 2 * MIB);
}

static void
a_get_over_http_keeps_its_pace(void **state)
{
    AUTOFREE char *text = text_of(2 * MIB);
    struct server_step step = { .status = 200, .body = text };
    CLEANUP(scene_end) struct scene c = scene_of(&step, 4 * MIB, usual);
    AUTOBUF struct buf out = BUF(2 * MIB);
    struct err e = { 0 };
    int64_t began_ms = clock_mono_ms();

    (void)state;
    succeeds(get(c.s, NULL, &out, &e), &e);
    assert_true(clock_mono_ms() - began_ms >= 300);
    assert_true(slice_equal(buf_slice(&out), slice_str(text)));
}

struct putter {
    pthread_t thread;
    struct storage *s;
    int rc;
    struct err e;
};

static void *
put_some(void *arg)
{
    struct putter *p = arg;

    p->rc = put(p->s, 64 * KIB, &p->e);
    return NULL;
}

/* Four puts that share 64 KiB/s last four seconds each, and so does the get. */
static void
waiting_for_the_pace_is_neither_a_stall_nor_late(void **state)
{
    AUTOFREE char *text = text_of(256 * KIB);
    struct server_step step = { .status = 200, .body = text };
    CLEANUP(scene_end) struct scene up = scene_of(&done, 64 * KIB, strict);
    CLEANUP(scene_end) struct scene down = scene_of(&step, 64 * KIB, strict);
    AUTOBUF struct buf out = BUF(MIB);
    struct putter putters[4];
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(putters); i++) {
        putters[i] = (struct putter){ .s = up.s };
        assert_int_equal(
            pthread_create(&putters[i].thread, NULL, put_some, &putters[i]), 0);
    }
    int rc = get(down.s, NULL, &out, &e);
    for (size_t i = 0; i < COUNT_OF(putters); i++)
        pthread_join(putters[i].thread, NULL);
    for (size_t i = 0; i < COUNT_OF(putters); i++)
        succeeds(putters[i].rc, &putters[i].e);
    succeeds(rc, &e);
    assert_int_equal(out.len, 256 * KIB);
}

static void
a_server_that_hangs_is_still_noticed(void **state)
{
    static const struct server_step stall = { .status = 200, .how = SERVER_STALL };
    static const struct server_step drip = {
        .status = 200, .how = SERVER_DRIP,
        .body = "0123456789012345678901234567890123456789012345678901234567890123456789"
                "0123456789012345678901234567890123456789012345678901234567890123456789"
    };
    static const struct http_limits soon = { .stall_s = 1 };
    static const struct http_limits late = { .stall_s = 10, .stall_rate = 1,
                                             .slack_ms = 500,
                                             .min_rate = (uint64_t)1 << 40 };
    CLEANUP(scene_end) struct scene hangs = scene_of(&stall, MIB, soon);
    CLEANUP(scene_end) struct scene drips = scene_of(&drip, MIB, late);
    AUTOBUF struct buf out = BUF(KIB);
    struct err e = { 0 };

    (void)state;
    fails(get(hangs.s, NULL, &out, &e), &e, ERR_UNAVAIL, "hardly a byte moves");
    fails(put(hangs.s, KIB, &e), &e, ERR_UNAVAIL, "no answer from 127.0.0.1");
    fails(get(drips.s, NULL, &out, &e), &e, ERR_UNAVAIL, "took too long");
    assert_int_equal(out.len, 0);
}

/* A server that refuses is heard before all is sent. */
static void
a_refusal_on_the_way_ends_a_slow_put(void **state)
{
    static const struct server_step early = { .status = 403, .how = SERVER_EARLY };
    CLEANUP(scene_end) struct scene c = scene_of(&early, 256 * KIB, usual);
    struct err e = { 0 };
    int64_t began_ms = clock_mono_ms();

    (void)state;
    assert_int_equal(put(c.s, 16 * MIB, &e), -1);
    assert_true(e.kind == ERR_DENIED || e.kind == ERR_UNAVAIL);
    assert_true(clock_mono_ms() - began_ms < 30000);
}

static void *
stop_soon(void *arg)
{
    clock_sleep_ms(100);
    atomic_store((atomic_bool *)arg, true);
    return NULL;
}

/* With and without a limit; the server would be given 30 seconds. */
static void
a_get_that_hangs_ends_when_it_is_no_longer_wanted(void **state)
{
    static const struct server_step stall = { .status = 200, .how = SERVER_STALL };

    (void)state;
    for (uint64_t rate = 0; rate <= MIB; rate += MIB) {
        CLEANUP(scene_end) struct scene c = scene_of(&stall, rate, usual);
        AUTOBUF struct buf out = BUF(KIB);
        atomic_bool stop = false;
        struct err e = { 0 };
        pthread_t thread;
        int64_t began_ms = clock_mono_ms();
        assert_int_equal(pthread_create(&thread, NULL, stop_soon, &stop), 0);
        fails(get(c.s, &stop, &out, &e), &e, ERR_CANCELLED, "no longer wanted");
        pthread_join(thread, NULL);
        assert_true(clock_mono_ms() - began_ms < 20000);
    }
}

static void
a_folder_keeps_its_pace_both_ways(void **state)
{
    SCRATCH(d);
    AUTOBUF struct buf out = BUF(2 * MIB);
    CLEANUP(storage_close_p) struct storage *s =
        storage_limit(storage_dir(d.path), pace_of(4 * MIB), pace_of(4 * MIB));
    struct err e = { 0 };
    int64_t began_ms = clock_mono_ms();

    (void)state;
    succeeds(put(s, 2 * MIB, &e), &e);
    assert_true(clock_mono_ms() - began_ms >= 300);
    began_ms = clock_mono_ms();
    succeeds(get(s, NULL, &out, &e), &e);
    assert_true(clock_mono_ms() - began_ms >= 300);
    assert_int_equal(out.len, 2 * MIB);
}

/* A limit of one direction and of other hours leaves the rest alone. */
static void
what_is_not_limited_goes_without_a_pace(void **state)
{
    CLEANUP(storage_close_p) struct storage *s =
        storage_limit(storage_mem(), NULL, pace_of(0));
    AUTOBUF struct buf out = BUF(8 * MIB);
    struct err e = { 0 };

    (void)state;
    succeeds(put(s, 8 * MIB, &e), &e);
    succeeds(get(s, NULL, &out, &e), &e);
    assert_int_equal(out.len, 8 * MIB);
}

static void
count_tries(void *arg, const struct err *e)
{
    *(unsigned *)arg += e->kind == ERR_NOT_FOUND;
}

static void
a_target_is_opened_with_its_limits_and_a_watch(void **state)
{
    SCRATCH(d);
    AUTOFREE char *url = mem_printf("file://%s", d.path);
    char name[] = "nas";
    struct conf_limit limit = { .upload = 4 * MIB };
    struct conf_target t = { .name = name, .url = url, .limits = &limit,
                             .limit_count = 1 };
    unsigned tries = 0;
    struct storage_watch watch = { count_tries, &tries };
    CLEANUP(storage_close_p) struct storage *s = NULL;
    AUTOBUF struct buf out = BUF(2 * MIB);
    struct err e = { 0 };

    (void)state;
    succeeds(storage_open(&t, &watch, &s, &e), &e);
    fails(get(s, NULL, &out, &e), &e, ERR_NOT_FOUND, "pack/1");
    assert_int_equal(tries, 1);
    int64_t began_ms = clock_mono_ms();
    succeeds(put(s, 2 * MIB, &e), &e);
    assert_true(clock_mono_ms() - began_ms >= 300);
    succeeds(get(s, NULL, &out, &e), &e);
    assert_int_equal(tries, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_put_over_http_keeps_its_pace),
        cmocka_unit_test(a_get_over_http_keeps_its_pace),
        cmocka_unit_test(waiting_for_the_pace_is_neither_a_stall_nor_late),
        cmocka_unit_test(a_server_that_hangs_is_still_noticed),
        cmocka_unit_test(a_refusal_on_the_way_ends_a_slow_put),
        cmocka_unit_test(a_get_that_hangs_ends_when_it_is_no_longer_wanted),
        cmocka_unit_test(a_folder_keeps_its_pace_both_ways),
        cmocka_unit_test(what_is_not_limited_goes_without_a_pace),
        cmocka_unit_test(a_target_is_opened_with_its_limits_and_a_watch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
