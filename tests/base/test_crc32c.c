#include "base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* RFC 3720, appendix B.4, and the check value of the catalogues. */
static void
the_values_are_those_of_rfc_3720(void **state)
{
    uint8_t bytes[32];

    (void)state;
    assert_int_equal(crc32c(SLICE("123456789")), 0xe3069283);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(crc32c(slice_of(bytes, 32)), 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    assert_int_equal(crc32c(slice_of(bytes, 32)), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = i;
    assert_int_equal(crc32c(slice_of(bytes, 32)), 0x46dd794e);
    for (uint8_t i = 0; i < 32; i++)
        bytes[i] = (uint8_t)(31 - i);
    assert_int_equal(crc32c(slice_of(bytes, 32)), 0x113fdb5c);
    assert_int_equal(crc32c(SLICE("")), 0);
}

/* Values of the catalogues and of zlib. */
static void
the_other_one_is_that_of_zlib(void **state)
{
    struct slice fox = SLICE("The quick brown fox jumps over the lazy dog");

    (void)state;
    assert_int_equal(crc32_ieee_add(0, SLICE("123456789")), 0xcbf43926);
    assert_int_equal(crc32_ieee_add(0, fox), 0x414fa339);
    assert_int_equal(crc32_ieee_add(0, SLICE("")), 0);
    for (size_t cut = 0; cut <= fox.len; cut++) {
        uint32_t crc = crc32_ieee_add(0, slice_sub(fox, 0, cut));
        assert_int_equal(crc32_ieee_add(crc, slice_sub(fox, cut, fox.len - cut)),
                         0x414fa339);
    }
}

/* Whatever the alignment and the length, the bytes alone decide. */
static void
alignment_changes_nothing(void **state)
{
    uint8_t bytes[80];

    (void)state;
    for (size_t len = 0; len < 64; len++) {
        uint32_t first = 0;
        for (size_t at = 0; at < 16; at++) {
            for (size_t i = 0; i < len; i++)
                bytes[at + i] = (uint8_t)(i * 37);
            uint32_t crc = crc32c(slice_of(bytes + at, len));
            first = at == 0 ? crc : first;
            assert_int_equal(crc, first);
        }
    }
}

/* A bit at a time, as the RFC has it. */
static uint32_t
slowly(const uint8_t *p, size_t len)
{
    uint32_t c = ~0u;

    for (size_t i = 0; i < len; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
    }
    return ~c;
}

static void
it_may_be_made_in_pieces(void **state)
{
    uint8_t bytes[4004];

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * i % 251);
    uint32_t whole = slowly(bytes, sizeof bytes);
    assert_int_equal(crc32c(slice_of(bytes, sizeof bytes)), whole);
    for (size_t cut = 0; cut <= sizeof bytes; cut += 91) {
        uint32_t crc = crc32c(slice_of(bytes, cut));
        assert_int_equal(crc, slowly(bytes, cut));
        assert_int_equal(crc32c_add(crc, slice_of(bytes + cut, sizeof bytes - cut)),
                         whole);
    }
}

static void
one_flipped_bit_is_seen(void **state)
{
    uint8_t bytes[60] = { 1, 2, 3 };
    uint32_t whole = crc32c(slice_of(bytes, sizeof bytes));

    (void)state;
    for (size_t i = 0; i < 8 * sizeof bytes; i++) {
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_true(crc32c(slice_of(bytes, sizeof bytes)) != whole);
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_values_are_those_of_rfc_3720),
        cmocka_unit_test(the_other_one_is_that_of_zlib),
        cmocka_unit_test(alignment_changes_nothing),
        cmocka_unit_test(it_may_be_made_in_pieces),
        cmocka_unit_test(one_flipped_bit_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
