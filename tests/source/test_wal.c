/* Names, places, pages and histories of a PostgreSQL server's log. */
#include "source/wal.h"
#include "support/fixture.h"

#include <string.h>

static void
names_are_those_of_the_server(void **state)
{
    static const struct {
        const char *text;
        struct wal_name name;
    } good[] = {
        { "00000001000000000000000A", { WAL_SEGMENT, 1, 10, 0 } },
        { "0000000A000000FF000000FF", { WAL_SEGMENT, 10, UINT64_C(0xff000000ff), 0 } },
        { "00000001000000000000000A.partial", { WAL_PARTIAL, 1, 10, 0 } },
        { "00000001000000000000000A.00000028.backup", { WAL_BACKUP, 1, 10, 0x28 } },
        { "00000002.history", { WAL_HISTORY, 2, 0, 0 } },
    };
    static const char *const bad[] = {
        "",
        "00000001",
        "00000000000000000000000A",
        "00000001000000000000000a",
        "00000001000000000000000",
        "00000001000000000000000A0",
        "00000001000000000000000A.",
        "00000001000000000000000A.partial2",
        "00000001000000000000000A.00000028",
        "00000001000000000000000A.00000028.backups",
        "00000001000000000000000A/.history",
        "00000002.History",
        "../000000010000000000000A",
    };
    char back[WAL_NAME_MAX + 1];
    struct wal_name n;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_true(wal_name_parse(good[i].text, &n));
        assert_true(n.kind == good[i].name.kind && n.timeline == good[i].name.timeline
                    && n.place == good[i].name.place && n.offset == good[i].name.offset);
        wal_name_text(&n, back);
        assert_string_equal(back, good[i].text);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(wal_name_parse(bad[i], &n));
}

/* With 16 MiB the first half counts 256 segments, with 1 GiB four. */
static void
places_are_numbers_without_gaps(void **state)
{
    const uint64_t m16 = 16 << 20, g1 = 1 << 30;

    (void)state;
    assert_true(wal_number(UINT64_C(0x1000000ff), m16) == 511);
    assert_true(wal_number(UINT64_C(0x200000000), m16) == 512);
    assert_true(wal_number(UINT64_C(0x100000003), g1) == 7);
    for (uint64_t n = 0; n < 2000; n++) {
        assert_true(wal_number(wal_place(n, m16), m16) == n);
        assert_true(wal_number(wal_place(n, g1), g1) == n);
    }
}

static void
sizes_and_positions_are_read(void **state)
{
    static const char *const no_lsn[] = { "",     "/",    "1",
                                          "1/",   "G/1",  "1/123456789",
                                          "1/2 ", "-1/2", " 1/2" };
    uint64_t n;
    char text[20];

    (void)state;
    assert_true(wal_size_parse("16MB", &n) && n == 16 << 20);
    assert_true(wal_size_parse("1GB", &n) && n == 1 << 30);
    assert_false(wal_size_parse("16", &n) || wal_size_parse("15MB", &n)
                 || wal_size_parse("2GB", &n) || wal_size_parse("512kB", &n)
                 || wal_size_parse("0MB", &n));
    assert_true(wal_lsn_parse("16/B374D848", &n) && n == UINT64_C(0x16b374d848));
    assert_string_equal(wal_lsn_text(n, text), "16/B374D848");
    for (size_t i = 0; i < COUNT_OF(no_lsn); i++)
        if (wal_lsn_parse(no_lsn[i], &n))
            fail_msg("\"%s\" is taken for a position", no_lsn[i]);
}

/* The first page of 00000002000000000000000A, segments of 16 MiB. */
static void
make_page(uint8_t page[WAL_PAGE_HEAD])
{
    memset(page, 0, WAL_PAGE_HEAD);
    put_u16(page, 0xd110);
    put_u16(page + 2, 2);
    put_u32(page + 4, 2);
    put_u64(page + 8, UINT64_C(10) << 24);
    put_u64(page + 24, 7000);
    put_u32(page + 32, 16 << 20);
}

static void
a_page_tells_whose_it_is(void **state)
{
    struct wal_name n = { WAL_SEGMENT, 2, 10, 0 };
    uint8_t page[WAL_PAGE_HEAD] = { 0 };
    struct slice head = slice_of(page, sizeof page);
    struct wal_page p;
    struct err e = { 0 };

    (void)state;
    make_page(page);
    assert_ok(wal_page_parse(head, &p, &e), &e);
    assert_true(p.system_id == 7000 && p.size == 16 << 20 && p.timeline == 2);
    assert_ok(wal_page_fits(&p, &n, &e), &e);
    n.timeline = 3; /* it may begin with what the timeline before wrote */
    assert_ok(wal_page_fits(&p, &n, &e), &e);
    n.timeline = 1;
    assert_err(wal_page_fits(&p, &n, &e), &e, ERR_SOURCE);
    n = (struct wal_name){ WAL_SEGMENT, 2, 11, 0 };
    assert_err(wal_page_fits(&p, &n, &e), &e, ERR_SOURCE);

    assert_err(wal_page_parse(slice_of(page, sizeof page - 1), &p, &e), &e, ERR_SOURCE);
    put_u16(page + 2, 0); /* no first page of a segment */
    assert_err(wal_page_parse(head, &p, &e), &e, ERR_SOURCE);
    make_page(page);
    put_u16(page, 0x1234);
    assert_err(wal_page_parse(head, &p, &e), &e, ERR_SOURCE);
    make_page(page);
    put_u32(page + 32, 1000);
    assert_err(wal_page_parse(head, &p, &e), &e, ERR_SOURCE);
}

static void
a_history_tells_the_branches(void **state)
{
    struct slice rest = SLICE("# a comment\n"
                              "1\t0/5000110\tno recovery target specified\n"
                              "\n"
                              "nonsense\n"
                              "2\t1/A0000000\tbefore 2026-11-28\n"
                              "3\t1/B0000000");
    struct wal_branch b;

    (void)state;
    assert_true(wal_branch_next(&rest, &b) && b.parent == 1 && b.lsn == 0x5000110);
    assert_true(wal_branch_next(&rest, &b) && b.parent == 2
                && b.lsn == UINT64_C(0x1a0000000));
    assert_true(wal_branch_next(&rest, &b) && b.parent == 3);
    assert_false(wal_branch_next(&rest, &b));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_the_server),
        cmocka_unit_test(places_are_numbers_without_gaps),
        cmocka_unit_test(sizes_and_positions_are_read),
        cmocka_unit_test(a_page_tells_whose_it_is),
        cmocka_unit_test(a_history_tells_the_branches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
