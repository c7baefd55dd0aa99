#include "../../src/repo/signed.h"
#include "source/facts.h"
#include "support/fixture.h"

/* A host that makes snapshots in a repository. */
struct bench {
    struct keys *keys;
    struct session *session;
    uint8_t host[ID_LEN], seed[SEED_LEN];
    struct snapshot opened; /* by open_snapshot() */
};

static void
bench_init(struct bench *b)
{
    crypto_init();
    *b = (struct bench){ .keys = keys_new() };
    keys_generate(b->keys);
    b->session = session_new(b->keys, NULL);
    fill_bytes(b->host, ID_LEN, 1);
    fill_bytes(b->seed, SEED_LEN, 2);
}

static void
bench_release(struct bench *b)
{
    snapshot_release(&b->opened);
    session_free(b->session);
    keys_free(b->keys);
}

#define BENCH(name)                           \
    CLEANUP(bench_release) struct bench name; \
    bench_init(&name)

static bool
signer(void *arg, const uint8_t id[ID_LEN], uint8_t pub[KEY_LEN])
{
    struct bench *b = arg;

    if (memcmp(id, b->host, ID_LEN) != 0)
        return false;
    sign_public(pub, b->seed);
    return true;
}

static int
open_snapshot(void *arg, struct slice object, struct err *e)
{
    struct bench *b = arg;
    uint8_t who[ID_LEN];
    struct slice body;
    struct header h;

    snapshot_release(&b->opened);
    if (signed_open(object, OBJECT_SNAP, b->keys->repo_id, signer, b, &h, who, &body, e)
        < 0)
        return -1;
    return snapshot_parse(b->keys, slice_sub(object, 0, HEADER_LEN), body, &b->opened, e);
}

static void
make_snapshot(struct snapshot *s, const struct bench *b)
{
    *s = (struct snapshot){
        .seq = 42,
        .source = mem_strdup("web"),
        .kind = mem_strdup("files"),
        .host = mem_strdup("db1.example"),
        .identity = mem_strdup("dev:801"),
        .version = mem_strdup("0.1.0"),
        .started = { 1700000000, 123456789 },
        .ended = { 1700000060, 999999999 },
        .root = { .level = 2, .entries = 12345, .bytes = (uint64_t)1 << 50 },
        .flags = SNAPSHOT_PARTIAL,
        .issues = 3,
        .added = 4567,
        .tags = { mem_strdup("nightly"), mem_strdup("") },
        .tag_count = 2,
        .facts = BUF(FACTS_MAX),
        .config = BUF(SNAPSHOT_MAX),
    };
    memcpy(s->host_id, b->host, ID_LEN);
    fill_bytes(s->root.id.bytes, 32, 3);
    fill_bytes(s->previous, 32, 4);
    fill_bytes(s->parent, 32, 5);
    fill_bytes(s->conf_head, 32, 6);
    facts_put(&s->facts, "relations", "12");
    buf_put_str(&s->config, "sources: []\n");
}

