#include "codec/zip.h"
#include "support/fixture.h"

static size_t
squeeze(struct slice plain, struct buf *out)
{
    CLEANUP(zip_free_p) struct zip *z = zip_new(1);
    size_t room = zip_bound(plain.len);

    buf_clear(out);
    out->len = zip_squeeze(z, plain, buf_room(out, room), room);
    return out->len;
}

static void
what_was_squeezed_expands_to_the_same(void **state)
{
    static const size_t lengths[] = { 100, 1000, 65536, 1 << 20, 4 << 20 };
    AUTOBUF struct buf packed = BUF(8 << 20);
    AUTOFREE uint8_t *plain = mem_alloc(4 << 20), *out = mem_alloc(4 << 20);
    CLEANUP(zip_free_p) struct zip *z = zip_new(1);
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < 4 << 20; i++)
        plain[i] = (uint8_t)(i / 300 + i % 7);
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        assert_in_range(squeeze(slice_of(plain, lengths[i]), &packed), 1,
                        lengths[i] - lengths[i] / 32);
        memset(out, 0, lengths[i]);
        assert_ok(zip_expand(z, buf_slice(&packed), out, lengths[i], &e), &e);
        assert_memory_equal(out, plain, lengths[i]);
    }
    mem_free(TAKE(plain));
    mem_free(TAKE(out));
}

/* Under 3 % is not worth the expanding; nothing at all is not zero bytes. */
static void
what_gains_too_little_is_not_squeezed(void **state)
{
    AUTOBUF struct buf packed = BUF(1 << 20);
    uint8_t plain[10000];

    (void)state;
    fill_bytes(plain, sizeof plain, 1);
    assert_int_equal(squeeze(slice_of(plain, sizeof plain), &packed), 0);
    memset(plain, 0, 150); /* 1.5 % */
    assert_int_equal(squeeze(slice_of(plain, sizeof plain), &packed), 0);
    memset(plain, 0, 600); /* 6 % */
    assert_in_range(squeeze(slice_of(plain, sizeof plain), &packed), 1, 9700);
    assert_int_equal(squeeze(SLICE(""), &packed), 0);
    assert_int_equal(squeeze(SLICE("a"), &packed), 0);
}

static void
a_context_serves_again_and_again(void **state)
{
    CLEANUP(zip_free_p) struct zip *z = zip_new(19);
    uint8_t plain[5000] = { 1 }, packed[6000], out[5000];
    struct err e = { 0 };

    (void)state;
    for (int i = 0; i < 10; i++) {
        memset(plain, i, sizeof plain);
        size_t n = zip_squeeze(z, slice_of(plain, sizeof plain), packed, sizeof packed);
        assert_in_range(n, 1, 100);
        assert_int_equal(zip_expand(z, SLICE("garbage"), out, sizeof out, &e), -1);
        assert_ok(zip_expand(z, slice_of(packed, n), out, sizeof out, &e), &e);
        assert_memory_equal(out, plain, sizeof out);
    }
}

/* Its parameters follow the length, whatever came before. */
static void
any_length_may_follow_any_other(void **state)
{
    static const size_t lengths[] = { 16384,  524288, 65536,  65537, 262144,
                                      262145, 100,    524288, 16384 };
    AUTOFREE uint8_t *plain = mem_alloc(1 << 20), *out = mem_alloc(1 << 20);
    AUTOBUF struct buf alone = BUF(2 << 20), after = BUF(2 << 20);
    CLEANUP(zip_free_p) struct zip *z = zip_new(1);
    struct err e = { 0 };

    (void)state;
    fill_bytes(plain, 1 << 20, 7);
    for (size_t i = 0; i < 1 << 20; i++)
        plain[i] = (uint8_t)(plain[i] % 16 + i / 5000);
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct slice s = slice_of(plain, lengths[i]);
        size_t room = zip_bound(s.len);
        buf_clear(&after);
        size_t n = zip_squeeze(z, s, buf_room(&after, room), room);
        assert_int_equal(n, squeeze(s, &alone));
        assert_memory_equal(after.ptr, alone.ptr, n);
        assert_ok(zip_expand(z, buf_slice(&alone), out, s.len, &e), &e);
        assert_memory_equal(out, plain, s.len);
    }
}

