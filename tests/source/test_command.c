#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/source/command/programs.h"
#include "source/source.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A source of `sh -c script`. */
struct run {
    struct conf_source conf;
    struct source *source;
    struct err e;
    struct entry en;
    struct buf out;
};

static void
run_release(struct run *r)
{
    source_close(r->source);
    buf_release(&r->out);
}

#define RUN(name) CLEANUP(run_release) struct run name = { .out = BUF(64 << 20) }

static int
open_argv(struct run *r, const char *const *argv, const char *as, uint64_t min_bytes,
          bool allow_empty)
{
    static char name[] = "dump";
    struct conf_source *c = &r->conf;
    struct source_options o = { .tmp_dir = "/tmp" };

    c->name = name;
    c->kind = SOURCE_COMMAND;
    c->allow_empty = allow_empty;
    c->command.argv = (char **)(uintptr_t)argv;
    c->command.as = (char *)(uintptr_t)as;
    c->command.min_bytes = min_bytes;
    return source_open(c, &o, &r->source, &r->e);
}

/* The driver borrows argv: one script at a time. */
static void
open_script(struct run *r, const char *script, uint64_t min_bytes, bool allow_empty)
{
    static const char *argv[4] = { "sh", "-c" };

    argv[2] = script;
    assert_int_equal(open_argv(r, argv, NULL, min_bytes, allow_empty), 0);
    assert_int_equal(source_next(r->source, &r->en, &r->e), 1);
}

/* `sh -c` of each script, joined. */
static void
open_scripts(struct run *r, const char *const *scripts, const char *end_mark)
{
    static const char *argv[STAGES_MAX][4];
    static const char *const *stages[STAGES_MAX + 1];
    size_t n = 0;

    for (; scripts[n]; n++) {
        argv[n][0] = "sh";
        argv[n][1] = "-c";
        argv[n][2] = scripts[n];
        stages[n] = argv[n];
    }
    stages[n] = NULL;
    r->conf.command.stages = (char ***)(uintptr_t)stages;
    r->conf.command.end_mark = (char *)(uintptr_t)end_mark;
    assert_int_equal(open_argv(r, NULL, NULL, 0, false), 0);
    assert_int_equal(source_next(r->source, &r->en, &r->e), 1);
}

static int
read_all(struct run *r)
{
    uint8_t block[70000];
    size_t got;
    uint64_t hole;
    bool changed;

    assert_int_equal(source_read_begin(r->source, &r->en, &r->e), 1);
    do {
        assert_int_equal(source_read(r->source, block, sizeof block, &got, &hole, &r->e),
                         0);
        buf_put(&r->out, block, got);
        assert_int_equal(hole, 0);
    } while (got > 0);
    int rc = source_read_end(r->source, &changed, &r->e);
    assert_false(changed);
    return rc;
}

static void
the_output_is_one_file(void **state)
{
    RUN(r);

    (void)state;
    open_script(&r, "printf hello", 0, false);
    assert_true(slice_equal(r.en.path, SLICE("stdout")));
    assert_int_equal(r.en.type, ENTRY_FILE);
    assert_int_equal(r.en.mode, 0600);
    assert_int_equal(r.en.uid, geteuid());
    assert_true(r.en.mtime_s >= time(NULL) - 10);
    assert_string_equal(source_identity(r.source), "sh");
    assert_int_equal(source_describe(r.source, &r.en, &r.e), 1);
    assert_int_equal(read_all(&r), 0);
    assert_true(slice_equal(buf_slice(&r.out), SLICE("hello")));
    assert_int_equal(source_next(r.source, &r.en, &r.e), 0);
}

static void
much_output_on_both_ends_blocks_nobody(void **state)
{
    RUN(r);

    (void)state;
    open_script(&r,
                "head -c 5000000 /dev/zero >&2; head -c 20000000 /dev/zero;"
                " head -c 5000000 /dev/zero >&2",
                0, false);
    assert_int_equal(read_all(&r), 0);
    assert_int_equal(r.out.len, 20000000);
}

/* A dump that broke off must never become a snapshot. */
/* Some tools say why they failed, and then other things. */
static void
a_failure_may_be_told_by_a_line_before_the_last(void **state)
{
    static const char *const argv[] = {
        "sh", "-c",
        "echo 'Error: old' >&2; echo 'Error: no rights' >&2; echo bye >&2; exit 3", NULL
    };
    static const char *const *const all[] = { argv, NULL };
    static const char *const telling[] = { "denied", "Error: ", NULL },
                             *const others[] = { "denied", NULL };

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct programs p;
        struct err e = { 0 };
        uint8_t block[10];
        size_t got;
        programs_init(&p, all);
        p.telling = i == 0 ? telling : i == 1 ? others : NULL;
        assert_int_equal(programs_start(&p, NULL, &e), 0);
        assert_int_equal(programs_read(&p, block, sizeof block, &got, &e), 0);
        assert_int_equal(programs_end(&p, &e), -1);
        assert_string_equal(err_text(&e),
                            i == 0 ? "command sh exited with 3: Error: no rights"
                                   : "command sh exited with 3: bye");
        programs_release(&p);
    }
}

