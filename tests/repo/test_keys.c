#include "support/fixture.h"
#include "base/text.h"

static const uint8_t zero[KEY_LEN];

static struct keys *
new_keys(void)
{
    crypto_init();
    struct keys *k = keys_new();
    keys_generate(k);
    return k;
}

/* A slot of a role under a key file's secret. */
static void
make_slot(const struct keys *k, enum role role, const uint8_t secret[KEY_FILE_SECRET],
          struct buf *out)
{
    struct err e = { 0 };
    char key[22];

    assert_ok(slot_make(k, role, SLOT_FILE, slice_of(secret, KEY_FILE_SECRET), out, key,
                        &e),
              &e);
    assert_int_equal(strlen(key), 21);
    assert_true(storage_key_valid(key));
}

static struct keys *
through_a_slot(const struct keys *k, enum role role)
{
    AUTOBUF struct buf object = BUF(SLOT_MAX);
    uint8_t secret[KEY_FILE_SECRET];
    struct keys *out = NULL;
    struct err e = { 0 };

    fill_bytes(secret, sizeof secret, 5);
    make_slot(k, role, secret, &object);
    assert_int_equal(slot_open(buf_slice(&object), SLOT_FILE,
                               slice_of(secret, sizeof secret), &out, &e),
                     1);
    assert_int_equal(out->role, role);
    return out;
}

static void
assert_same_names(const struct keys *a, const struct keys *b)
{
    struct chunk_id x, y;
    char s[17], t[17];

    keys_chunk_id(a, 1, SLICE("content"), &x);
    keys_chunk_id(b, 1, SLICE("content"), &y);
    assert_memory_equal(&x, &y, sizeof x);
    keys_host_tag(a, a->repo_id, s);
    keys_host_tag(b, a->repo_id, t);
    assert_string_equal(s, t);
    assert_memory_equal(a->gear, b->gear, sizeof a->gear);
    assert_memory_equal(a->bundle_cut, b->bundle_cut, 16);
    assert_memory_equal(a->manifest_cut, b->manifest_cut, 16);
    assert_memory_equal(a->index_key, b->index_key, KEY_LEN);
    assert_memory_equal(a->conf_key, b->conf_key, KEY_LEN);
    assert_memory_equal(a->root_pub, b->root_pub, KEY_LEN);
    assert_memory_equal(a->maintain_pub, b->maintain_pub, KEY_LEN);
    assert_memory_equal(a->repo_id, b->repo_id, ID_LEN);
}

static void
every_role_names_things_alike(void **state)
{
    CLEANUP(keys_free_p) struct keys *k = new_keys();

    (void)state;
    for (enum role r = ROLE_ADMIN; r <= ROLE_WRITER; r++) {
        CLEANUP(keys_free_p) struct keys *opened = through_a_slot(k, r);
        assert_same_names(k, opened);
    }
}

static void
an_admin_has_everything(void **state)
{
    CLEANUP(keys_free_p) struct keys *k = new_keys();
    CLEANUP(keys_free_p) struct keys *admin = through_a_slot(k, ROLE_ADMIN);

    (void)state;
    assert_true(admin->has_root && admin->has_maintain);
    assert_memory_equal(admin->root_seed, k->root_seed, SEED_LEN);
    assert_memory_equal(admin->maintain_seed, k->maintain_seed, SEED_LEN);
    assert_true(keys_can_open(admin, CLASS_DATA) && keys_can_open(admin, CLASS_META));
}

/* What a role may not do must not lie in its slot at all. */
static void
a_slot_holds_only_what_its_role_may(void **state)
{
    static const struct {
        enum role role;
        bool data, meta, root, maintain;
    } may[] = {
        { ROLE_READER, true, true, false, false },
        { ROLE_MAINTAIN, false, true, false, true },
        { ROLE_WRITER, false, false, false, false },
    };
    CLEANUP(keys_free_p) struct keys *k = new_keys();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(may); i++) {
        CLEANUP(keys_free_p) struct keys *o = through_a_slot(k, may[i].role);
        assert_int_equal(keys_can_open(o, CLASS_DATA), may[i].data);
        assert_int_equal(keys_can_open(o, CLASS_META), may[i].meta);
        assert_int_equal(o->has_root, may[i].root);
        assert_int_equal(o->has_maintain, may[i].maintain);
        for (int c = CLASS_DATA; c <= CLASS_META; c++) {
            bool there = c == CLASS_DATA ? may[i].data : may[i].meta;
            assert_int_equal(memcmp(o->epochs[0].pair[c].sec, zero, KEY_LEN) != 0, there);
            assert_memory_equal(o->epochs[0].pair[c].pub, k->epochs[0].pair[c].pub,
                                KEY_LEN);
        }
        assert_int_equal(memcmp(o->root_seed, zero, SEED_LEN) != 0, may[i].root);
        assert_int_equal(memcmp(o->maintain_seed, zero, SEED_LEN) != 0, may[i].maintain);
    }
}