static void
a_snapshot_comes_back_as_it_was_made(void **state)
{
    static const uint8_t none[32];
    AUTOBUF struct buf object = BUF(SNAPSHOT_MAX);
    CLEANUP(snapshot_release) struct snapshot s;
    uint8_t sha[32];
    struct err e = { 0 };
    BENCH(b);

    (void)state;
    make_snapshot(&s, &b);
    snapshot_format(b.keys, b.session, &s, b.seed, &object);
    sha256(buf_slice(&object), sha);
    assert_memory_equal(s.id, sha, 32);
    assert_ok(open_snapshot(&b, buf_slice(&object), &e), &e);
    const struct snapshot *o = &b.opened;
    assert_int_equal(o->seq, 42);
    assert_string_equal(o->source, "web");
    assert_string_equal(o->kind, "files");
    assert_string_equal(o->host, "db1.example");
    assert_string_equal(o->identity, "dev:801");
    assert_string_equal(o->version, "0.1.0");
    assert_true(o->started.s == s.started.s && o->started.ns == s.started.ns);
    assert_true(o->ended.s == s.ended.s && o->ended.ns == s.ended.ns);
    assert_true(chunk_id_equal(&o->root.id, &s.root.id));
    assert_int_equal(o->root.level, 2);
    assert_int_equal(o->root.entries, 12345);
    assert_true(o->root.bytes == (uint64_t)1 << 50);
    assert_int_equal(o->flags, SNAPSHOT_PARTIAL);
    assert_int_equal(o->issues, 3);
    assert_int_equal(o->added, 4567);
    assert_int_equal(o->tag_count, 2);
    assert_string_equal(o->tags[0], "nightly");
    assert_string_equal(o->tags[1], "");
    assert_memory_equal(o->host_id, b.host, ID_LEN);
    assert_memory_equal(o->previous, s.previous, 32);
    assert_memory_equal(o->parent, s.parent, 32);
    assert_memory_equal(o->replaces, none, 32);
    assert_memory_equal(o->conf_head, s.conf_head, 32);
    assert_true(slice_equal(buf_slice(&o->facts), SLICE("relations\0"
                                                        "12\0")));
    assert_true(slice_equal(buf_slice(&o->config), SLICE("sources: []\n")));
}

static void
a_damaged_snapshot_is_refused(void **state)
{
    AUTOBUF struct buf object = BUF(SNAPSHOT_MAX);
    CLEANUP(snapshot_release) struct snapshot s;
    BENCH(b);

    (void)state;
    make_snapshot(&s, &b);
    snapshot_format(b.keys, b.session, &s, b.seed, &object);
    refuse_all_damage(buf_slice(&object), open_snapshot, &b);
}

/* Without the signature's help: a host that signs nonsense must not crash who
 * reads it. */
static void
a_malformed_body_is_refused_though_it_is_signed(void **state)
{
    AUTOBUF struct buf object = BUF(SNAPSHOT_MAX), lie = BUF(SNAPSHOT_MAX);
    CLEANUP(snapshot_release) struct snapshot s;
    struct err e;
    BENCH(b);

    (void)state;
    make_snapshot(&s, &b);
    snapshot_format(b.keys, b.session, &s, b.seed, &object);
    size_t body = object.len - SIGNED_TAIL;
    for (size_t len = HEADER_LEN; len < body; len++) {
        buf_clear(&lie);
        buf_put(&lie, object.ptr, len);
        signed_end(&lie, OBJECT_SNAP, b.host, b.seed);
        assert_err(open_snapshot(&b, buf_slice(&lie), &e), &e, ERR_CORRUPT);
    }
    for (size_t i = 24; i < body; i += i < 200 ? 1 : 7) {
        if (i >= 40 && i < HEADER_LEN)
            continue; /* session and checksum are the header's affair */
        buf_clear(&lie);
        buf_put(&lie, object.ptr, body);
        lie.ptr[i] ^= 0x10;
        signed_end(&lie, OBJECT_SNAP, b.host, b.seed);
        e = (struct err){ 0 };
        assert_int_equal(open_snapshot(&b, buf_slice(&lie), &e), -1);
    }
}

/* The number stands in the name, in the clear and in the sealed body. */
static void
a_snapshot_cannot_be_given_another_number(void **state)
{
    AUTOBUF struct buf object = BUF(SNAPSHOT_MAX);
    CLEANUP(snapshot_release) struct snapshot s;
    struct err e;
    BENCH(b);

    (void)state;
    make_snapshot(&s, &b);
    snapshot_format(b.keys, b.session, &s, b.seed, &object);
    object.len -= SIGNED_TAIL;
    put_u64(object.ptr + HEADER_LEN, 43);
    signed_end(&object, OBJECT_SNAP, b.host, b.seed);
    assert_err(open_snapshot(&b, buf_slice(&object), &e), &e, ERR_CORRUPT);
}