static void
a_failure_names_status_and_last_words(void **state)
{
    RUN(r);

    (void)state;
    open_script(&r, "echo data; echo first >&2; echo 'no such database' >&2; exit 3", 0,
                false);
    assert_int_equal(read_all(&r), -1);
    assert_int_equal(r.e.kind, ERR_SOURCE);
    assert_string_equal(r.e.text, "command sh exited with 3: no such database");
}

static void
the_last_words_are_found_after_many_others(void **state)
{
    RUN(r);

    (void)state;
    open_script(&r, "seq 100000 >&2; printf 'the cause\\n\\n' >&2; kill -9 $$", 0, false);
    assert_int_equal(read_all(&r), -1);
    assert_string_equal(r.e.text, "command sh exited with 137: the cause");
}

static void
too_few_bytes_are_an_error(void **state)
{
    RUN(r);
    RUN(empty);
    RUN(allowed);

    (void)state;
    open_script(&r, "printf 12345", 6, false);
    assert_int_equal(read_all(&r), -1);
    assert_int_equal(r.e.kind, ERR_SOURCE);
    open_script(&empty, "true", 0, false);
    assert_int_equal(read_all(&empty), -1);
    assert_int_equal(empty.e.kind, ERR_SOURCE);
    open_script(&allowed, "true", 0, true);
    assert_int_equal(read_all(&allowed), 0);
}

static void
a_missing_program_is_told_before_the_run(void **state)
{
    static const char *const missing[] = { "drtool-no-such-program", NULL };
    static const char *const folder[] = { "/etc", NULL };
    RUN(r);

    (void)state;
    assert_int_equal(open_argv(&r, missing, NULL, 0, false), -1);
    assert_int_equal(r.e.kind, ERR_SOURCE);
    assert_non_null(strstr(r.e.text, missing[0]));
    assert_int_equal(open_argv(&r, folder, NULL, 0, false), -1);
    assert_int_equal(r.e.kind, ERR_SOURCE);
}

static void
the_name_can_be_chosen_but_is_one_name(void **state)
{
    static const char *const argv[] = { "true", NULL };
    RUN(r);

    (void)state;
    assert_int_equal(open_argv(&r, argv, "../x", 0, false), -1);
    assert_int_equal(r.e.kind, ERR_USAGE);
    assert_int_equal(open_argv(&r, argv, "shop.sql", 0, false), 0);
    assert_int_equal(source_next(r.source, &r.en, &r.e), 1);
    assert_true(slice_equal(r.en.path, SLICE("shop.sql")));
}

static void
giving_up_in_the_middle_is_no_success(void **state)
{
    RUN(r);
    uint8_t block[10];
    size_t got;
    uint64_t hole;
    bool changed;

    (void)state;
    open_script(&r, "yes", 0, false);
    assert_int_equal(source_read_begin(r.source, &r.en, &r.e), 1);
    assert_int_equal(source_read(r.source, block, sizeof block, &got, &hole, &r.e), 0);
    assert_true(got > 0);
    assert_int_equal(source_read_end(r.source, &changed, &r.e), -1);
    assert_int_equal(r.e.kind, ERR_SOURCE);
}

/* What a dump leaves running in the background must not keep the backup. */
static void
a_grandchild_that_holds_stderr_is_not_waited_for(void **state)
{
    RUN(r);
    time_t before = time(NULL);

    (void)state;
    open_script(&r, "sleep 30 >/dev/null & printf done", 0, false);
    assert_int_equal(read_all(&r), 0);
    assert_true(time(NULL) - before < 10);
}

static void
closing_ends_a_running_command(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        RUN(r);
        open_script(&r, "exec sleep 1000", 0, false);
        assert_int_equal(source_read_begin(r.source, &r.en, &r.e), 1);
    }
}

static void
each_stage_reads_what_the_one_before_prints(void **state)
{
    static const char *const scripts[] = { "seq 300000", "grep 7", "wc -l", NULL };
    RUN(r);

    (void)state;
    open_scripts(&r, scripts, NULL);
    assert_int_equal(read_all(&r), 0);
    assert_true(slice_equal(buf_slice(&r.out), SLICE("122853\n")));
}