/* A reader who makes a slot of role admin gets none of what it lacks. */
static void
a_slot_cannot_give_more_than_its_maker_has(void **state)
{
    CLEANUP(keys_free_p) struct keys *k = new_keys();
    CLEANUP(keys_free_p) struct keys *writer = through_a_slot(k, ROLE_WRITER);
    CLEANUP(keys_free_p) struct keys *raised = through_a_slot(writer, ROLE_ADMIN);

    (void)state;
    assert_false(raised->has_root || raised->has_maintain);
    assert_false(keys_can_open(raised, CLASS_DATA) || keys_can_open(raised, CLASS_META));
}

static void
another_secret_does_not_open_a_slot(void **state)
{
    CLEANUP(keys_free_p) struct keys *k = new_keys();
    AUTOBUF struct buf object = BUF(SLOT_MAX);
    uint8_t secret[KEY_FILE_SECRET];
    struct keys *out = NULL;
    struct err e = { 0 };

    (void)state;
    fill_bytes(secret, sizeof secret, 5);
    make_slot(k, ROLE_ADMIN, secret, &object);
    secret[31] ^= 1;
    assert_int_equal(slot_open(buf_slice(&object), SLOT_FILE,
                               slice_of(secret, sizeof secret), &out, &e),
                     0);
    assert_int_equal(slot_open(buf_slice(&object), SLOT_CODE,
                               slice_of(secret, sizeof secret), &out, &e),
                     0);
    assert_null(out);
}

/* With a flipped bit a slot is damaged, or this secret is not its own any
 * more; under no circumstances does it open. */
static void
a_damaged_slot_never_opens(void **state)
{
    CLEANUP(keys_free_p) struct keys *k = new_keys();
    AUTOBUF struct buf object = BUF(SLOT_MAX);
    uint8_t secret[KEY_FILE_SECRET];
    struct keys *out = NULL;

    (void)state;
    fill_bytes(secret, sizeof secret, 5);
    make_slot(k, ROLE_ADMIN, secret, &object);
    for (size_t i = 0; i < object.len; i++)
        for (int bit = 0; bit < 8; bit++) {
            struct err e = { 0 };
            object.ptr[i] ^= (uint8_t)(1 << bit);
            int rc = slot_open(buf_slice(&object), SLOT_FILE,
                               slice_of(secret, sizeof secret), &out, &e);
            object.ptr[i] ^= (uint8_t)(1 << bit);
            if (rc == 1 || (rc < 0 && e.kind != ERR_CORRUPT && e.kind != ERR_FORGED))
                fail_msg("bit %d of byte %zu: %d, %s", bit, i, rc, err_text(&e));
        }
    for (size_t len = 0; len < object.len; len++) {
        AUTOFREE uint8_t *cut = mem_alloc(len + !len);
        struct err e = { 0 };
        memcpy(cut, object.ptr, len);
        assert_int_equal(slot_open(slice_of(cut, len), SLOT_FILE,
                                   slice_of(secret, sizeof secret), &out, &e),
                         -1);
        assert_int_equal(e.kind, ERR_CORRUPT);
    }
    assert_null(out);
}

/* A slot that asks for 4 TiB of memory must not get the chance to take it. */
static void
a_slot_with_excessive_cost_is_refused(void **state)
{
    static const uint32_t costs[][2] = { { 17, 1024 },
                                         { 1, (4u << 20) + 1 },
                                         { UINT32_MAX, UINT32_MAX },
                                         { 0, 1024 },
                                         { 1, 0 } };
    CLEANUP(keys_free_p) struct keys *k = new_keys();
    AUTOBUF struct buf object = BUF(SLOT_MAX);
    uint8_t secret[KEY_FILE_SECRET] = { 0 };

    (void)state;
    make_slot(k, ROLE_ADMIN, secret, &object);
    object.ptr[HEADER_LEN] = SLOT_PASSPHRASE;
    for (size_t i = 0; i < COUNT_OF(costs); i++) {
        struct keys *out = NULL;
        struct err e;
        put_u32(object.ptr + HEADER_LEN + 4, costs[i][0]);
        put_u32(object.ptr + HEADER_LEN + 8, costs[i][1]);
        assert_err(slot_open(buf_slice(&object), SLOT_PASSPHRASE, SLICE("secret"), &out,
                             &e),
                   &e, ERR_CORRUPT);
        assert_null(out);
    }
}

