/* Files of a log as objects: what is made is read back, and nothing else is believed. */
#include "repo/log.h"

#include "../../src/repo/impl.h"
#include "support/fixture.h"

#include <string.h>

/* A repository with one host, and no place. */
struct place {
    struct repo repo;
    struct host host;
    struct log_writer writer;
};

static void
place_init(struct place *s)
{
    crypto_init();
    memset(s, 0, sizeof *s);
    s->repo.keys = keys_new();
    keys_generate(s->repo.keys);
    s->repo.host_seed = crypto_alloc(SEED_LEN);
    fill_bytes(s->repo.host_id, ID_LEN, 2);
    fill_bytes(s->repo.host_seed, SEED_LEN, 3);
    memcpy(s->host.id, s->repo.host_id, ID_LEN);
    sign_public(s->host.pub, s->repo.host_seed);
    s->repo.hosts = &s->host;
    s->repo.host_count = 1;
    log_writer_init(&s->writer, &s->repo);
}

static void
place_release(struct place *s)
{
    log_writer_release(&s->writer);
    keys_free(s->repo.keys);
    crypto_free(s->repo.host_seed);
}

static void
make(struct place *s, const char *text, struct log_info *info)
{
    *info = (struct log_info){ .kind = LOG_POSTGRES,
                               .system = "7000",
                               .file = "00000001000000000000000A",
                               .unit = 16 << 20,
                               .time = { 1700000000, 7 } };
    log_begin(&s->writer);
    log_add(&s->writer, slice_str(text));
    log_add(&s->writer, SLICE(" and more"));
    log_end(&s->writer, &s->repo, info);
}

static int
collect(void *arg, struct slice plain, struct err *e)
{
    (void)e;
    buf_put_slice(arg, plain);
    return 0;
}

static int
open_object(struct place *s, struct slice object, struct log_info *out, struct buf *plain,
            struct err *e)
{
    return log_open(&s->repo, object, &s->writer.tools, out, collect, plain, e);
}

static void
what_is_made_is_read_back(void **state)
{
    AUTOBUF struct buf plain = BUF(1024), first = BUF(1 << 16);
    struct log_info info, out;
    struct err e = { 0 };
    struct place s;

    (void)state;
    place_init(&s);
    make(&s, "the log", &info);
    buf_put_slice(&first, buf_slice(&s.writer.object));
    assert_ok(open_object(&s, buf_slice(&first), &out, &plain, &e), &e);
    assert_true(slice_equal(buf_slice(&plain), SLICE("the log and more")));
    assert_string_equal(out.system, "7000");
    assert_string_equal(out.file, info.file);
    assert_true(out.size == plain.len && out.unit == info.unit
                && out.time.s == info.time.s && out.time.ns == 7);

    /* Sealed anew it has other bytes, and its content is known as the same. */
    make(&s, "the log", &info);
    assert_false(slice_equal(buf_slice(&first), buf_slice(&s.writer.object)));
    assert_memory_equal(out.content, info.content, 32);
    make(&s, "another", &info);
    assert_memory_not_equal(out.content, info.content, 32);
    place_release(&s);
}

/* A writer's key cannot read what it stored, and knows what it is. */
static void
a_writer_knows_and_cannot_read(void **state)
{
    AUTOBUF struct buf plain = BUF(1024);
    struct log_info info, out;
    struct err e = { 0 };
    struct place s;

    (void)state;
    place_init(&s);
    make(&s, "the log", &info);
    s.repo.keys->epochs[0].can_open[CLASS_DATA] = false;
    struct slice object = buf_slice(&s.writer.object);
    assert_ok(log_peek(s.repo.keys, slice_sub(object, 0, HEADER_LEN), object, &out, &e),
              &e);
    assert_memory_equal(out.content, info.content, 32);
    assert_err(open_object(&s, object, &out, &plain, &e), &e, ERR_DENIED);
    assert_int_equal(plain.len, 0);
    place_release(&s);
}

