#include "base/text.h"
#include "crypto/seal.h"
#include "support/fixture.h"

static uint8_t key[KEY_LEN]; /* 0, 1, 2, ... 31 */

static int
start(void **state)
{
    (void)state;
    crypto_init();
    for (uint8_t i = 0; i < KEY_LEN; i++)
        key[i] = i;
    return 0;
}

static void
assert_hex(const void *bytes, size_t len, const char *want)
{
    char hex[1025];

    assert_true(len <= 512);
    text_hex(hex, bytes, len);
    assert_string_equal(hex, want);
}

static void
from_hex(uint8_t *out, size_t len, const char *hex)
{
    assert_true(text_unhex(out, len, hex));
}

/* RFC 5869, appendix A.1 to A.3: the second half, from the PRK on. */
static void
expanding_gives_the_values_of_rfc_5869(void **state)
{
    uint8_t prk[KEY_LEN], info[80], out[82];

    (void)state;
    for (uint8_t i = 0; i < 10; i++)
        info[i] = (uint8_t)(0xf0 + i);
    from_hex(prk, KEY_LEN,
             "077709362c2e32df0ddc3f0dc47bba63"
             "90b6c73bb50f9c3122ec844ad7c2b3e5");
    crypto_expand(out, 42, prk, slice_of(info, 10));
    assert_hex(out, 42,
               "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c"
               "5db02d56ecc4c5bf34007208d5b887185865");
    for (uint8_t i = 0; i < 80; i++)
        info[i] = (uint8_t)(0xb0 + i);
    from_hex(prk, KEY_LEN,
             "06a6b88c5853361a06104c9ceb35b45c"
             "ef760014904671014a193f40c15fc244");
    crypto_expand(out, 82, prk, slice_of(info, 80));
    assert_hex(out, 82,
               "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050"
               "cc4c19afa97c59045a99cac7827271cb41c65e590e09da327560"
               "0c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3"
               "434f1d87");
    from_hex(prk, KEY_LEN,
             "19ef24a32c717b167f33a91d6f648bdf"
             "96596776afdb6377ac434c1c293ccb04");
    crypto_expand(out, 42, prk, SLICE(""));
    assert_hex(out, 42,
               "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879e"
               "c3454e5f3c738d2d9d201395faa4b61a96c8");
}

static void
the_short_way_of_expanding_gives_the_same(void **state)
{
    uint8_t one[KEY_LEN], two[KEY_LEN];
    struct hmac_key prk;

    (void)state;
    hmac_key(&prk, slice_of(key, KEY_LEN));
    crypto_expand32(one, &prk, SLICE("info"));
    crypto_expand(two, KEY_LEN, key, SLICE("info"));
    assert_memory_equal(one, two, KEY_LEN);
    assert_hex(one, 32,
               "ae85c41cf42b06df615f9c0bbb675f05"
               "13fbf62a55da5dd2a65467d01b3c6f08");
}

/* The gear table takes 2048 bytes: 64 rounds. */
static void
long_expansions_begin_as_short_ones(void **state)
{
    uint8_t longest[2048], shorter[2048];

    (void)state;
    crypto_expand(longest, sizeof longest, key, SLICE("x"));
    for (size_t len = 0; len < sizeof shorter; len += 97) {
        memset(shorter, 0xee, sizeof shorter);
        crypto_expand(shorter, len, key, SLICE("x"));
        assert_memory_equal(shorter, longest, len);
        assert_int_equal(shorter[len], 0xee);
    }
}

static const struct {
    enum suite suite;
    const char *sealed;
} suites[] = {
    /* by another library: pyca/cryptography */
    { SUITE_AES256_GCM, "0ebbbbcba90fa98c3097ef784c77f3f0a23428d6a412fa8e28"
                        "31053e01348f8faeb80849d6f1b2172bdc57d8f54126038968"
                        "696bd591ce75749b74b4b8" },
    { SUITE_CHACHA20_POLY1305, "18bf4c24b1c58ce02b5e1a2cfb182c4e88c68d706d3ec1"
                               "fd44574aafeefea78592efe6982ded364c859e7e0950a3"
                               "9f81122448f145ecf260efb4820169" },
};

static void
fill_plain(uint8_t plain[45])
{
    for (size_t i = 0; i < 45; i++)
        plain[i] = (uint8_t)(i * 7);
}

