#include "base/text.h"
#include "crypto/hash.h"
#include "support/fixture.h"

static void
assert_hex(const void *bytes, size_t len, const char *want)
{
    char hex[513];

    assert_true(len <= 256);
    text_hex(hex, bytes, len);
    assert_string_equal(hex, want);
}

/* FIPS 180-4's examples, and what OpenSSL's command says of a million a's. */
static void
sha256_gives_the_standards_values(void **state)
{
    AUTOFREE uint8_t *million = mem_alloc(1000000);
    uint8_t out[32];

    (void)state;
    sha256(SLICE(""), out);
    assert_hex(out, 32,
               "e3b0c44298fc1c149afbf4c8996fb924"
               "27ae41e4649b934ca495991b7852b855");
    sha256(SLICE("abc"), out);
    assert_hex(out, 32,
               "ba7816bf8f01cfea414140de5dae2223"
               "b00361a396177a9cb410ff61f20015ad");
    sha256(SLICE("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), out);
    assert_hex(out, 32,
               "248d6a61d20638b8e5c026930c3e6039"
               "a33ce45964ff2167f6ecedd419db06c1");
    memset(million, 'a', 1000000);
    sha256(slice_of(million, 1000000), out);
    assert_hex(out, 32,
               "cdc76e5c9914fb9281a1c7e284d73e67"
               "f1809a48a497200e046d39ccc7112cd0");
}

static void
pieces_hash_as_the_whole(void **state)
{
    CLEANUP(sha256_free_p) struct sha256 *h = sha256_new();
    uint8_t data[1000], whole[32], out[32];

    (void)state;
    fill_bytes(data, sizeof data, 1);
    sha256(slice_of(data, sizeof data), whole);
    for (size_t step = 1; step < 200; step += 7) {
        sha256_reset(h);
        for (size_t at = 0; at < sizeof data; at += step)
            sha256_feed(h, slice_of(data + at,
                                    sizeof data - at < step ? sizeof data - at : step));
        sha256_end(h, out);
        assert_memory_equal(out, whole, 32);
    }
    sha256_reset(h);
    sha256_end(h, out);
    sha256(SLICE(""), whole);
    assert_memory_equal(out, whole, 32);
}

static void
mac(struct slice key, struct slice data, uint8_t out[32])
{
    struct hmac_key k;

    hmac_key(&k, key);
    hmac_sha256(&k, &data, 1, out);
}

/* RFC 4231, test cases 1 to 4 and 7's data under a key of 64 bytes or less. */
static void
hmac_gives_the_values_of_rfc_4231(void **state)
{
    uint8_t key[25], data[50], out[32];

    (void)state;
    memset(key, 0x0b, 20);
    mac(slice_of(key, 20), SLICE("Hi There"), out);
    assert_hex(out, 32,
               "b0344c61d8db38535ca8afceaf0bf12b"
               "881dc200c9833da726e9376c2e32cff7");
    mac(SLICE("Jefe"), SLICE("what do ya want for nothing?"), out);
    assert_hex(out, 32,
               "5bdcc146bf60754e6a042426089575c7"
               "5a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, 20);
    memset(data, 0xdd, 50);
    mac(slice_of(key, 20), slice_of(data, 50), out);
    assert_hex(out, 32,
               "773ea91e36800e46854db8ebd09181a7"
               "2959098b3ef8c122d9635514ced565fe");
    for (uint8_t i = 0; i < 25; i++)
        key[i] = (uint8_t)(i + 1);
    memset(data, 0xcd, 50);
    mac(slice_of(key, 25), slice_of(data, 50), out);
    assert_hex(out, 32,
               "82558a389a443c0ea4cc819899f2083a"
               "85f0faa3e578f8077a2e3ff46729665b");
}

static void
hmac_is_over_the_parts_one_after_the_other(void **state)
{
    struct slice parts[] = { SLICE("what do "), SLICE(""), SLICE("ya want for "),
                             SLICE("nothing?") };
    struct hmac_key k, copy;
    uint8_t out[32], again[32];

    (void)state;
    hmac_key(&k, SLICE("Jefe"));
    copy = k;
    hmac_sha256(&k, parts, COUNT_OF(parts), out);
    hmac_sha256(&copy, parts, COUNT_OF(parts), again);
    assert_hex(out, 32,
               "5bdcc146bf60754e6a042426089575c7"
               "5a003f089d2739839dec58b964ec3843");
    assert_memory_equal(out, again, 32);
    hmac_sha256(&k, NULL, 0, out);
    mac(SLICE("Jefe"), SLICE(""), again);
    assert_memory_equal(out, again, 32);
}

/* The pads are 64 bytes: lengths round it are where one off would show. */
static void
hmac_of_all_lengths_differ(void **state)
{
    uint8_t data[200] = { 0 }, outs[200][32], key[64] = { 1 };

    (void)state;
    for (size_t i = 0; i < 200; i++) {
        mac(slice_of(key, 64), slice_of(data, i), outs[i]);
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(outs[i], outs[k], 32);
    }
}

/* RFC 1321, appendix A.5. */
static void
md5_gives_the_values_of_rfc_1321(void **state)
{
    uint8_t out[16];

    (void)state;
    md5(SLICE(""), out);
    assert_hex(out, 16, "d41d8cd98f00b204e9800998ecf8427e");
    md5(SLICE("message digest"), out);
    assert_hex(out, 16, "f96b697d7cb7938d525a2f31aaf161d0");
}

/* RFC 4648, section 10. */
static void
base64_gives_the_values_of_rfc_4648(void **state)
{
    static const char *const pairs[][2] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
    };
    char out[32];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        base64(out, slice_str(pairs[i][0]));
        assert_string_equal(out, pairs[i][1]);
    }
    base64(out, slice_of("\xfb\xff\xfe", 3));
    assert_string_equal(out, "+//+");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_standards_values),
        cmocka_unit_test(pieces_hash_as_the_whole),
        cmocka_unit_test(hmac_gives_the_values_of_rfc_4231),
        cmocka_unit_test(hmac_is_over_the_parts_one_after_the_other),
        cmocka_unit_test(hmac_of_all_lengths_differ),
        cmocka_unit_test(md5_gives_the_values_of_rfc_1321),
        cmocka_unit_test(base64_gives_the_values_of_rfc_4648),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