static void
a_changed_or_cut_object_is_refused(void **state)
{
    AUTOBUF struct buf copy = BUF(1 << 16), plain = BUF(1 << 16);
    struct log_info info, out;
    struct place s;

    (void)state;
    place_init(&s);
    make(&s, "the log", &info);
    for (size_t i = 0; i < s.writer.object.len; i++) {
        struct err e = { 0 };
        buf_clear(&copy);
        buf_clear(&plain);
        buf_put_slice(&copy, buf_slice(&s.writer.object));
        copy.ptr[i] ^= 1;
        if (open_object(&s, buf_slice(&copy), &out, &plain, &e) == 0)
            fail_msg("byte %zu may be changed", i);
        e = (struct err){ 0 };
        if (open_object(&s, slice_sub(buf_slice(&s.writer.object), 0, i), &out, &plain,
                        &e)
            == 0)
            fail_msg("%zu bytes are enough", i);
    }
    place_release(&s);
}

/* Somebody who may sign, and lies. */
static void
a_signed_lie_is_found(void **state)
{
    AUTOBUF struct buf copy = BUF(1 << 16), plain = BUF(1 << 16);
    struct log_info info, out;
    struct err e = { 0 };
    struct place s;

    (void)state;
    place_init(&s);
    make(&s, "the log", &info);
    size_t body = s.writer.object.len - SIGNED_TAIL;
    for (size_t i = HEADER_LEN; i < body; i++) {
        buf_clear(&copy);
        buf_put_slice(&copy, slice_sub(buf_slice(&s.writer.object), 0, body));
        copy.ptr[i] ^= 1;
        signed_end(&copy, OBJECT_LOG, s.repo.host_id, s.repo.host_seed);
        if (open_object(&s, buf_slice(&copy), &out, &plain, &e) == 0)
            fail_msg("byte %zu may be changed by a host", i);
        e = (struct err){ 0 };
    }
    /* One more byte between the pieces and the record. */
    buf_clear(&copy);
    buf_put_slice(&copy, slice_sub(buf_slice(&s.writer.object), 0, HEADER_LEN));
    buf_put_u8(&copy, 0);
    buf_put_slice(&copy,
                  slice_sub(buf_slice(&s.writer.object), HEADER_LEN, body - HEADER_LEN));
    signed_end(&copy, OBJECT_LOG, s.repo.host_id, s.repo.host_seed);
    assert_err(open_object(&s, buf_slice(&copy), &out, &plain, &e), &e, ERR_CORRUPT);
    place_release(&s);
}

static void
names_are_checked(void **state)
{
    static const char hash[] = "000102030405060708090a0b0c0d0e0f"
                               "101112131415161718191a1b1c1d1e1f";
    static const char *const bad[] = {
        "log/0123456789abcdef/00000001/-",
        "log/0123456789abcdef/00000001/0000/a-",
        "log/0123456789abcdef/0000001/000000000000000a-",
        "log/0123456789abcdeF/00000001/000000000000000a-",
        "log/0123456789abcdef/00000001/000000000000000A-",
        "log/0123456789abcdef/00000001/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-",
        "logs/0123456789abcdef/00000001/000000000000000a-",
    };
    struct log_name n;
    char back[LOG_KEY_MAX + 1];

    (void)state;
    AUTOFREE char *good = mem_printf("log/0123456789abcdef/000000ff/%s-%s",
                                     "000000000000000a.partial", hash);
    assert_true(log_name(&n, good));
    assert_string_equal(n.stream, "0123456789abcdef");
    assert_int_equal(n.timeline, 255);
    assert_string_equal(n.pos, "000000000000000a.partial");
    log_key(back, &n);
    assert_string_equal(back, good);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        AUTOFREE char *key = mem_printf("%s%s", bad[i], hash);
        if (log_name(&n, key))
            fail_msg("%s is taken for a name", key);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_made_is_read_back),
        cmocka_unit_test(a_writer_knows_and_cannot_read),
        cmocka_unit_test(a_changed_or_cut_object_is_refused),
        cmocka_unit_test(a_signed_lie_is_found),
        cmocka_unit_test(names_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