static void
both_suites_give_the_bytes_of_another_library(void **state)
{
    CLEANUP(aead_free_p) struct aead *a = aead_new();
    uint8_t plain[45], sealed[45 + TAG_LEN], out[45];
    struct err e = { 0 };

    (void)state;
    fill_plain(plain);
    for (size_t i = 0; i < COUNT_OF(suites); i++) {
        aead_seal(a, suites[i].suite, key, SLICE("associated"), slice_of(plain, 45),
                  sealed);
        assert_hex(sealed, sizeof sealed, suites[i].sealed);
        assert_ok(aead_open(a, suites[i].suite, key, SLICE("associated"),
                            slice_of(sealed, sizeof sealed), out, &e),
                  &e);
        assert_memory_equal(out, plain, 45);
    }
}

static void
sealing_in_place_gives_the_same(void **state)
{
    CLEANUP(aead_free_p) struct aead *a = aead_new();
    uint8_t bytes[45 + TAG_LEN];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(suites); i++) {
        fill_plain(bytes);
        aead_seal(a, suites[i].suite, key, SLICE("associated"), slice_of(bytes, 45),
                  bytes);
        assert_hex(bytes, sizeof bytes, suites[i].sealed);
    }
}

struct sealed_by {
    struct aead *aead;
    enum suite suite;
};

static int
open_aead(void *arg, struct slice object, struct err *e)
{
    struct sealed_by *s = arg;
    uint8_t out[100];

    return aead_open(s->aead, s->suite, key, SLICE("associated"), object, out, e);
}

static void
damage_under_a_seal_is_noticed(void **state)
{
    CLEANUP(aead_free_p) struct aead *a = aead_new();
    uint8_t sealed[45 + TAG_LEN], plain[45], out[45], other[KEY_LEN] = { 9 };
    struct err e;

    (void)state;
    fill_plain(plain);
    for (size_t i = 0; i < COUNT_OF(suites); i++) {
        struct sealed_by s = { a, suites[i].suite };
        struct slice all = slice_of(sealed, sizeof sealed);
        aead_seal(a, s.suite, key, SLICE("associated"), slice_of(plain, 45), sealed);
        refuse_all_damage(all, open_aead, &s);
        assert_err(aead_open(a, s.suite, key, SLICE("other"), all, out, &e), &e,
                   ERR_CORRUPT);
        assert_err(aead_open(a, s.suite, other, SLICE("associated"), all, out, &e), &e,
                   ERR_CORRUPT);
        assert_err(aead_open(a, suites[1 - i].suite, key, SLICE("associated"), all, out,
                             &e),
                   &e, ERR_CORRUPT);
    }
}

static void
nothing_may_be_sealed_too(void **state)
{
    CLEANUP(aead_free_p) struct aead *a = aead_new();
    uint8_t tag[TAG_LEN], out[1];
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(suites); i++) {
        aead_seal(a, suites[i].suite, key, SLICE(""), SLICE(""), tag);
        assert_ok(aead_open(a, suites[i].suite, key, SLICE(""), slice_of(tag, TAG_LEN),
                            out, &e),
                  &e);
        tag[0] ^= 1;
        assert_err(aead_open(a, suites[i].suite, key, SLICE(""), slice_of(tag, TAG_LEN),
                             out, &e),
                   &e, ERR_CORRUPT);
    }
}

static void
the_best_suite_is_a_known_one(void **state)
{
    (void)state;
    assert_true(crypto_suite_known(crypto_best_suite()));
    assert_false(crypto_suite_known(0));
    assert_false(crypto_suite_known(3));
}

/* draft-irtf-cfrg-xchacha-03, appendix A.3.1. */
static void
locking_gives_the_values_of_the_draft(void **state)
{
    static const char plain[] = "Ladies and Gentlemen of the class of '99: If I could "
                                "offer you only one tip for the future, sunscreen would "
                                "be it.";
    AUTOBUF struct buf out = BUF(1000), back = BUF(1000);
    uint8_t k[KEY_LEN], nonce[NONCE_LEN], aad[12];
    struct err e = { 0 };

    (void)state;
    for (uint8_t i = 0; i < KEY_LEN; i++)
        k[i] = (uint8_t)(0x80 + i);
    for (uint8_t i = 0; i < NONCE_LEN; i++)
        nonce[i] = (uint8_t)(0x40 + i);
    from_hex(aad, sizeof aad, "50515253c0c1c2c3c4c5c6c7");
    crypto_lock(&out, k, nonce, slice_of(aad, sizeof aad), slice_str(plain));
    assert_memory_equal(out.ptr, nonce, NONCE_LEN);
    assert_hex(out.ptr + NONCE_LEN, out.len - NONCE_LEN,
               "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
               "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
               "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
               "21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780a"
               "cf49");
    buf_put_str(&back, "before ");
    assert_ok(crypto_unlock(&back, k, slice_of(aad, sizeof aad), buf_slice(&out), &e),
              &e);
    assert_memory_equal(back.ptr, "before Ladies", 13);
    assert_int_equal(back.len, 7 + strlen(plain));
}