static void
a_passphrase_opens_its_slot(void **state)
{
    CLEANUP(keys_free_p) struct keys *k = new_keys();
    CLEANUP(keys_free_p) struct keys *out = NULL;
    AUTOBUF struct buf object = BUF(SLOT_MAX);
    struct slot_info info;
    struct err e = { 0 };
    char key[22];

    (void)state;
    assert_ok(slot_make(k, ROLE_READER, SLOT_PASSPHRASE, SLICE("a b c"), &object, key,
                        &e),
              &e);
    assert_ok(slot_info(buf_slice(&object), &info, &e), &e);
    assert_int_equal(info.kind, SLOT_PASSPHRASE);
    assert_int_equal(info.role, ROLE_READER);
    assert_memory_equal(info.repo_id, k->repo_id, ID_LEN);
    assert_int_equal(slot_open(buf_slice(&object), SLOT_PASSPHRASE, SLICE("a b c"), &out,
                               &e),
                     1);
    assert_same_names(k, out);
}

static void
a_key_file_comes_back_as_it_was_written(void **state)
{
    uint8_t secret[KEY_FILE_SECRET], back[KEY_FILE_SECRET];
    AUTOBUF struct buf text = BUF(200);
    struct err e = { 0 };

    (void)state;
    fill_bytes(secret, sizeof secret, 8);
    key_file_text(secret, &text);
    assert_int_equal(text.ptr[text.len - 1], '\n');
    assert_ok(key_file_parse(buf_slice(&text), back, &e), &e);
    assert_memory_equal(back, secret, sizeof secret);
    buf_put_str(&text, " \r\n"); /* an editor's */
    assert_ok(key_file_parse(buf_slice(&text), back, &e), &e);
}

static void
what_is_no_key_file_is_refused(void **state)
{
    uint8_t secret[KEY_FILE_SECRET] = { 0xab };
    AUTOBUF struct buf text = BUF(200);
    struct err e;

    (void)state;
    key_file_text(secret, &text);
    for (size_t len = 0; len + 1 < text.len; len++)
        assert_err(key_file_parse(slice_of(text.ptr, len), secret, &e), &e, ERR_USAGE);
    text.ptr[20] = 'g';
    assert_err(key_file_parse(buf_slice(&text), secret, &e), &e, ERR_USAGE);
    assert_err(key_file_parse(SLICE("0123456789"), secret, &e), &e, ERR_USAGE);
}

static void
a_recovery_code_is_read_as_people_write_it(void **state)
{
    uint8_t secret[CODE_SECRET], back[CODE_SECRET];
    char code[CODE_TEXT_LEN + 1], sloppy[3 * CODE_TEXT_LEN];
    struct err e = { 0 };

    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        size_t n = 0;
        fill_bytes(secret, sizeof secret, seed);
        code_text(secret, code);
        assert_int_equal(strlen(code), CODE_TEXT_LEN);
        assert_ok(code_parse(code, back, &e), &e);
        assert_memory_equal(back, secret, sizeof secret);
        for (const char *p = code; *p; p++) {
            char c = *p == '0' ? 'o' : *p == '1' ? (seed % 2 ? 'l' : 'I') : *p;
            if (c >= 'A' && c <= 'Z' && c != 'I')
                c = (char)(c - 'A' + 'a');
            if (c != '-')
                sloppy[n++] = c;
            if (n % 3 == 0)
                sloppy[n++] = ' ';
        }
        sloppy[n] = 0;
        assert_ok(code_parse(sloppy, back, &e), &e);
        assert_memory_equal(back, secret, sizeof secret);
    }
}

/* Each letter mistyped, and each pair of neighbours swapped. */
static void
a_mistyped_recovery_code_is_noticed(void **state)
{
    static const char letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint8_t secret[CODE_SECRET], back[CODE_SECRET];
    char code[CODE_TEXT_LEN + 1];
    struct err e;

    (void)state;
    crypto_init();
    fill_bytes(secret, sizeof secret, 3);
    code_text(secret, code);
    for (size_t i = 0; i < CODE_TEXT_LEN; i++) {
        char right = code[i];
        if (right == '-')
            continue;
        for (const char *wrong = letters; *wrong; wrong++) {
            if (*wrong == right)
                continue;
            code[i] = *wrong;
            assert_err(code_parse(code, back, &e), &e, ERR_USAGE);
        }
        code[i] = right;
        if (i > 0 && code[i - 1] != '-' && code[i - 1] != right) {
            code[i] = code[i - 1];
            code[i - 1] = right;
            assert_err(code_parse(code, back, &e), &e, ERR_USAGE);
            code[i - 1] = code[i];
            code[i] = right;
        }
    }
}