static void
only_who_may_open_metadata_opens_a_snapshot(void **state)
{
    AUTOBUF struct buf object = BUF(SNAPSHOT_MAX);
    CLEANUP(snapshot_release) struct snapshot s;
    struct err e;
    BENCH(b);

    (void)state;
    make_snapshot(&s, &b);
    snapshot_format(b.keys, b.session, &s, b.seed, &object);
    b.keys->epochs[0].can_open[CLASS_META] = false;
    b.keys->role = ROLE_WRITER;
    assert_err(open_snapshot(&b, buf_slice(&object), &e), &e, ERR_DENIED);
}

/* A successor comes from the same session: its key must be another. */
static void
one_session_may_seal_several_snapshots(void **state)
{
    AUTOBUF struct buf one = BUF(SNAPSHOT_MAX), two = BUF(SNAPSHOT_MAX);
    CLEANUP(snapshot_release) struct snapshot s;
    struct err e = { 0 };
    uint8_t first[32];
    BENCH(b);

    (void)state;
    make_snapshot(&s, &b);
    snapshot_format(b.keys, b.session, &s, b.seed, &one);
    memcpy(first, s.id, 32);
    s.seq++;
    memcpy(s.replaces, first, 32);
    snapshot_format(b.keys, b.session, &s, b.seed, &two);
    assert_memory_not_equal(first, s.id, 32);
    assert_ok(open_snapshot(&b, buf_slice(&two), &e), &e);
    assert_int_equal(b.opened.seq, 43);
    assert_memory_equal(b.opened.replaces, first, 32);
    assert_ok(open_snapshot(&b, buf_slice(&one), &e), &e);
    assert_int_equal(b.opened.seq, 42);
}

static void
what_is_empty_comes_back_empty(void **state)
{
    AUTOBUF struct buf object = BUF(SNAPSHOT_MAX);
    CLEANUP(snapshot_release) struct snapshot s = { .config = BUF(10) };
    struct err e = { 0 };
    BENCH(b);

    (void)state;
    memcpy(s.host_id, b.host, ID_LEN);
    snapshot_format(b.keys, b.session, &s, b.seed, &object);
    assert_ok(open_snapshot(&b, buf_slice(&object), &e), &e);
    assert_string_equal(b.opened.source, "");
    assert_int_equal(b.opened.tag_count, 0);
    assert_int_equal(b.opened.config.len, 0);
    assert_int_equal(b.opened.facts.len, 0);
}

static void
a_snapshot_holds_the_tags_and_the_configuration_it_may(void **state)
{
    AUTOBUF struct buf object = BUF(SNAPSHOT_MAX);
    CLEANUP(snapshot_release) struct snapshot s;
    struct err e = { 0 };
    BENCH(b);

    (void)state;
    make_snapshot(&s, &b);
    for (; s.tag_count < TAGS_MAX; s.tag_count++)
        s.tags[s.tag_count] = mem_printf("%0500zu", s.tag_count);
    memset(buf_room(&s.config, 900000), '#', 900000);
    s.config.len += 900000;
    snapshot_format(b.keys, b.session, &s, b.seed, &object);
    assert_ok(open_snapshot(&b, buf_slice(&object), &e), &e);
    assert_int_equal(b.opened.tag_count, TAGS_MAX);
    for (size_t i = 0; i < TAGS_MAX; i++)
        assert_string_equal(b.opened.tags[i], s.tags[i]);
    assert_true(slice_equal(buf_slice(&b.opened.config), buf_slice(&s.config)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_comes_back_as_it_was_made),
        cmocka_unit_test(a_damaged_snapshot_is_refused),
        cmocka_unit_test(a_malformed_body_is_refused_though_it_is_signed),
        cmocka_unit_test(a_snapshot_cannot_be_given_another_number),
        cmocka_unit_test(only_who_may_open_metadata_opens_a_snapshot),
        cmocka_unit_test(one_session_may_seal_several_snapshots),
        cmocka_unit_test(what_is_empty_comes_back_empty),
        cmocka_unit_test(a_snapshot_holds_the_tags_and_the_configuration_it_may),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
