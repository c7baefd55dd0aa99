#include "base/proc.h"
#include "base/clock.h"
#include "support/ground.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define SHELL(line) ((const char *const[]){ "/bin/sh", "-c", (line), NULL })

static void
output_and_status_of_a_child_come_back(void **state)
{
    AUTOBUF struct buf out = BUF(100), err = BUF(100);
    const struct proc_options o = { .argv = SHELL("echo data; echo words >&2; exit 3") };
    struct err e = { 0 };
    int status = -1;

    (void)state;
    succeeds(proc_run(&o, 0, &out, &err, &status, &e), &e);
    assert_int_equal(status, 3);
    assert_string_equal(buf_cstr(&out), "data\n");
    assert_string_equal(buf_cstr(&err), "words\n");
}

/* What does not fit is read and dropped, or the child would hang. */
static void
more_output_than_fits_is_dropped(void **state)
{
    AUTOBUF struct buf out = BUF(1000);
    const struct proc_options o = { .argv = SHELL("head -c 1000000 /dev/zero; exit 5") };
    struct err e = { 0 };
    int status = -1;

    (void)state;
    succeeds(proc_run(&o, 0, &out, NULL, &status, &e), &e);
    assert_int_equal(status, 5);
    assert_int_equal(out.len, 1000);
}

static void
a_program_that_is_not_there_is_told_by_name(void **state)
{
    const struct proc_options o = { .argv = (const char *const[]){ "/no/such", NULL } };
    struct err e = { 0 };
    int status;

    (void)state;
    fails(proc_run(&o, 0, NULL, NULL, &status, &e), &e, ERR_NOT_FOUND, "/no/such");
}

static void
a_child_that_a_signal_ended_has_its_number(void **state)
{
    const struct proc_options o = { .argv = SHELL("kill -TERM $$") };
    struct err e = { 0 };
    int status = -1;

    (void)state;
    succeeds(proc_run(&o, 0, NULL, NULL, &status, &e), &e);
    assert_int_equal(status, 128 + SIGTERM);
}

/* Grandchildren too: a pipe that one of them keeps open must not hold us. */
static void
time_running_out_kills_the_whole_group(void **state)
{
    SCRATCH(d);
    AUTOFREE char *line = mem_printf("(sleep 2; touch %s/late) & sleep 60", d.path);
    AUTOFREE char *late = fs_join(d.path, "late");
    AUTOBUF struct buf out = BUF(100);
    const struct proc_options o = { .argv = SHELL(line) };
    struct err e = { 0 };
    int64_t begin = clock_mono_ms();
    int status = -1;

    (void)state;
    succeeds(proc_run(&o, 300, &out, NULL, &status, &e), &e);
    assert_int_equal(status, 124);
    assert_true(clock_mono_ms() - begin < 1900);
    clock_sleep_ms(2200);
    assert_int_equal(access(late, F_OK), -1);
}

/* The limit holds as well for a child that has closed its output. */
static void
time_runs_out_without_any_pipe(void **state)
{
    const struct proc_options o = { .argv = SHELL("exec >&- 2>&-; sleep 20") };
    AUTOBUF struct buf out = BUF(100);
    struct err e = { 0 };
    int64_t begin = clock_mono_ms();
    int status = -1;

    (void)state;
    succeeds(proc_run(&o, 300, &out, NULL, &status, &e), &e);
    assert_int_equal(status, 124);
    succeeds(proc_run(&o, 300, NULL, NULL, &status, &e), &e);
    assert_int_equal(status, 124);
    assert_true(clock_mono_ms() - begin < 10000);
}

static void
the_environment_is_ours_without_secrets_and_with_what_is_added(void **state)
{
    AUTOBUF struct buf out = BUF(1000);
    const char *const extra[] = { "PLAIN=changed", "FRESH=new", NULL };
    const struct proc_options o = {
        .argv = SHELL("echo $PLAIN,$FRESH,$SECRET_X,$SECRET_XY,$DRTOOL_PASSPHRASE"),
        .env = extra,
    };
    struct err e = { 0 };
    int status = -1;

    (void)state;
    setenv("PLAIN", "p", 1);
    setenv("SECRET_X", "s", 1);
    setenv("SECRET_XY", "other", 1);
    setenv("DRTOOL_PASSPHRASE", "s", 1);
    proc_hide_env("SECRET_X");
    proc_hide_env("SECRET_X");
    succeeds(proc_run(&o, 0, &out, NULL, &status, &e), &e);
    assert_string_equal(buf_cstr(&out), "changed,new,,other,\n");
}

static void
a_child_runs_where_it_is_told_and_reads_nothing(void **state)
{
    SCRATCH(d);
    AUTOBUF struct buf out = BUF(1000);
    AUTOFREE char *expected = mem_printf("%s\nend\n", d.path);
    const struct proc_options o = { .argv = SHELL("pwd; cat; echo end"), .cwd = d.path };
    const struct proc_options bad = { .argv = SHELL("true"), .cwd = "/no/such" };
    struct err e = { 0 };
    int status = -1;

    (void)state;
    succeeds(proc_run(&o, 0, &out, NULL, &status, &e), &e);
    assert_string_equal(buf_cstr(&out), expected);
    assert_int_equal(proc_run(&bad, 0, NULL, NULL, &status, &e), -1);
}

static void
an_aborted_child_is_gone_and_waited_for(void **state)
{
    const struct proc_options o = { .argv = SHELL("sleep 60"), .flags = PROC_OUT };
    struct proc p = PROC_NONE;
    struct err e = { 0 };

    (void)state;
    succeeds(proc_start(&p, &o, &e), &e);
    pid_t pid = p.pid;
    proc_abort(&p);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
    assert_int_equal(p.out, -1);
    proc_abort(&p); /* nothing left to do */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_and_status_of_a_child_come_back),
        cmocka_unit_test(more_output_than_fits_is_dropped),
        cmocka_unit_test(a_program_that_is_not_there_is_told_by_name),
        cmocka_unit_test(a_child_that_a_signal_ended_has_its_number),
        cmocka_unit_test(time_running_out_kills_the_whole_group),
        cmocka_unit_test(time_runs_out_without_any_pipe),
        cmocka_unit_test(the_environment_is_ours_without_secrets_and_with_what_is_added),
        cmocka_unit_test(a_child_runs_where_it_is_told_and_reads_nothing),
        cmocka_unit_test(an_aborted_child_is_gone_and_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