/* As `pg_dump | gzip` in a shell, of which only gzip's status counts. */
static void
a_stage_that_fails_is_named_wherever_it_stands(void **state)
{
    static const char *const first[] = { "echo a; echo no such table >&2; exit 4", "cat",
                                         "cat", NULL };
    static const char *const second[] = { "yes", "head -c 9; echo disk full >&2; exit 5",
                                          "cat", NULL };
    static const char *const killed[] = { "printf a; kill -9 $$", "cat", NULL };
    static const char *const cut_off[] = { "yes", "head -c 9", NULL };
    static const struct {
        const char *const *scripts;
        const char *words;
    } cases[] = {
        { first, "command sh exited with 4: no such table" },
        { second, "command sh exited with 5: disk full" }, /* yes was cut off by it */
        { killed, "command sh exited with 137: it said nothing on stderr" },
        { cut_off, "command sh exited with 141: it said nothing on stderr" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        RUN(r);
        open_scripts(&r, cases[i].scripts, NULL);
        assert_int_equal(read_all(&r), -1);
        assert_int_equal(r.e.kind, ERR_SOURCE);
        assert_string_equal(r.e.text, cases[i].words);
    }
}

static void
many_words_of_all_stages_block_nobody(void **state)
{
    static const char *const scripts[] = {
        "head -c 3000000 /dev/zero >&2; head -c 9000000 /dev/zero",
        "head -c 3000000 /dev/zero >&2; cat; head -c 3000000 /dev/zero >&2",
        "cat; head -c 3000000 /dev/zero >&2", NULL
    };
    RUN(r);

    (void)state;
    open_scripts(&r, scripts, NULL);
    assert_int_equal(read_all(&r), 0);
    assert_int_equal(r.out.len, 9000000);
}

static void
a_missing_program_of_any_stage_is_told_before_the_run(void **state)
{
    static const char *const cat[] = { "cat", NULL };
    static const char *const missing[] = { "drtool-no-such-program", NULL };
    static const char *const *stages[] = { cat, missing, NULL };
    RUN(r);

    (void)state;
    r.conf.command.stages = (char ***)(uintptr_t)stages;
    assert_int_equal(open_argv(&r, NULL, NULL, 0, false), -1);
    assert_int_equal(r.e.kind, ERR_SOURCE);
    assert_non_null(strstr(r.e.text, missing[0]));
}

/* A dump that exits 0 without having come to its end. */
static void
an_output_without_its_end_mark_is_an_error(void **state)
{
    static const char *const whole[] = { "seq 200000; echo '-- dump complete'; seq 500",
                                         NULL };
    static const char *const early[] = { "echo '-- dump complete'; seq 2000", NULL };
    static const char *const split[] = {
        "printf '%s' '-- dump com'; sleep 0.2; echo plete", NULL
    };
    static const char mark[] = "-- dump complete";
    RUN(good);
    RUN(bad);
    RUN(parts);

    (void)state;
    open_scripts(&good, whole, mark);
    assert_int_equal(read_all(&good), 0);
    open_scripts(&bad, early, mark);
    assert_int_equal(read_all(&bad), -1);
    assert_int_equal(bad.e.kind, ERR_SOURCE);
    assert_non_null(
        strstr(bad.e.text, "did not print the end mark \"-- dump complete\""));
    open_scripts(&parts, split, mark);
    assert_int_equal(read_all(&parts), 0);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_output_is_one_file),
        cmocka_unit_test(much_output_on_both_ends_blocks_nobody),
        cmocka_unit_test(a_failure_may_be_told_by_a_line_before_the_last),
        cmocka_unit_test(a_failure_names_status_and_last_words),
        cmocka_unit_test(the_last_words_are_found_after_many_others),
        cmocka_unit_test(too_few_bytes_are_an_error),
        cmocka_unit_test(a_missing_program_is_told_before_the_run),
        cmocka_unit_test(the_name_can_be_chosen_but_is_one_name),
        cmocka_unit_test(giving_up_in_the_middle_is_no_success),
        cmocka_unit_test(a_grandchild_that_holds_stderr_is_not_waited_for),
        cmocka_unit_test(closing_ends_a_running_command),
        cmocka_unit_test(each_stage_reads_what_the_one_before_prints),
        cmocka_unit_test(a_stage_that_fails_is_named_wherever_it_stands),
        cmocka_unit_test(many_words_of_all_stages_block_nobody),
        cmocka_unit_test(a_missing_program_of_any_stage_is_told_before_the_run),
        cmocka_unit_test(an_output_without_its_end_mark_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