static void
the_level_may_change_between_two_calls(void **state)
{
    CLEANUP(zip_free_p) struct zip *z = zip_new(1);
    AUTOFREE uint8_t *plain = mem_alloc(100000), *packed = mem_alloc(200000);
    size_t length[3];

    (void)state;
    for (size_t i = 0; i < 100000; i++)
        plain[i] = (uint8_t) "0123456789"[i / 7 * i / 100 % 10];
    for (int i = 0; i < 3; i++) {
        zip_set_level(z, i == 1 ? 12 : 1);
        length[i] = zip_squeeze(z, slice_of(plain, 100000), packed, 200000);
    }
    assert_int_equal(length[0], length[2]);
    assert_true(length[1] < length[0]);
}

static void
another_length_than_announced_is_refused(void **state)
{
    CLEANUP(zip_free_p) struct zip *z = zip_new(1);
    AUTOBUF struct buf packed = BUF(1 << 20);
    uint8_t plain[2000] = { 7 }, out[3000];
    struct err e;

    (void)state;
    squeeze(slice_of(plain, sizeof plain), &packed);
    assert_err(zip_expand(z, buf_slice(&packed), out, 1999, &e), &e, ERR_CORRUPT);
    assert_err(zip_expand(z, buf_slice(&packed), out, 2001, &e), &e, ERR_CORRUPT);
    assert_err(zip_expand(z, buf_slice(&packed), out, 0, &e), &e, ERR_CORRUPT);
}

/* A few bytes that would expand to gigabytes must not write behind the room. */
static void
a_bomb_is_refused(void **state)
{
    CLEANUP(zip_free_p) struct zip *z = zip_new(19);
    size_t len = 4 << 20;
    AUTOFREE uint8_t *plain = mem_zalloc(len), *packed = mem_alloc(zip_bound(len));
    AUTOFREE uint8_t *out = mem_alloc(1000);
    struct err e;

    (void)state;
    size_t n = zip_squeeze(z, slice_of(plain, len), packed, zip_bound(len));
    assert_in_range(n, 1, 1000);
    assert_err(zip_expand(z, slice_of(packed, n), out, 1000, &e), &e, ERR_CORRUPT);
}

static void
damage_is_refused_or_harmless(void **state)
{
    CLEANUP(zip_free_p) struct zip *z = zip_new(1);
    AUTOBUF struct buf packed = BUF(1 << 20);
    uint8_t plain[3000], out[3000];
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (uint8_t)(i % 250 * (i / 1000 + 1));
    assert_true(squeeze(slice_of(plain, sizeof plain), &packed) > 0);
    for (size_t i = 0; i < packed.len; i++)
        for (int bit = 0; bit < 8; bit++) {
            packed.ptr[i] ^= (uint8_t)(1 << bit);
            if (zip_expand(z, buf_slice(&packed), out, sizeof out, &e) < 0)
                assert_int_equal(e.kind, ERR_CORRUPT);
            packed.ptr[i] ^= (uint8_t)(1 << bit);
        }
    for (size_t len = 0; len < packed.len; len++) {
        AUTOFREE uint8_t *cut = mem_alloc(len + !len);
        memcpy(cut, packed.ptr, len);
        assert_err(zip_expand(z, slice_of(cut, len), out, sizeof out, &e), &e,
                   ERR_CORRUPT);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_squeezed_expands_to_the_same),
        cmocka_unit_test(what_gains_too_little_is_not_squeezed),
        cmocka_unit_test(a_context_serves_again_and_again),
        cmocka_unit_test(any_length_may_follow_any_other),
        cmocka_unit_test(the_level_may_change_between_two_calls),
        cmocka_unit_test(another_length_than_announced_is_refused),
        cmocka_unit_test(a_bomb_is_refused),
        cmocka_unit_test(damage_is_refused_or_harmless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
