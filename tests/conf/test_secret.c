#include "conf/secret.h"
#include "base/proc.h"
#include "support/ground.h"

#include <sys/stat.h>

static struct conf_secret
from(int kind, char *value)
{
    struct conf_secret s = { .value = value };

    s.from = (unsigned)kind;
    return s;
}

static void
a_secret_file_gives_its_bytes_without_the_last_newline(void **state)
{
    SCRATCH(d);
    AUTOBUF struct buf out = BUF(2 * SECRET_MAX);
    AUTOFREE char *path = scratch_file(&d, "s", "two\nlines\n\n");
    struct conf_secret s = from(SECRET_FILE, path);
    struct err e = { 0 };

    (void)state;
    buf_put_str(&out, "before:");
    succeeds(secret_resolve(&s, &out, &e), &e);
    assert_string_equal(buf_cstr(&out), "before:two\nlines\n");
}

static void
a_secret_file_that_others_may_use_is_refused(void **state)
{
    SCRATCH(d);
    AUTOBUF struct buf out = BUF(SECRET_MAX);
    AUTOFREE char *path = scratch_file(&d, "s", "hunter2");
    struct conf_secret s = from(SECRET_FILE, path);
    struct err e = { 0 };

    (void)state;
    for (unsigned bit = 1; bit <= 4; bit *= 2) {
        assert_int_equal(chmod(path, 0600 | bit), 0);
        fails(secret_resolve(&s, &out, &e), &e, ERR_DENIED, "chmod o=");
        assert_int_equal(out.len, 0);
    }
    assert_int_equal(chmod(path, 0640), 0); /* a group may share it */
    succeeds(secret_resolve(&s, &out, &e), &e);
}

static void
a_secret_that_cannot_be_had_is_told_by_its_place(void **state)
{
    SCRATCH(d);
    AUTOBUF struct buf out = BUF(SECRET_MAX);
    AUTOFREE char *empty = scratch_file(&d, "empty", "\n");
    AUTOFREE char *missing = fs_join(d.path, "missing");
    char variable[] = "DRTOOL_TEST_UNSET";
    struct conf_secret cases[] = {
        from(SECRET_NONE, NULL),  from(SECRET_FILE, missing), from(SECRET_FILE, d.path),
        from(SECRET_FILE, empty), from(SECRET_ENV, variable),
    };
    static const char *const words[] = { "no secret", "missing", "folder", "is empty",
                                         "DRTOOL_TEST_UNSET is not set" };
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        fails(secret_resolve(&cases[i], &out, &e), &e, ERR_DENIED, words[i]);
    assert_int_equal(out.len, 0);
}

static void
a_secret_comes_from_the_environment(void **state)
{
    AUTOBUF struct buf out = BUF(SECRET_MAX);
    char variable[] = "DRTOOL_TEST_SECRET";
    struct conf_secret s = from(SECRET_ENV, variable);
    struct err e = { 0 };

    (void)state;
    setenv(variable, "hunter2", 1);
    succeeds(secret_resolve(&s, &out, &e), &e);
    assert_string_equal(buf_cstr(&out), "hunter2");
}

static int
run(const char *line, struct buf *out, struct err *e)
{
    char *argv[] = { (char[]){ "/bin/sh" }, (char[]){ "-c" }, mem_strdup(line), NULL };
    struct conf_secret s = { .from = SECRET_COMMAND, .argv = argv };
    int rc = secret_resolve(&s, out, e);

    mem_free(argv[2]);
    return rc;
}

static void
a_secret_comes_from_a_command_that_succeeds(void **state)
{
    AUTOBUF struct buf out = BUF(2 * SECRET_MAX);
    struct err e = { 0 };

    (void)state;
    succeeds(run("echo hunter2", &out, &e), &e);
    assert_string_equal(buf_cstr(&out), "hunter2");
    fails(run("echo hunter2; exit 3", &out, &e), &e, ERR_DENIED, "ended with status 3");
    fails(run("true", &out, &e), &e, ERR_DENIED, "is empty");
    assert_int_equal(out.len, 7);
}

/* Neither cut nor overrun: a longer one is no secret of ours. */
static void
a_secret_has_its_greatest_length(void **state)
{
    AUTOBUF struct buf out = BUF(2 * SECRET_MAX);
    struct err e = { 0 };

    (void)state;
    succeeds(run("head -c 4096 /dev/zero | tr '\\0' x", &out, &e), &e);
    assert_int_equal(out.len, SECRET_MAX);
    buf_clear(&out);
    succeeds(run("head -c 4096 /dev/zero | tr '\\0' x; echo", &out, &e), &e);
    assert_int_equal(out.len, SECRET_MAX);
    fails(run("head -c 4097 /dev/zero | tr '\\0' x", &out, &e), &e, ERR_DENIED, "longer");
    fails(run("head -c 9999 /dev/zero | tr '\\0' x", &out, &e), &e, ERR_DENIED, "longer");
}

/* An error's text goes into logs and mails. */
static void
no_error_tells_the_secret(void **state)
{
    SCRATCH(d);
    AUTOBUF struct buf out = BUF(SECRET_MAX);
    AUTOFREE char *path = scratch_file(&d, "s", "hunter2");
    struct conf_secret s = from(SECRET_FILE, path);
    struct err e = { 0 };

    (void)state;
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(secret_resolve(&s, &out, &e), -1);
    assert_null(strstr(err_text(&e), "hunter2"));
    assert_int_equal(run("echo hunter2; exit 1", &out, &e), -1);
    assert_null(strstr(err_text(&e), "hunter2"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_file_gives_its_bytes_without_the_last_newline),
        cmocka_unit_test(a_secret_file_that_others_may_use_is_refused),
        cmocka_unit_test(a_secret_that_cannot_be_had_is_told_by_its_place),
        cmocka_unit_test(a_secret_comes_from_the_environment),
        cmocka_unit_test(a_secret_comes_from_a_command_that_succeeds),
        cmocka_unit_test(a_secret_has_its_greatest_length),
        cmocka_unit_test(no_error_tells_the_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
