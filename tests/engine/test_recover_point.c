/* The settings by which a restored PostgreSQL server replays its log. */
#include "../../src/engine/recover_point.h"
#include "base/fs.h"
#include "support/fixture.h"

#include <string.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)1 << 16)

/* What postgresql.auto.conf has after a restore to that point. */
static char *
settings(const struct folder *f, const struct recover_point *p)
{
    AUTOFREE char *path = folder_path(f, "postgresql.auto.conf");
    AUTOBUF struct buf text = BUF(TEXT_MAX);
    struct err e = { 0 };

    assert_ok(recover_write_point(f->path, p, &e), &e);
    assert_ok(fs_read(path, TEXT_MAX - 1, &text, &e), &e);
    return mem_strdup(buf_cstr(&text));
}

static bool
waits_for_recovery(const struct folder *f)
{
    AUTOFREE char *path = folder_path(f, "recovery.signal");

    return access(path, F_OK) == 0;
}

/* A server takes one point, and the settings of an earlier restore are no other's. */
static void
what_an_earlier_restore_set_goes(void **state)
{
    FOLDER(f);
    struct recover_point p = { .to = TO_LSN,
                               .value = "0/5000000",
                               .timeline = "latest",
                               .command = "fetch '%f' a\\b",
                               .no_archive = true };

    (void)state;
    folder_write(&f, "postgresql.auto.conf",
                 SLICE("work_mem = '8MB'\nrecovery_target_xid = '7'"));
    AUTOFREE char *first = settings(&f, &p);
    assert_non_null(strstr(first, "work_mem = '8MB'\n"));
    assert_null(strstr(first, "recovery_target_xid"));
    assert_non_null(strstr(first, "restore_command = 'fetch ''%f'' a\\\\b'\n"));
    assert_non_null(strstr(first, "recovery_target_lsn = '0/5000000'\n"));
    assert_non_null(strstr(first, "\narchive_mode = 'off'"));
    assert_true(waits_for_recovery(&f));

    p = (struct recover_point){ .to = TO_LATEST, .timeline = "3", .command = "fetch" };
    AUTOFREE char *second = settings(&f, &p);
    assert_non_null(strstr(second, "work_mem = '8MB'\n"));
    assert_null(strstr(second, "recovery_target_lsn"));
    assert_null(strstr(second, "recovery_target_action"));
    assert_null(strstr(second, "archive_mode"));
    assert_non_null(strstr(second, "recovery_target_timeline = '3'\n"));
    char *at = strstr(second, "restore_command");
    assert_non_null(at);
    assert_null(strstr(at + 1, "restore_command"));
}

static void
a_time_is_meant_as_it_is_written(void **state)
{
    static const struct {
        const char *text, *exact;
    } cases[] = {
        { "2026-11-22T14:32:05Z", "2026-11-22 14:32:05.000000+00" },
        { "2026-11-22 14:32:05.25+00", "2026-11-22 14:32:05.250000+00" },
        { "2026-11-22T14:32Z", "2026-11-22 14:32:00.000000+00" },
        { "2026-11-22T14:32:05.1234567Z", "2026-11-22 14:32:05.123456+00" },
    };
    char exact[64];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct recover_point p = { .to = TO_TIME, .value = cases[i].text };
        recover_time_text(&p, exact);
        assert_string_equal(exact, cases[i].exact);
    }
}

static void
what_is_no_point_is_refused(void **state)
{
    static const struct recover_point bad[] = {
        { .to = TO_TIME, .value = "yesterday" }, { .to = TO_LSN, .value = "12345" },
        { .to = TO_XID, .value = "0" },          { .to = TO_XID, .value = "-1" },
        { .to = TO_NAME, .value = "" },          { .to = TO_NAME, .value = "a\nb" },
        { .to = TO_LATEST, .timeline = "0" },    { .to = TO_LATEST, .timeline = "new" },
    };
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_err(recover_check_point(&bad[i], &e), &e, ERR_USAGE);
}

/* Only what is asked for changes. */
static void
a_snapshot_as_it_was_gets_no_settings(void **state)
{
    FOLDER(f);
    const struct recover_point as_it_was = { .to = TO_SNAPSHOT };
    const struct recover_point beside = { .to = TO_SNAPSHOT, .no_archive = true };

    (void)state;
    folder_write(&f, "postgresql.auto.conf", SLICE("restore_command = 'mine'\n"));
    AUTOFREE char *first = settings(&f, &as_it_was);
    assert_string_equal(first, "restore_command = 'mine'\n");
    AUTOFREE char *second = settings(&f, &beside);
    assert_non_null(strstr(second, "archive_mode = 'off'"));
    assert_false(waits_for_recovery(&f));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_earlier_restore_set_goes),
        cmocka_unit_test(a_time_is_meant_as_it_is_written),
        cmocka_unit_test(what_is_no_point_is_refused),
        cmocka_unit_test(a_snapshot_as_it_was_gets_no_settings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
