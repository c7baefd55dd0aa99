#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/source/mariadb/mariadb.h"

static void
says(const char *text, const char *fact, const char *want)
{
    AUTOBUF struct buf f = BUF(FACTS_MAX);

    mariadb_put_facts(&f, text);
    const char *got = facts_get(buf_slice(&f), fact);
    if (want)
        assert_string_equal(got, want);
    else
        assert_null(got);
}

static void
the_small_files_are_known(void **state)
{
    (void)state;
    assert_true(mariadb_has_facts(SLICE("xtrabackup_binlog_info")));
    assert_true(mariadb_has_facts(SLICE("mariadb_backup_checkpoints")));
    assert_false(mariadb_has_facts(SLICE("xtrabackup_info")));
    assert_false(mariadb_has_facts(SLICE("crm/xtrabackup_binlog_info")));
    assert_false(mariadb_has_facts(SLICE("xtrabackup_binlog_inf")));
}

static void
checkpoints_are_taken(void **state)
{
    static const char text[] = "backup_type = full-backuped\nfrom_lsn = 0\n"
                               "to_lsn = 44314535\nlast_lsn = 53288521\n";

    (void)state;
    says(text, "to-lsn", "44314535");
    says(text, "last-lsn", "53288521");
    says(text, "binlog", NULL);
    says("into_lsn = 7\n", "to-lsn", NULL);
    says("to_lsn = 7", "to-lsn", "7");
}

static void
positions_are_taken(void **state)
{
    (void)state;
    says("binlog.000001\t42975743\t0-1-9\n", "binlog", "binlog.000001:42975743");
    says("binlog.000001\t42975743\t0-1-9\n", "gtid", "0-1-9");
    says("binlog.000001\t4\t0-1-9,1-1-2\n", "gtid", "0-1-9,1-1-2");
    says("binlog.000001\t42975743\t\n", "gtid", NULL);
    says("binlog.000001\t42975743\n", "gtid", NULL);
    says("binlog.000001\t42975743", "binlog", "binlog.000001:42975743");
    says("", "binlog", NULL);
    says("\t\t", "binlog", NULL);
    says("binlog.000001\n", "binlog", NULL);
}

static void
coordinates_are_taken(void **state)
{
    AUTOBUF struct buf f = BUF(FACTS_MAX);

    (void)state;
    mariadb_put_coordinates(&f, "binlog/a",
                            "-- x\n-- CHANGE MASTER TO MASTER_LOG_FILE='b.000007', "
                            "MASTER_LOG_POS=1234;\n");
    mariadb_put_coordinates(&f, "binlog/b", "-- CHANGE MASTER TO MASTER_LOG_FILE='b");
    mariadb_put_coordinates(&f, "binlog/c",
                            "-- CHANGE MASTER TO MASTER_LOG_FILE='b', MASTER_LOG_POS=;");
    mariadb_put_coordinates(&f, "binlog/d", "-- nothing of that kind");
    assert_string_equal(facts_get(buf_slice(&f), "binlog/a"), "b.000007:1234");
    assert_null(facts_get(buf_slice(&f), "binlog/b"));
    assert_null(facts_get(buf_slice(&f), "binlog/c"));
    assert_null(facts_get(buf_slice(&f), "binlog/d"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_small_files_are_known),
        cmocka_unit_test(checkpoints_are_taken),
        cmocka_unit_test(positions_are_taken),
        cmocka_unit_test(coordinates_are_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
