#include "base/crc32c.h"
#include "base/text.h"
#include "support/fixture.h"

static const uint8_t ours[ID_LEN] = { 1, 2, 3 }, theirs[ID_LEN] = { 1, 2, 4 };

static void
make_header(struct buf *out, enum object_type type)
{
    struct header h = { .type = type, .group = 7 };

    memcpy(h.repo, ours, ID_LEN);
    memcpy(h.session, "0123456789abcdef", ID_LEN);
    header_put(out, &h);
}

/* Changes a byte of a header and makes its checksum fit again. */
static void
patch(struct buf *header, size_t at, uint8_t value)
{
    header->ptr[at] = value;
    put_u32(header->ptr + 60, crc32c(slice_of(header->ptr, 60)));
}

static int
open_header(void *arg, struct slice object, struct err *e)
{
    struct header h;

    (void)arg;
    return header_parse(object, OBJECT_SNAP, ours, &h, e);
}

static void
a_header_comes_back_as_it_was_put(void **state)
{
    AUTOBUF struct buf object = BUF(100);
    struct err e = { 0 };
    struct header h;

    (void)state;
    make_header(&object, OBJECT_SNAP);
    assert_int_equal(object.len, HEADER_LEN);
    assert_ok(header_parse(buf_slice(&object), OBJECT_SNAP, ours, &h, &e), &e);
    assert_int_equal(h.type, OBJECT_SNAP);
    assert_int_equal(h.group, 7);
    assert_memory_equal(h.repo, ours, ID_LEN);
    assert_memory_equal(h.session, "0123456789abcdef", ID_LEN);
    assert_ok(header_parse(buf_slice(&object), OBJECT_SNAP, NULL, &h, &e), &e);
}

static void
a_damaged_header_is_refused(void **state)
{
    AUTOBUF struct buf object = BUF(100);

    (void)state;
    make_header(&object, OBJECT_SNAP);
    refuse_all_damage(buf_slice(&object), open_header, NULL);
}

/* The magic is there for this: FTP in text mode, a mail gateway, an editor. */
static void
a_text_mode_is_noticed(void **state)
{
    AUTOBUF struct buf object = BUF(100), changed = BUF(200);
    struct header h;
    struct err e;

    (void)state;
    make_header(&object, OBJECT_SNAP);
    for (size_t i = 0; i < object.len; i++)
        if (object.ptr[i] != '\r')
            buf_put_u8(&changed, object.ptr[i]);
    buf_put_zero(&changed, 8);
    assert_err(header_parse(buf_slice(&changed), OBJECT_SNAP, ours, &h, &e), &e,
               ERR_CORRUPT);
}

static void
an_object_of_another_repository_or_type_is_a_forgery(void **state)
{
    AUTOBUF struct buf object = BUF(100);
    struct header h;
    struct err e;

    (void)state;
    make_header(&object, OBJECT_DONE);
    assert_err(header_parse(buf_slice(&object), OBJECT_DONE, theirs, &h, &e), &e,
               ERR_FORGED);
    assert_err(header_parse(buf_slice(&object), OBJECT_GONE, ours, &h, &e), &e,
               ERR_FORGED);
}

/* A newer drtool's object must not look damaged: "heal" would destroy it. */
static void
a_newer_version_is_unsupported_and_not_damaged(void **state)
{
    AUTOBUF struct buf object = BUF(100);
    struct header h;
    struct err e;

    (void)state;
    make_header(&object, OBJECT_SNAP);
    patch(&object, 9, FORMAT_MAJOR + 1);
    assert_err(header_parse(buf_slice(&object), OBJECT_SNAP, ours, &h, &e), &e,
               ERR_UNSUPPORTED);
}

static void
an_unknown_bit_that_must_be_known_to_read_is_unsupported(void **state)
{
    (void)state;
    for (size_t at = 12; at < 16; at++) {
        AUTOBUF struct buf object = BUF(100);
        struct header h;
        struct err e;
        make_header(&object, OBJECT_SNAP);
        patch(&object, at, 0x40);
        assert_err(header_parse(buf_slice(&object), OBJECT_SNAP, ours, &h, &e), &e,
                   ERR_UNSUPPORTED);
    }
}

/* Bits for writers and deleters do not keep a reader from a restore. */
static void
bits_for_writers_do_not_stop_a_reader(void **state)
{
    (void)state;
    for (size_t at = 16; at < 24; at++) {
        AUTOBUF struct buf object = BUF(100);
        struct header h;
        struct err e = { 0 };
        make_header(&object, OBJECT_SNAP);
        patch(&object, at, 1);
        assert_ok(header_parse(buf_slice(&object), OBJECT_SNAP, ours, &h, &e), &e);
    }
}

static void
every_type_has_a_label_of_its_own(void **state)
{
    static const char types[] = "RKCPMISDGNWXEL";

    (void)state;
    for (size_t i = 0; types[i]; i++)
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(format_label((enum object_type)types[i]),
                                    format_label((enum object_type)types[j]));
}

static void
a_pack_is_named_by_its_hash(void **state)
{
    uint8_t name[32], back[32];
    char key[PACK_KEY_LEN + 1];

    (void)state;
    fill_bytes(name, sizeof name, 1);
    pack_key(key, name);
    assert_int_equal(strlen(key), PACK_KEY_LEN);
    assert_true(storage_key_valid(key));
    assert_true(pack_name(back, key));
    assert_memory_equal(back, name, 32);
}

