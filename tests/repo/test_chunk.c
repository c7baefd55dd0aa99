#include "support/fixture.h"

/* Keys, a session and tools, and one sealed chunk. */
struct bench {
    struct keys *keys;
    struct random random;
    struct session *session;
    struct chunk_tools tools;
    struct hmac_key prk[3];
    uint8_t plain[4000], sealed[8000], out[CHUNK_RAW_MAX];
    struct chunk_record rec;
};

static void
bench_release(struct bench **b)
{
    chunk_tools_release(&(*b)->tools);
    session_free((*b)->session);
    keys_free((*b)->keys);
    mem_free(*b);
}

static struct bench *
bench_new(void)
{
    struct bench *b = mem_zalloc(sizeof *b);
    struct err e = { 0 };

    crypto_init();
    b->keys = keys_new();
    keys_generate(b->keys);
    b->random.seed = 1;
    b->session = session_new(b->keys, &b->random);
    chunk_tools_init(&b->tools, 1);
    for (int c = CLASS_DATA; c <= CLASS_META; c++)
        assert_ok(chunk_key_open(b->keys, &b->session->key[c], &b->prk[c], &e), &e);
    return b;
}

#define BENCH(name) CLEANUP(bench_release) struct bench *name = bench_new()

/* Seals what is in plain[0..len). */
static void
seal(struct bench *b, enum chunk_kind kind, size_t len, bool store)
{
    struct slice plain = slice_of(b->plain, len);
    struct chunk_id id;

    keys_chunk_id(b->keys, (uint8_t)kind, plain, &id);
    assert_true(chunk_room(len) <= sizeof b->sealed);
    chunk_seal(&b->tools, b->keys, b->session, kind, &id, 7, plain, store, b->sealed,
               &b->rec);
}

static int
unseal(struct bench *b, const struct chunk_record *rec, struct slice sealed,
       struct err *e)
{
    enum chunk_class class = chunk_class_of(rec->kind);

    return chunk_open(&b->tools, b->keys, b->session->key[class].suite, &b->prk[class],
                      rec, sealed, b->out, e);
}

static void
a_chunk_comes_back_as_it_was_sealed(void **state)
{
    static const size_t lengths[] = { 0, 1, 15, 16, 1000, 4000 };
    struct err e = { 0 };
    BENCH(b);

    (void)state;
    for (int kind = KIND_FILE; kind <= KIND_CONFIG; kind++)
        for (size_t i = 0; i < COUNT_OF(lengths); i++)
            for (int how = 0; how < 3; how++) {
                memset(b->plain, 'a', sizeof b->plain);
                if (how == 2)
                    fill_bytes(b->plain, sizeof b->plain, i);
                seal(b, (enum chunk_kind)kind, lengths[i], how == 0);
                assert_ok(unseal(b, &b->rec, slice_of(b->sealed, b->rec.stored), &e), &e);
                assert_int_equal(b->rec.raw, lengths[i]);
                assert_memory_equal(b->out, b->plain, lengths[i]);
            }
}

static void
what_does_not_shrink_is_stored_raw(void **state)
{
    BENCH(b);

    (void)state;
    fill_bytes(b->plain, sizeof b->plain, 1);
    seal(b, KIND_FILE, 4000, false);
    assert_int_equal(b->rec.encoding, ENCODING_RAW);
    assert_int_equal(b->rec.stored, 4000 + TAG_LEN);
    memset(b->plain, 'a', sizeof b->plain);
    seal(b, KIND_FILE, 4000, false);
    assert_int_equal(b->rec.encoding, ENCODING_ZSTD);
    assert_true(b->rec.stored < 100);
    seal(b, KIND_FILE, 4000, true); /* files with secrets are never compressed */
    assert_int_equal(b->rec.encoding, ENCODING_RAW);
}

static int
open_bench(void *arg, struct slice object, struct err *e)
{
    struct bench *b = arg;

    return unseal(b, &b->rec, object, e);
}

static void
a_damaged_chunk_is_refused(void **state)
{
    BENCH(b);

    (void)state;
    fill_bytes(b->plain, sizeof b->plain, 1);
    seal(b, KIND_FILE, 100, false);
    refuse_all_damage(slice_of(b->sealed, b->rec.stored), open_bench, b);
    memset(b->plain, 'a', sizeof b->plain);
    seal(b, KIND_NODE, 4000, false);
    refuse_all_damage(slice_of(b->sealed, b->rec.stored), open_bench, b);
}

