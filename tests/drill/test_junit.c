#include "support/fixture.h"

#include "drill/report.h"

static char name[] = "loss", owner[] = "me & \"you\"";
static struct runbook runbook = { .metadata = { .name = name, .owner = owner },
                                  .objectives = { .rto_ms = 60000 } };

static struct drill_item *
add(struct drill_result *r, enum section s, enum verdict v, const char *why)
{
    struct drill_item *item = drill_item_begin(r, s, "item", NULL, "command");

    drill_item_say(item, v, "%s", why);
    return item;
}

/* The report of a drill whose check found this. */
static char *
junit_of(const char *why, const char *actual)
{
    CLEANUP(drill_result_release) struct drill_result r = { .runbook = &runbook };
    AUTOBUF struct buf out = BUF(REPORT_MAX);
    struct drill_item *item = add(&r, SECTION_CHECKS, VERDICT_FAILED, why);

    item->expected = mem_strdup("stdout = \"ok\"");
    item->actual = mem_strdup(actual);
    item->took_ms = 1234;
    drill_result_judge(&r);
    report_junit(&r, &out);
    return mem_strdup(buf_cstr(&out));
}

static void
has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in %s", part, text);
}

static void
what_xml_reserves_is_escaped(void **state)
{
    (void)state;
    AUTOFREE char *x = junit_of("<a> & \"b\"", "]]> two\nlines");

    has(x, "message=\"&#60;a&#62; &#38; &#34;b&#34;\"");
    has(x, "actual:   ]]&#62; two\nlines\n");
    has(x, "value=\"me &#38; &#34;you&#34;\"");
    assert_null(strstr(x, "]]>"));
}

/* Output of commands has escape sequences; one of them would make the whole
 * report unreadable for a parser. */
static void
what_xml_forbids_is_told_in_hex(void **state)
{
    (void)state;
    AUTOFREE char *x = junit_of("bell \a, red \x1b[31m", "\xff \xc3\xa9 \xef\xbf\xbf \xed"
                                                         "\xa0\x80");

    has(x, "bell \\x07, red \\x1b[31m");
    has(x, "actual:   \\xff \xc3\xa9 \\xef\\xbf\\xbf \\xed\\xa0\\x80\n");
    for (const char *p = x; *p; p++)
        assert_true((unsigned char)*p >= 0x20 || *p == '\n' || *p == '\t');
}

static void
an_attribute_keeps_its_newlines(void **state)
{
    (void)state;
    AUTOFREE char *x = junit_of("one\ntwo\tthree", "x");

    has(x, "message=\"one&#10;two&#9;three\"");
}

static void
each_verdict_has_its_element_and_count(void **state)
{
    (void)state;
    CLEANUP(drill_result_release) struct drill_result r = { .runbook = &runbook };
    AUTOBUF struct buf out = BUF(REPORT_MAX);

    add(&r, SECTION_CHECKS, VERDICT_PASSED, "");
    add(&r, SECTION_CHECKS, VERDICT_FAILED, "f");
    add(&r, SECTION_CHECKS, VERDICT_ERROR, "e");
    add(&r, SECTION_CHECKS, VERDICT_TIMED_OUT, "t");
    add(&r, SECTION_CHECKS, VERDICT_SKIPPED, "s");
    add(&r, SECTION_CHECKS, VERDICT_FAILED, "w")->warning = true;
    report_junit(&r, &out);
    const char *x = buf_cstr(&out);
    has(x, "tests=\"6\" failures=\"1\" errors=\"2\" skipped=\"2\"");
    has(x, "<failure type=\"failed\" message=\"f\">");
    has(x, "<error type=\"timed_out\" message=\"t\">");
    has(x, "<skipped message=\"s\"/>");
    has(x, "<skipped message=\"warning: w\"/>");
    assert_null(strstr(x, "message=\"w\"")); /* the drill may have passed */
}

/* GitLab drops attributes of suites: numbers stand in the name. */
static void
an_objective_has_its_numbers_in_its_name(void **state)
{
    (void)state;
    CLEANUP(drill_result_release) struct drill_result r = { .runbook = &runbook };
    AUTOBUF struct buf out = BUF(REPORT_MAX);
    struct drill_item *item = drill_item_begin(&r, SECTION_OBJECTIVES, "rto", NULL,
                                               "objective");

    item->expected = mem_strdup("<= 1m00s");
    item->actual = mem_strdup("12.3s");
    item->took_ms = 12345;
    report_junit(&r, &out);
    has(buf_cstr(&out), "<testcase classname=\"loss.objectives\" name=\"RTO 12.3s of "
                        "1m00s\" time=\"12.345\">");
}

/* The exit status, JSON and JUnit come of one value. */
static void
the_worst_decides_the_status(void **state)
{
    (void)state;
    static const struct {
        enum section section;
        enum verdict verdict;
        bool warning;
        int status;
    } cases[] = {
        /* each is worse than those before it */
        { SECTION_CHECKS, VERDICT_PASSED, false, 0 },
        { SECTION_CHECKS, VERDICT_FAILED, true, 0 },
        { SECTION_OBJECTIVES, VERDICT_SKIPPED, false, 0 },
        { SECTION_OBJECTIVES, VERDICT_FAILED, false, 21 },
        { SECTION_CLEANUP, VERDICT_SKIPPED, false, 21 },
        { SECTION_CLEANUP, VERDICT_FAILED, false, 23 },
        { SECTION_READINESS, VERDICT_ERROR, false, 22 },
        { SECTION_STEPS, VERDICT_TIMED_OUT, false, 20 },
        { SECTION_CHECKS, VERDICT_FAILED, false, 20 },
        { SECTION_STEPS, VERDICT_ABORTED, false, 130 },
    };
    CLEANUP(drill_result_release) struct drill_result r = { .runbook = &runbook };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        add(&r, cases[i].section, cases[i].verdict, "x")->warning = cases[i].warning;
        drill_result_judge(&r);
        if (status_number(r.status) != cases[i].status)
            fail_msg("case %zu: %d", i, status_number(r.status));
        assert_int_equal(r.status == STATUS_OK, r.verdict == VERDICT_PASSED);
    }
}

static void
the_terminal_report_fits_its_width(void **state)
{
    (void)state;
    CLEANUP(drill_result_release) struct drill_result r = { .runbook = &runbook };
    AUTOBUF struct buf out = BUF(REPORT_MAX);
    struct drill_item *item = add(&r, SECTION_CHECKS, VERDICT_FAILED,
                                  "some words that go on and on, so that they have to be "
                                  "put into several lines, each of which fits");

    item->expected = mem_strdup("mismatched = 0, missing = 0, extra = 0");
    item->actual = mem_strdup("mismatched = 1, missing = 12, extra = 0");
    r.rto_ms = 61000;
    report_text(&r, true, &out);
    const char *line = buf_cstr(&out);
    has(line, "RTO 61.0s of 60.0s, MISSED by 1.0s");
    has(line, "expected  mismatched = 0");
    for (; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= REPORT_WIDTH);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_xml_reserves_is_escaped),
        cmocka_unit_test(what_xml_forbids_is_told_in_hex),
        cmocka_unit_test(an_attribute_keeps_its_newlines),
        cmocka_unit_test(each_verdict_has_its_element_and_count),
        cmocka_unit_test(an_objective_has_its_numbers_in_its_name),
        cmocka_unit_test(the_worst_decides_the_status),
        cmocka_unit_test(the_terminal_report_fits_its_width),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
