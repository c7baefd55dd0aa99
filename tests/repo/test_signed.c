#include "../../src/repo/signed.h"
#include "support/fixture.h"

/* One host that is known, beside root and maintenance. */
struct ring {
    uint8_t repo[ID_LEN], host[ID_LEN], seed[SEED_LEN];
    bool revoked;
};

static void
ring_init(struct ring *r)
{
    crypto_init();
    fill_bytes(r->repo, ID_LEN, 1);
    fill_bytes(r->host, ID_LEN, 2);
    fill_bytes(r->seed, SEED_LEN, 3);
    r->revoked = false;
}

static bool
known(void *arg, const uint8_t signer[ID_LEN], uint8_t pub[KEY_LEN])
{
    const struct ring *r = arg;

    if (memcmp(signer, r->host, ID_LEN) != 0)
        return false;
    sign_public(pub, r->seed);
    return !r->revoked; /* the answer alone decides */
}

static void
make(const struct ring *r, enum object_type type, struct buf *out)
{
    struct header h = { .type = type };

    memcpy(h.repo, r->repo, ID_LEN);
    header_put(out, &h);
    buf_put_str(out, "the body");
    signed_end(out, type, r->host, r->seed);
}

static int
open_done(void *arg, struct slice object, struct err *e)
{
    struct ring *r = arg;
    uint8_t signer[ID_LEN];
    struct slice body;
    struct header h;

    return signed_open(object, OBJECT_DONE, r->repo, known, r, &h, signer, &body, e);
}

static void
a_signed_object_tells_its_body_and_its_signer(void **state)
{
    AUTOBUF struct buf object = BUF(1000);
    uint8_t signer[ID_LEN];
    struct err e = { 0 };
    struct slice body;
    struct header h;
    struct ring r;

    (void)state;
    ring_init(&r);
    make(&r, OBJECT_DONE, &object);
    assert_ok(signed_open(buf_slice(&object), OBJECT_DONE, r.repo, known, &r, &h, signer,
                          &body, &e),
              &e);
    assert_true(slice_equal(body, SLICE("the body")));
    assert_memory_equal(signer, r.host, ID_LEN);
}

static void
an_empty_body_may_be_signed(void **state)
{
    struct header h = { .type = OBJECT_DONE };
    AUTOBUF struct buf object = BUF(1000);
    struct ring r;

    (void)state;
    ring_init(&r);
    memcpy(h.repo, r.repo, ID_LEN);
    header_put(&object, &h);
    signed_end(&object, OBJECT_DONE, r.host, r.seed);
    refuse_all_damage(buf_slice(&object), open_done, &r);
}

static void
any_damage_of_a_signed_object_is_refused(void **state)
{
    AUTOBUF struct buf object = BUF(1000);
    struct ring r;

    (void)state;
    ring_init(&r);
    make(&r, OBJECT_DONE, &object);
    refuse_all_damage(buf_slice(&object), open_done, &r);
}

static void
bytes_added_to_a_signed_object_are_refused(void **state)
{
    AUTOBUF struct buf object = BUF(1000);
    struct ring r;
    struct err e;

    (void)state;
    ring_init(&r);
    make(&r, OBJECT_DONE, &object);
    buf_put_u8(&object, 0);
    assert_err(open_done(&r, buf_slice(&object), &e), &e, ERR_FORGED);
}

/* A done/ must not be made out of a gone/ by changing one letter. */
static void
a_signature_serves_one_type_only(void **state)
{
    AUTOBUF struct buf gone = BUF(1000), done = BUF(1000);
    struct header h = { .type = OBJECT_DONE };
    struct ring r;
    struct err e;

    (void)state;
    ring_init(&r);
    make(&r, OBJECT_GONE, &gone);
    assert_err(open_done(&r, buf_slice(&gone), &e), &e, ERR_FORGED);
    memcpy(h.repo, r.repo, ID_LEN);
    header_put(&done, &h);
    buf_put_slice(&done, slice_sub(buf_slice(&gone), HEADER_LEN, gone.len - HEADER_LEN));
    assert_err(open_done(&r, buf_slice(&done), &e), &e, ERR_FORGED);
}

static void
an_unknown_or_revoked_signer_is_refused(void **state)
{
    AUTOBUF struct buf object = BUF(1000);
    struct ring r;
    struct err e;

    (void)state;
    ring_init(&r);
    make(&r, OBJECT_DONE, &object);
    r.revoked = true;
    assert_err(open_done(&r, buf_slice(&object), &e), &e, ERR_FORGED);
}

/* A stranger signs with a key of its own and claims to be the known host. */
static void
a_signature_by_another_key_is_refused(void **state)
{
    AUTOBUF struct buf object = BUF(1000);
    struct ring r, stranger;
    struct err e;

    (void)state;
    ring_init(&r);
    stranger = r;
    fill_bytes(stranger.seed, SEED_LEN, 99);
    make(&stranger, OBJECT_DONE, &object);
    assert_err(open_done(&r, buf_slice(&object), &e), &e, ERR_FORGED);
}

static void
an_object_of_another_repository_is_refused(void **state)
{
    AUTOBUF struct buf object = BUF(1000);
    struct ring r, other;
    struct err e;

    (void)state;
    ring_init(&r);
    other = r;
    other.repo[0] ^= 1;
    make(&other, OBJECT_DONE, &object);
    assert_err(open_done(&r, buf_slice(&object), &e), &e, ERR_FORGED);
}

static void
associated_data_tells_type_and_header(void **state)
{
    AUTOBUF struct buf object = BUF(1000), a = BUF(200), b = BUF(200);
    struct ring r;

    (void)state;
    ring_init(&r);
    make(&r, OBJECT_DONE, &object);
    signed_associated(&a, OBJECT_DONE, buf_slice(&object));
    signed_associated(&b, OBJECT_GONE, buf_slice(&object));
    assert_false(slice_equal(buf_slice(&a), buf_slice(&b)));
    assert_int_equal(a.len, strlen("drtool-v1/done") + HEADER_LEN);
    buf_clear(&b);
    object.ptr[20] ^= 1;
    signed_associated(&b, OBJECT_DONE, buf_slice(&object));
    assert_false(slice_equal(buf_slice(&a), buf_slice(&b)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signed_object_tells_its_body_and_its_signer),
        cmocka_unit_test(an_empty_body_may_be_signed),
        cmocka_unit_test(any_damage_of_a_signed_object_is_refused),
        cmocka_unit_test(bytes_added_to_a_signed_object_are_refused),
        cmocka_unit_test(a_signature_serves_one_type_only),
        cmocka_unit_test(an_unknown_or_revoked_signer_is_refused),
        cmocka_unit_test(a_signature_by_another_key_is_refused),
        cmocka_unit_test(an_object_of_another_repository_is_refused),
        cmocka_unit_test(associated_data_tells_type_and_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