/* Everything that tells what the chunk is, is bound by the seal. */
static void
a_record_that_is_not_this_chunks_is_refused(void **state)
{
    struct chunk_record wrong;
    struct err e;
    BENCH(b);

    (void)state;
    memset(b->plain, 'a', sizeof b->plain);
    seal(b, KIND_FILE, 4000, false);
    struct slice sealed = slice_of(b->sealed, b->rec.stored);
#define WITH(change)                                                \
    do {                                                            \
        wrong = b->rec;                                             \
        change;                                                     \
        assert_err(unseal(b, &wrong, sealed, &e), &e, ERR_CORRUPT); \
    } while (0)
    WITH(wrong.id.bytes[0] ^= 1);
    WITH(wrong.counter++);
    WITH(wrong.raw--);
    WITH(wrong.raw++);
    WITH(wrong.raw = CHUNK_RAW_MAX + 1);
    WITH(wrong.raw = UINT32_MAX);
    WITH(wrong.stored--);
    WITH(wrong.stored = UINT32_MAX);
    WITH(wrong.encoding = ENCODING_RAW);
    WITH(wrong.encoding = 2);
    WITH(wrong.kind = KIND_BUNDLE);
    WITH(wrong.kind = KIND_NODE);
    WITH(wrong.kind = 0);
    WITH(wrong.kind = KIND_CONFIG + 1);
#undef WITH
}

static void
a_chunk_of_another_repository_is_refused(void **state)
{
    struct err e;
    BENCH(b);

    (void)state;
    seal(b, KIND_FILE, 1000, false);
    b->keys->repo_id[0] ^= 1;
    assert_err(unseal(b, &b->rec, slice_of(b->sealed, b->rec.stored), &e), &e,
               ERR_CORRUPT);
}

/* A writer that lies about the id: the seal holds, the name does not. */
static void
a_chunk_that_is_not_what_its_id_says_is_refused(void **state)
{
    struct chunk_id id = { { 1, 2, 3 } };
    struct err e;
    BENCH(b);

    (void)state;
    for (int store = 0; store < 2; store++) {
        chunk_seal(&b->tools, b->keys, b->session, KIND_FILE, &id, 7,
                   slice_of(b->plain, 1000), store, b->sealed, &b->rec);
        assert_err(unseal(b, &b->rec, slice_of(b->sealed, b->rec.stored), &e), &e,
                   ERR_CORRUPT);
    }
}

/* Nonces are zero, so a key must never serve twice. */
static void
equal_chunks_are_sealed_under_different_keys(void **state)
{
    uint8_t first[8000];
    BENCH(b);

    (void)state;
    seal(b, KIND_FILE, 1000, true);
    memcpy(first, b->sealed, sizeof first);
    struct chunk_id id = b->rec.id;
    chunk_seal(&b->tools, b->keys, b->session, KIND_FILE, &id, 8,
               slice_of(b->plain, 1000), true, b->sealed, &b->rec);
    assert_memory_not_equal(first, b->sealed, 1000);
}

static void
a_chunk_may_be_as_large_as_the_format_says(void **state)
{
    AUTOFREE uint8_t *plain = mem_zalloc(CHUNK_RAW_MAX);
    AUTOFREE uint8_t *sealed = mem_alloc(chunk_room(CHUNK_RAW_MAX));
    struct err e = { 0 };
    struct chunk_id id;
    BENCH(b);

    (void)state;
    for (int noise = 0; noise < 2; noise++) {
        if (noise)
            fill_bytes(plain, CHUNK_RAW_MAX, 4);
        keys_chunk_id(b->keys, KIND_FILE, slice_of(plain, CHUNK_RAW_MAX), &id);
        chunk_seal(&b->tools, b->keys, b->session, KIND_FILE, &id, 1,
                   slice_of(plain, CHUNK_RAW_MAX), false, sealed, &b->rec);
        assert_true(b->rec.stored <= CHUNK_STORED_MAX);
        assert_ok(unseal(b, &b->rec, slice_of(sealed, b->rec.stored), &e), &e);
        assert_memory_equal(b->out, plain, CHUNK_RAW_MAX);
    }
}