static int
unlock(void *arg, struct slice object, struct err *e)
{
    AUTOBUF struct buf out = BUF(1000);
    int rc = crypto_unlock(&out, key, SLICE("aad"), object, e);

    (void)arg;
    assert_true(rc == 0 || out.len == 0);
    return rc;
}

static void
damage_under_a_lock_is_noticed(void **state)
{
    AUTOBUF struct buf locked = BUF(1000), out = BUF(1000);
    uint8_t nonce[NONCE_LEN] = { 5 };
    struct err e;

    (void)state;
    crypto_lock(&locked, key, nonce, SLICE("aad"), SLICE("small things"));
    refuse_all_damage(buf_slice(&locked), unlock, NULL);
    assert_err(crypto_unlock(&out, key, SLICE("AAD"), buf_slice(&locked), &e), &e,
               ERR_CORRUPT);
    buf_clear(&locked);
    crypto_lock(&locked, key, nonce, SLICE("aad"), SLICE(""));
    refuse_all_damage(buf_slice(&locked), unlock, NULL);
}

struct box {
    struct box_pair pair;
    uint8_t out[100];
};

static int
open_box(void *arg, struct slice object, struct err *e)
{
    struct box *b = arg;

    return box_open(b->out, &b->pair, object, e);
}

static void
a_sealed_box_opens_for_its_owner_only(void **state)
{
    uint8_t sealed[12 + BOX_LEN], again[12 + BOX_LEN], seed[KEY_LEN] = { 3 };
    struct box b, other;
    struct err e = { 0 };

    (void)state;
    box_generate(&b.pair);
    box_generate(&other.pair);
    box_seal(sealed, b.pair.pub, seed, SLICE("session key!"));
    assert_ok(open_box(&b, slice_of(sealed, sizeof sealed), &e), &e);
    assert_memory_equal(b.out, "session key!", 12);
    refuse_all_damage(slice_of(sealed, sizeof sealed), open_box, &b);
    assert_err(open_box(&other, slice_of(sealed, sizeof sealed), &e), &e, ERR_CORRUPT);
    box_seal(again, b.pair.pub, seed, SLICE("session key!"));
    assert_memory_equal(sealed, again, sizeof sealed); /* the seed is all its chance */
    seed[0] ^= 1;
    box_seal(again, b.pair.pub, seed, SLICE("session key!"));
    assert_memory_not_equal(sealed, again, sizeof sealed);
    assert_ok(open_box(&b, slice_of(again, sizeof again), &e), &e);
}

/* Ed25519 by another library, over label | SHA-256(data). */
static void
signatures_are_those_of_another_library(void **state)
{
    uint8_t pub[KEY_LEN], sig[SIGN_LEN];
    struct err e = { 0 };

    (void)state;
    sign_public(pub, key);
    assert_hex(pub, KEY_LEN,
               "03a107bff3ce10be1d70dd18e74bc099"
               "67e4d6309ba50d5f1ddc8664125531b8");
    sign_make(sig, key, "drtool-v1/test", SLICE("some data"));
    assert_hex(sig, SIGN_LEN,
               "7d1f33473f75fe8b15f616d53df3c1c2f02a6bd91ed1b31abc2ce511"
               "7de4253d4691cd93232ed1d8110eee1a3f74561e876e2d38b82a8e8a"
               "c46e211f76e6880a");
    assert_ok(sign_check(sig, pub, "drtool-v1/test", SLICE("some data"), &e), &e);
}

struct signature {
    uint8_t pub[KEY_LEN];
};

static int
check_signature(void *arg, struct slice object, struct err *e)
{
    struct signature *s = arg;

    if (object.len != SIGN_LEN)
        return err_set(e, ERR_FORGED, 0, "not the length");
    return sign_check(object.ptr, s->pub, "drtool-v1/test", SLICE("some data"), e);
}

static void
a_signature_fits_nothing_else(void **state)
{
    uint8_t sig[SIGN_LEN], other[KEY_LEN], seed[SEED_LEN] = { 1 };
    struct signature s;
    struct err e;

    (void)state;
    sign_public(s.pub, key);
    sign_public(other, seed);
    sign_make(sig, key, "drtool-v1/test", SLICE("some data"));
    refuse_all_damage(slice_of(sig, SIGN_LEN), check_signature, &s);
    assert_err(sign_check(sig, s.pub, "drtool-v1/test", SLICE("some datA"), &e), &e,
               ERR_FORGED);
    assert_err(sign_check(sig, s.pub, "drtool-v1/tesT", SLICE("some data"), &e), &e,
               ERR_FORGED);
    assert_err(sign_check(sig, s.pub, "drtool-v1/tes", SLICE("tsome data"), &e), &e,
               ERR_FORGED);
    assert_err(sign_check(sig, other, "drtool-v1/test", SLICE("some data"), &e), &e,
               ERR_FORGED);
}

