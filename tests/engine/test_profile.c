#include "../../src/engine/profile.h"
#include "support/fixture.h"

static char pages[] = "*.pages", machines[] = "**/vm/*", tokens[] = "token-*";
static char *own_blocks[] = { pages, machines, NULL };
static char *own_isolate[] = { tokens, NULL };
static const struct conf_source files = {
    .kind = SOURCE_FILES, .files = { .blocks = own_blocks, .isolate = own_isolate }
};
static const struct conf_source plain = { .kind = SOURCE_FILES };
static const struct conf_source command = { .kind = SOURCE_COMMAND };

static const struct cut_profile *
cut_of(const struct conf_source *s, const char *path)
{
    bool stream = s->kind == SOURCE_COMMAND;

    return profile_cut(s, stream ? SOURCE_STREAM : 0, slice_str(path));
}

static void
what_is_updated_in_place_is_cut_at_fixed_positions(void **state)
{
    static const char *const paged[] = { "var/lib/mysql/shop/orders.ibd",
                                         "var/lib/mysql/ibdata1",
                                         "undo001",
                                         "shop/views.MAD",
                                         "shop/views.MAI",
                                         "shop/old.MYD",
                                         "srv/app.sqlite3",
                                         "srv/vm/root.qcow2",
                                         "pg/data/base/16384/16397",
                                         "pg/data/base/16384/16397.12",
                                         "pg/data/base/16384/2619_vm",
                                         "base/5/1259",
                                         "pg/data/global/1260",
                                         "ts/PG_15_202209061/16384/16401" };
    static const char *const others[] = { "pg/data/pg_wal/000000010000000000000001",
                                          "pg/data/base/16384/pg_filenode.map",
                                          "home/base/notes",
                                          "home/x.ibd.txt",
                                          "db",
                                          "16397" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(paged); i++)
        assert_ptr_equal(cut_of(&plain, paged[i]), &cut_blocks);
    for (size_t i = 0; i < COUNT_OF(others); i++)
        assert_ptr_equal(cut_of(&plain, others[i]), &cut_files);
}

static void
the_source_names_further_ones(void **state)
{
    (void)state;
    assert_ptr_equal(cut_of(&plain, "srv/a.pages"), &cut_files);
    assert_ptr_equal(cut_of(&files, "srv/a.pages"), &cut_blocks);
    assert_ptr_equal(cut_of(&files, "srv/vm/a"), &cut_blocks);
    assert_ptr_equal(cut_of(&files, "srv/vm/a/b"), &cut_files);
    assert_ptr_equal(cut_of(&files, "srv/app.db"), &cut_blocks);
}

static void
rows_move_about_in_dumps_and_streams(void **state)
{
    (void)state;
    assert_ptr_equal(cut_of(&plain, "srv/shop.sql"), &cut_streams);
    assert_ptr_equal(cut_of(&plain, "srv/shop.dump"), &cut_streams);
    assert_ptr_equal(cut_of(&command, "stdout"), &cut_streams);
    assert_ptr_equal(cut_of(&command, "app.db"), &cut_streams);
}

static void
secrets_are_known_by_their_names(void **state)
{
    (void)state;
    assert_true(profile_isolates(&plain, SLICE("etc/shadow")));
    assert_true(profile_isolates(&plain, SLICE("srv/app/.env")));
    assert_true(profile_isolates(&plain, SLICE("tls/server.key")));
    assert_false(profile_isolates(&plain, SLICE("srv/token-1")));
    assert_true(profile_isolates(&files, SLICE("srv/token-1")));
    assert_false(profile_isolates(&files, SLICE("srv/keyboard")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_updated_in_place_is_cut_at_fixed_positions),
        cmocka_unit_test(the_source_names_further_ones),
        cmocka_unit_test(rows_move_about_in_dumps_and_streams),
        cmocka_unit_test(secrets_are_known_by_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