static void
a_session_key_comes_back_as_it_was_put(void **state)
{
    AUTOBUF struct buf out = BUF(CHUNK_KEY_LEN);
    struct chunk_key back;
    BENCH(b);

    (void)state;
    chunk_key_put(&out, &b->session->key[CLASS_META]);
    assert_int_equal(out.len, CHUNK_KEY_LEN);
    assert_true(chunk_key_parse(buf_slice(&out), &back));
    assert_int_equal(back.class, CLASS_META);
    assert_int_equal(back.suite, b->session->key[CLASS_META].suite);
    assert_int_equal(back.epoch, 1);
    assert_memory_equal(back.sealed, b->session->key[CLASS_META].sealed, SEALED_KEY_LEN);
    for (size_t len = 0; len < CHUNK_KEY_LEN; len++)
        assert_false(chunk_key_parse(slice_of(out.ptr, len), &back));
    out.ptr[0] = 3;
    assert_false(chunk_key_parse(buf_slice(&out), &back));
    out.ptr[0] = CLASS_DATA;
    out.ptr[1] = 9;
    assert_false(chunk_key_parse(buf_slice(&out), &back));
}

static int
open_session_key(void *arg, struct slice object, struct err *e)
{
    struct bench *b = arg;
    struct chunk_key k = b->session->key[CLASS_DATA];
    struct hmac_key prk;

    if (object.len != sizeof k.sealed)
        return err_set(e, ERR_CORRUPT, 0, "not the length");
    memcpy(k.sealed, object.ptr, sizeof k.sealed);
    return chunk_key_open(b->keys, &k, &prk, e);
}

static void
a_damaged_session_key_is_refused(void **state)
{
    BENCH(b);

    (void)state;
    refuse_all_damage(slice_of(b->session->key[CLASS_DATA].sealed, SEALED_KEY_LEN),
                      open_session_key, b);
}

static void
a_role_without_the_private_key_is_denied(void **state)
{
    struct hmac_key prk;
    struct err e = { 0 };
    BENCH(b);

    (void)state;
    b->keys->epochs[0].can_open[CLASS_DATA] = false;
    b->keys->role = ROLE_MAINTAIN;
    assert_ok(chunk_key_open(b->keys, &b->session->key[CLASS_META], &prk, &e), &e);
    assert_int_equal(chunk_key_open(b->keys, &b->session->key[CLASS_DATA], &prk, &e), -1);
    assert_int_equal(e.kind, ERR_DENIED);
    assert_non_null(strstr(err_text(&e), "maintain"));
    struct chunk_key later = b->session->key[CLASS_META];
    later.epoch = 2;
    assert_err(chunk_key_open(b->keys, &later, &prk, &e), &e, ERR_DENIED);
}

/* A fixed seed fixes the session's secrets, but no two runs share them. */
static void
sessions_differ(void **state)
{
    BENCH(b);
    CLEANUP(session_free_p) struct session *other = session_new(b->keys, NULL);

    (void)state;
    assert_memory_not_equal(other->id, b->session->id, ID_LEN);
    assert_memory_not_equal(&other->prk[CLASS_DATA], &b->session->prk[CLASS_DATA],
                            sizeof(struct hmac_key));
    assert_memory_not_equal(&other->prk[CLASS_DATA], &other->prk[CLASS_META],
                            sizeof(struct hmac_key));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chunk_comes_back_as_it_was_sealed),
        cmocka_unit_test(what_does_not_shrink_is_stored_raw),
        cmocka_unit_test(a_damaged_chunk_is_refused),
        cmocka_unit_test(a_record_that_is_not_this_chunks_is_refused),
        cmocka_unit_test(a_chunk_of_another_repository_is_refused),
        cmocka_unit_test(a_chunk_that_is_not_what_its_id_says_is_refused),
        cmocka_unit_test(equal_chunks_are_sealed_under_different_keys),
        cmocka_unit_test(a_chunk_may_be_as_large_as_the_format_says),
        cmocka_unit_test(a_session_key_comes_back_as_it_was_put),
        cmocka_unit_test(a_damaged_session_key_is_refused),
        cmocka_unit_test(a_role_without_the_private_key_is_denied),
        cmocka_unit_test(sessions_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