static void
what_is_no_recovery_code_is_refused(void **state)
{
    uint8_t secret[CODE_SECRET] = { 0 }, back[CODE_SECRET];
    char code[CODE_TEXT_LEN + 1];
    struct err e;

    (void)state;
    code_text(secret, code);
    AUTOFREE char *longer = mem_printf("%s0", code);
    assert_err(code_parse(longer, back, &e), &e, ERR_USAGE);
    for (size_t len = 0; len < CODE_TEXT_LEN; len++) {
        code[CODE_TEXT_LEN - 1 - len] = 0;
        assert_err(code_parse(code, back, &e), &e, ERR_USAGE);
    }
    assert_err(code_parse("U000-0000-0000-0000-0000-0000-0000-0000-0000", back, &e), &e,
               ERR_USAGE);
    assert_err(code_parse("correct horse battery staple", back, &e), &e, ERR_USAGE);
    assert_err(code_parse("\xc3\x96\xff", back, &e), &e, ERR_USAGE);
}

/* A file whose bytes are those of a manifest's node is not that node. */
static void
ids_depend_on_the_kind_and_the_key(void **state)
{
    CLEANUP(keys_free_p) struct keys *a = new_keys();
    CLEANUP(keys_free_p) struct keys *b = new_keys();
    struct chunk_id x, y;
    uint8_t c[CONTENT_ID_LEN], d[CONTENT_ID_LEN];

    (void)state;
    keys_chunk_id(a, 1, SLICE("same"), &x);
    keys_chunk_id(a, 3, SLICE("same"), &y);
    assert_memory_not_equal(&x, &y, sizeof x);
    keys_chunk_id(b, 1, SLICE("same"), &y);
    assert_memory_not_equal(&x, &y, sizeof x);
    keys_content_id(a, SLICE("same"), c);
    keys_content_id(b, SLICE("same"), d);
    assert_memory_not_equal(c, d, sizeof c);
}

static void
roles_have_names(void **state)
{
    enum role back;

    (void)state;
    for (enum role r = ROLE_ADMIN; r <= ROLE_WRITER; r++) {
        assert_true(role_parse(role_name(r), &back));
        assert_int_equal(back, r);
    }
    assert_false(role_parse("root", &back));
    assert_false(role_parse("", &back));
}

static void
epochs_are_found_by_number(void **state)
{
    CLEANUP(keys_free_p) struct keys *k = new_keys();

    (void)state;
    assert_ptr_equal(keys_epoch(k, 1), &k->epochs[0]);
    assert_null(keys_epoch(k, 0));
    assert_null(keys_epoch(k, 2));
    k->epochs[1] = k->epochs[0];
    k->epochs[1].number = 2;
    k->epoch_count = 2;
    CLEANUP(keys_free_p) struct keys *opened = through_a_slot(k, ROLE_ADMIN);
    assert_int_equal(keys_newest_epoch(opened)->number, 2);
    assert_non_null(keys_epoch(opened, 1));
}

static void
a_slot_keeps_as_many_epochs_as_there_may_be(void **state)
{
    CLEANUP(keys_free_p) struct keys *k = new_keys();

    (void)state;
    for (uint32_t i = 1; i < EPOCHS_MAX; i++) {
        k->epochs[i] = k->epochs[0];
        k->epochs[i].number = i + 1;
    }
    k->epoch_count = EPOCHS_MAX;
    CLEANUP(keys_free_p) struct keys *opened = through_a_slot(k, ROLE_ADMIN);
    assert_int_equal(opened->epoch_count, EPOCHS_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_role_names_things_alike),
        cmocka_unit_test(an_admin_has_everything),
        cmocka_unit_test(a_slot_holds_only_what_its_role_may),
        cmocka_unit_test(a_slot_cannot_give_more_than_its_maker_has),
        cmocka_unit_test(another_secret_does_not_open_a_slot),
        cmocka_unit_test(a_damaged_slot_never_opens),
        cmocka_unit_test(a_slot_with_excessive_cost_is_refused),
        cmocka_unit_test(a_passphrase_opens_its_slot),
        cmocka_unit_test(a_key_file_comes_back_as_it_was_written),
        cmocka_unit_test(what_is_no_key_file_is_refused),
        cmocka_unit_test(a_recovery_code_is_read_as_people_write_it),
        cmocka_unit_test(a_mistyped_recovery_code_is_noticed),
        cmocka_unit_test(what_is_no_recovery_code_is_refused),
        cmocka_unit_test(ids_depend_on_the_kind_and_the_key),
        cmocka_unit_test(roles_have_names),
        cmocka_unit_test(epochs_are_found_by_number),
        cmocka_unit_test(a_slot_keeps_as_many_epochs_as_there_may_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
