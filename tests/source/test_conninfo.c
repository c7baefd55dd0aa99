#include "../../src/source/postgres/conninfo.h"
#include "support/ground.h"

#include <libpq-fe.h>

/* What libpq makes of `text`: the value of an option, or NULL. */
static char *
option(const char *text, const char *name)
{
    char *why = NULL, *out = NULL;
    PQconninfoOption *all = PQconninfoParse(text, &why);

    if (!all)
        fail_msg("%s: %s", text, why);
    for (const PQconninfoOption *o = all; o->keyword; o++)
        if (strcmp(o->keyword, name) == 0)
            out = mem_strdup(o->val);
    PQconninfoFree(all);
    return out;
}

static void
option_is(const char *text, const char *name, const char *value)
{
    AUTOFREE char *found = option(text, name);

    if (!found != !value || (value && strcmp(found, value) != 0))
        fail_msg("%s is \"%s\", not \"%s\", in: %s", name, found, value, text);
}

static void
a_dsn_gets_another_database_and_keeps_the_rest(void **state)
{
    static const char *const dsns[] = {
        "host=/run/pg user='o\\'clock' dbname=other",
        "host=/run/pg user=o\\'clock",
        "postgresql://o%27clock@%2Frun%2Fpg/other",
        "postgres://o'clock@/other?host=/run/pg&dbname=more",
    };
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(dsns); i++) {
        AUTOFREE char *made = NULL;
        succeeds(conninfo_make(dsns[i], "shop", false, &made, &e), &e);
        option_is(made, "host", "/run/pg");
        option_is(made, "user", "o'clock");
        option_is(made, "dbname", "shop");
        option_is(made, "passfile", NULL);
        option_is(made, "password", NULL);
    }
}

/* The names of databases come from a server and may be anything. */
static void
no_database_can_add_an_option(void **state)
{
    static const char *const names[] = {
        "a b", "x' host='evil", "\\' host=evil", "\\", "host=evil", "", "postgres://evil/"
    };
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        AUTOFREE char *made = NULL;
        succeeds(conninfo_make("service=s", names[i], true, &made, &e), &e);
        option_is(made, "dbname", names[i]);
        option_is(made, "host", NULL);
        option_is(made, "service", "s");
    }
}

static void
no_secret_gets_into_the_arguments(void **state)
{
    static const char *const dsns[] = {
        "host=h password=geheim sslpassword=geheim",
        "postgresql://me:geheim@h/db",
        "postgresql://me@h/db?%70assword=geheim",
    };
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(dsns); i++)
        for (int on_stdin = 0; on_stdin < 2; on_stdin++) {
            AUTOFREE char *made = NULL;
            succeeds(conninfo_make(dsns[i], "shop", on_stdin, &made, &e), &e);
            assert_null(strstr(made, "geheim"));
            option_is(made, "host", "h");
            option_is(made, "password", on_stdin ? "" : NULL);
            option_is(made, "passfile", on_stdin ? "/dev/stdin" : NULL);
        }
}

static void
the_password_is_looked_for_where_it_is(void **state)
{
    AUTOFREE char *told = NULL, *kept = NULL, *defaults = NULL;
    struct err e = { 0 };

    (void)state;
    succeeds(conninfo_make("passfile=/a", "shop", true, &told, &e), &e);
    option_is(told, "passfile", "/dev/stdin");
    succeeds(conninfo_make("passfile=/a", "shop", false, &kept, &e), &e);
    option_is(kept, "passfile", "/a");
    succeeds(conninfo_make(NULL, "shop", false, &defaults, &e), &e);
    assert_string_equal(defaults, "dbname='shop'");
}

static void
a_dsn_names_its_database_or_none(void **state)
{
    static const struct {
        const char *dsn, *database;
    } cases[] = {
        { NULL, "postgres" },
        { "", "postgres" },
        { "service=shop", "postgres" },
        { "host=h dbname=shop", "shop" },
        { "shop", "shop" },
        { "postgresql:///shop?host=/s", "shop" },
        { "dbname=''", "postgres" },
        { "postgres://h", "postgres" },
    };
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTOFREE char *database = NULL, *made = NULL;
        succeeds(conninfo_database(cases[i].dsn, &database, &e), &e);
        assert_string_equal(database, cases[i].database);
        succeeds(conninfo_make(cases[i].dsn, "x", false, &made, &e), &e);
        option_is(made, "dbname", "x");
    }
}

static void
what_libpq_does_not_understand_is_told(void **state)
{
    char *out = NULL;
    struct err e = { 0 };

    (void)state;
    fails(conninfo_make("host=h colour=red", "x", false, &out, &e), &e, ERR_USAGE,
          "the dsn: invalid connection option \"colour\"");
    fails(conninfo_database("host='h", &out, &e), &e, ERR_USAGE, "unterminated");
    assert_null(out);
}

static void
a_password_line_is_escaped(void **state)
{
    AUTOBUF struct buf line = BUF(100), none = BUF(100);
    struct err e = { 0 };

    (void)state;
    succeeds(conninfo_put_password(&line, SLICE("a:b\\c #'"), &e), &e);
    assert_string_equal(buf_cstr(&line), "*:*:*:*:a\\:b\\\\c #'\n");
    fails(conninfo_put_password(&none, SLICE("a\nb"), &e), &e, ERR_DENIED, "line");
    fails(conninfo_put_password(&none, SLICE("a\r"), &e), &e, ERR_DENIED, "line");
    fails(conninfo_put_password(&none, SLICE("a\0b"), &e), &e, ERR_DENIED, "line");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dsn_gets_another_database_and_keeps_the_rest),
        cmocka_unit_test(no_database_can_add_an_option),
        cmocka_unit_test(no_secret_gets_into_the_arguments),
        cmocka_unit_test(the_password_is_looked_for_where_it_is),
        cmocka_unit_test(a_dsn_names_its_database_or_none),
        cmocka_unit_test(what_libpq_does_not_understand_is_told),
        cmocka_unit_test(a_password_line_is_escaped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