/* BLAKE2b with the number as salt and the context as personalization. */
static void
derived_keys_are_those_of_another_library(void **state)
{
    uint8_t out[KEY_LEN], other[KEY_LEN];

    (void)state;
    crypto_derive(out, key, "drt-dir_", 5);
    assert_hex(out, KEY_LEN,
               "57b52f5698a43c7476e9ff3817a16fc9"
               "a3a6031c0890cc68b266491f3433dc72");
    crypto_derive(other, key, "drt-dir_", 6);
    assert_memory_not_equal(out, other, KEY_LEN);
    crypto_derive(other, key, "drt-cut_", 5);
    assert_memory_not_equal(out, other, KEY_LEN);
}

static void
stretching_gives_the_bytes_of_another_library(void **state)
{
    uint8_t out[64];
    struct err e = { 0 };

    (void)state;
    assert_ok(crypto_stretch(out, SLICE("a passphrase"), key, 2, 64, &e), &e);
    assert_hex(out, 64,
               "f6bff315437a0dea3e819cc697effbaa3fa68ff144dcffd349465da07af2214f"
               "bd2439be8ea7016986ae0f48d8508d9ecbebae161b7d61dda45ea7bddadf74a2");
}

/* These numbers come from a slot, that is from outside. */
static void
excessive_costs_are_refused_before_anything_is_taken(void **state)
{
    static const uint32_t costs[][2] = {
        { 17, 64 }, { 0, 64 }, { 1, (4u << 20) + 1 },      { 1, UINT32_MAX },
        { 1, 7 },   { 1, 0 },  { UINT32_MAX, UINT32_MAX },
    };
    uint8_t out[64];
    struct err e;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(costs); i++)
        assert_err(crypto_stretch(out, SLICE("x"), key, costs[i][0], costs[i][1], &e), &e,
                   ERR_CORRUPT);
}

static void
the_usual_cost_is_within_the_limits(void **state)
{
    uint32_t passes = 0, memory_kib = 0;

    (void)state;
    crypto_stretch_cost(&passes, &memory_kib);
    assert_in_range(passes, 3, 16);
    assert_in_range(memory_kib, 64 << 10, 4 << 20);
}

/* The reference implementation's vector for 15 bytes. */
static void
the_short_hash_is_siphash(void **state)
{
    (void)state;
    assert_true(crypto_short_hash(key, slice_of(key, 15)) == 0xa129ca6149be45e5);
}

static void
locked_memory_is_zero_and_can_be_wiped(void **state)
{
    static const uint8_t zero[1000];

    (void)state;
    uint8_t *p = crypto_alloc(1000);
    assert_memory_equal(p, zero, 1000);
    memset(p, 7, 1000);
    crypto_wipe(p, 1000);
    assert_memory_equal(p, zero, 1000);
    assert_true(crypto_equal(p, zero, 1000));
    p[999] = 1;
    assert_false(crypto_equal(p, zero, 1000));
    crypto_free(p);
    crypto_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expanding_gives_the_values_of_rfc_5869),
        cmocka_unit_test(the_short_way_of_expanding_gives_the_same),
        cmocka_unit_test(long_expansions_begin_as_short_ones),
        cmocka_unit_test(both_suites_give_the_bytes_of_another_library),
        cmocka_unit_test(sealing_in_place_gives_the_same),
        cmocka_unit_test(damage_under_a_seal_is_noticed),
        cmocka_unit_test(nothing_may_be_sealed_too),
        cmocka_unit_test(the_best_suite_is_a_known_one),
        cmocka_unit_test(locking_gives_the_values_of_the_draft),
        cmocka_unit_test(damage_under_a_lock_is_noticed),
        cmocka_unit_test(a_sealed_box_opens_for_its_owner_only),
        cmocka_unit_test(signatures_are_those_of_another_library),
        cmocka_unit_test(a_signature_fits_nothing_else),
        cmocka_unit_test(derived_keys_are_those_of_another_library),
        cmocka_unit_test(stretching_gives_the_bytes_of_another_library),
        cmocka_unit_test(excessive_costs_are_refused_before_anything_is_taken),
        cmocka_unit_test(the_usual_cost_is_within_the_limits),
        cmocka_unit_test(the_short_hash_is_siphash),
        cmocka_unit_test(locked_memory_is_zero_and_can_be_wiped),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