static void
what_is_no_name_of_a_pack_is_not_taken_for_one(void **state)
{
    uint8_t name[32] = { 0xab };
    char good[PACK_KEY_LEN + 1];

    (void)state;
    pack_key(good, name);
    for (size_t i = 0; i < PACK_KEY_LEN; i++) {
        char bad[PACK_KEY_LEN + 2];
        memcpy(bad, good, sizeof good);
        bad[i] = 'x';
        assert_false(pack_name(name, bad));
        memcpy(bad, good, sizeof good);
        bad[i] = 0;
        assert_false(pack_name(name, bad));
        if (good[i] >= 'a' && good[i] <= 'f') {
            memcpy(bad, good, sizeof good);
            bad[i] = (char)(good[i] - 'a' + 'A');
            assert_false(pack_name(name, bad));
        }
    }
    AUTOFREE char *longer = mem_printf("%s0", good);
    assert_false(pack_name(name, longer));
    good[5] = '0'; /* another folder than its hash says */
    assert_false(pack_name(name, good));
}

static void
a_chain_name_comes_back_as_it_was_put(void **state)
{
    static const char *const kinds[] = { "snap", "done", "gone", "pin" };
    static const uint64_t seqs[] = { 0, 1, 4294967296, 9999999999 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct chain_name n = { .host = "0123456789abcdef", .seq = seqs[i] }, back;
        char key[CHAIN_KEY_LEN + 1];
        memcpy(n.kind, kinds[i], strlen(kinds[i]));
        fill_bytes(n.sha256, 32, i + 1);
        chain_key(key, &n);
        assert_true(storage_key_valid(key));
        assert_true(chain_name(&back, key));
        assert_string_equal(back.kind, n.kind);
        assert_string_equal(back.host, n.host);
        assert_true(back.seq == n.seq);
        assert_memory_equal(back.sha256, n.sha256, 32);
    }
}

/* Names sort by time within a host. */
static void
chain_names_sort_by_their_number(void **state)
{
    struct chain_name a = { "snap", "0123456789abcdef", 99, { 0xff } };
    struct chain_name b = { "snap", "0123456789abcdef", 100, { 0 } };
    char x[CHAIN_KEY_LEN + 1], y[CHAIN_KEY_LEN + 1];

    (void)state;
    chain_key(x, &a);
    chain_key(y, &b);
    assert_true(strcmp(x, y) < 0);
}

static void
what_is_no_chain_name_is_not_taken_for_one(void **state)
{
    struct chain_name n = { "snap", "0123456789abcdef", 12, { 0xab, 0xcd } }, out;
    char good[CHAIN_KEY_LEN + 1];

    (void)state;
    chain_key(good, &n);
    for (size_t i = 5; i < CHAIN_KEY_LEN; i++) {
        char bad[CHAIN_KEY_LEN + 1];
        memcpy(bad, good, sizeof good);
        bad[i] = 'x';
        assert_false(chain_name(&out, bad));
        bad[i] = 0;
        assert_false(chain_name(&out, bad));
    }
    assert_false(chain_name(&out, ""));
    assert_false(chain_name(&out, "snap"));
    assert_false(chain_name(&out, "/snap"));
    assert_false(chain_name(&out, strchr(good, '/')));
    AUTOFREE char *longer = mem_printf("%s0", good);
    assert_false(chain_name(&out, longer));
    AUTOFREE char *kind = mem_printf("snaps%s", strchr(good, '/'));
    assert_false(chain_name(&out, kind));
}

static void
the_hash_in_a_name_is_checked(void **state)
{
    uint8_t sha[32], got[32];
    char hex[65];

    (void)state;
    sha256(SLICE("bytes"), sha);
    text_hex(hex, sha, 32);
    AUTOFREE char *plain = mem_printf("index/00000000-%s", hex);
    AUTOFREE char *mark = mem_printf("gc/00000000-%s.mark", hex);
    assert_true(format_hash_of(plain, got));
    assert_memory_equal(got, sha, 32);
    assert_true(format_hash_of(mark, got));
    assert_memory_equal(got, sha, 32);
    assert_true(format_hash_fits(plain, SLICE("bytes")));
    assert_true(format_hash_fits(mark, SLICE("bytes")));
    assert_false(format_hash_fits(plain, SLICE("bytez")));
    assert_false(format_hash_fits(mark, SLICE("")));
}

static void
names_without_a_hash_have_none(void **state)
{
    static const char *const names[] = { "drt.repo", "keys/0123456789abcdef", "", "." };
    uint8_t sha[32];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_false(format_hash_of(names[i], sha));
        assert_true(format_hash_fits(names[i], SLICE("anything")));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_comes_back_as_it_was_put),
        cmocka_unit_test(a_damaged_header_is_refused),
        cmocka_unit_test(a_text_mode_is_noticed),
        cmocka_unit_test(an_object_of_another_repository_or_type_is_a_forgery),
        cmocka_unit_test(a_newer_version_is_unsupported_and_not_damaged),
        cmocka_unit_test(an_unknown_bit_that_must_be_known_to_read_is_unsupported),
        cmocka_unit_test(bits_for_writers_do_not_stop_a_reader),
        cmocka_unit_test(every_type_has_a_label_of_its_own),
        cmocka_unit_test(a_pack_is_named_by_its_hash),
        cmocka_unit_test(what_is_no_name_of_a_pack_is_not_taken_for_one),
        cmocka_unit_test(a_chain_name_comes_back_as_it_was_put),
        cmocka_unit_test(chain_names_sort_by_their_number),
        cmocka_unit_test(what_is_no_chain_name_is_not_taken_for_one),
        cmocka_unit_test(the_hash_in_a_name_is_checked),
        cmocka_unit_test(names_without_a_hash_have_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
