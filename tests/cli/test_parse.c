#include "cli/parse.h"
#include "support/ground.h"

struct demo_options {
    bool dry_run, force;
    unsigned threads;
    const char *name;
    struct opt_strings tags;
    uint64_t size;
    int64_t wait_ms;
    int overwrite;
};

#define AT(field) offsetof(struct demo_options, field)

static const struct option options[] = {
    { OPT_FLAG, "dry-run", 'n', NULL, AT(dry_run), COMPLETE_NONE, "x" },
    { OPT_FLAG, "force", 'f', NULL, AT(force), COMPLETE_NONE, "x" },
    { OPT_COUNT, "threads", 't', "N", AT(threads), COMPLETE_NONE, "x" },
    { OPT_STRING, "name", 'N', "NAME", AT(name), COMPLETE_NONE, "x" },
    { OPT_STRINGS, "tag", 0, "TAG", AT(tags), COMPLETE_NONE, "x" },
    { OPT_SIZE, "memory", 0, "SIZE", AT(size), COMPLETE_NONE, "x" },
    { OPT_DURATION, "wait", 0, "TIME", AT(wait_ms), COMPLETE_NONE, "x" },
    { OPT_ENUM, "overwrite", 0, "always|if-changed|never", AT(overwrite), COMPLETE_NONE,
      "x" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const struct demo_options defaults = { .threads = 2, .overwrite = 1 };

static const struct command demo = {
    .name = "demo",
    .args = "SNAPSHOT [PATH...]",
    .summary = "x",
    .options = options,
    .options_size = sizeof(struct demo_options),
    .defaults = &defaults,
};
static const struct command add = { .name = "key add", .summary = "x" };
static const struct command list = { .name = "key list",
                                     .args = "[NAME]",
                                     .summary = "x" };

static const struct command *const table[] = { &demo, &add, &list, NULL };

#define PARSE(p, e, ...) \
    parse_words(p, e, (const char *const[]){ "drtool", __VA_ARGS__, NULL })

static int
parse_words(struct parsed *p, struct err *e, const char *const *words)
{
    int count = 0;

    while (words[count])
        count++;
    return parse_line(table, count, words, p, e);
}

static void
options_of_every_kind_are_read(void **state)
{
    CLEANUP(parse_release) struct parsed p = { 0 };
    struct err e = { 0 };

    (void)state;
    succeeds(PARSE(&p, &e, "demo", "snap", "--dry-run", "--threads=8", "--name", "x",
                   "--tag", "a", "--tag=b", "--memory", "64MiB", "--wait=1h30m",
                   "--overwrite", "never", "p1", "p2"),
             &e);
    const struct demo_options *o = p.options;
    assert_ptr_equal(p.command, &demo);
    assert_true(o->dry_run);
    assert_false(o->force);
    assert_int_equal(o->threads, 8);
    assert_string_equal(o->name, "x");
    assert_int_equal(o->tags.count, 2);
    assert_string_equal(o->tags.items[1], "b");
    assert_int_equal(o->size, 64 << 20);
    assert_int_equal(o->wait_ms, 5400000);
    assert_int_equal(o->overwrite, 2);
    assert_int_equal(p.arg_count, 3);
    assert_string_equal(p.args[2], "p2");
    assert_null(p.args[3]);
}

static void
what_is_not_given_keeps_its_default(void **state)
{
    CLEANUP(parse_release) struct parsed p = { 0 };
    struct err e = { 0 };

    (void)state;
    succeeds(PARSE(&p, &e, "demo", "snap"), &e);
    const struct demo_options *o = p.options;
    assert_int_equal(o->threads, 2);
    assert_int_equal(o->overwrite, 1);
    assert_null(o->name);
}

static void
letters_stand_together_and_the_last_takes_the_rest(void **state)
{
    CLEANUP(parse_release) struct parsed p = { 0 };
    CLEANUP(parse_release) struct parsed q = { 0 };
    struct err e = { 0 };

    (void)state;
    succeeds(PARSE(&p, &e, "-vv", "demo", "-nfvt8", "s", "-N", "name"), &e);
    const struct demo_options *o = p.options;
    assert_true(o->dry_run && o->force);
    assert_int_equal(o->threads, 8);
    assert_string_equal(o->name, "name");
    assert_int_equal(p.globals.verbose, 3);
    succeeds(PARSE(&q, &e, "demo", "s", "-fNn"), &e);
    assert_string_equal(((const struct demo_options *)q.options)->name, "n");
}

static void
globals_are_taken_before_and_after_the_command(void **state)
{
    CLEANUP(parse_release) struct parsed p = { 0 };
    CLEANUP(parse_release) struct parsed q = { 0 };
    struct err e = { 0 };

    (void)state;
    succeeds(PARSE(&p, &e, "-c", "a.yaml", "--json", "demo", "s"), &e);
    assert_string_equal(p.globals.config, "a.yaml");
    assert_true(p.globals.json);
    assert_false(p.globals.progress);
    succeeds(PARSE(&q, &e, "demo", "--config=b.yaml", "s", "-q", "--progress"), &e);
    assert_string_equal(q.globals.config, "b.yaml");
    assert_true(q.globals.quiet && q.globals.progress);
    assert_int_equal(q.arg_count, 1);
}

static void
behind_two_dashes_everything_is_an_argument(void **state)
{
    CLEANUP(parse_release) struct parsed p = { 0 };
    struct err e = { 0 };

    (void)state;
    succeeds(PARSE(&p, &e, "demo", "-n", "--", "-f", "--name", "-"), &e);
    assert_true(((const struct demo_options *)p.options)->dry_run);
    assert_false(((const struct demo_options *)p.options)->force);
    assert_int_equal(p.arg_count, 3);
    assert_string_equal(p.args[0], "-f");
}

/* "-" alone is an argument: many programs mean standard input by it. */
static void
one_dash_is_an_argument(void **state)
{
    CLEANUP(parse_release) struct parsed p = { 0 };
    struct err e = { 0 };

    (void)state;
    succeeds(PARSE(&p, &e, "demo", "-"), &e);
    assert_string_equal(p.args[0], "-");
}

static void
commands_of_two_words_are_found(void **state)
{
    CLEANUP(parse_release) struct parsed p = { 0 };
    CLEANUP(parse_release) struct parsed q = { 0 };
    struct err e = { 0 };

    (void)state;
    succeeds(PARSE(&p, &e, "key", "add"), &e);
    assert_ptr_equal(p.command, &add);
    assert_int_equal(p.arg_count, 0);
    succeeds(PARSE(&q, &e, "-q", "key", "list", "x"), &e);
    assert_ptr_equal(q.command, &list);
    assert_int_equal(q.arg_count, 1);
}

static void
one_sentence_tells_what_is_wrong(void **state)
{
    static const struct {
        const char *words[5];
        const char *tell;
    } cases[] = {
        { { "drtool" }, "a command is missing" },
        { { "drtool", "dmeo", "s" }, "unknown command \"dmeo\"; did you mean \"demo\"?" },
        { { "drtool", "elephant" }, "unknown command \"elephant\"; see 'drtool help'" },
        { { "drtool", "key" }, "key needs a further word; see 'drtool help key'" },
        { { "drtool", "key", "lsit" }, "did you mean \"key list\"?" },
        { { "drtool", "key", "-q" }, "unknown command \"key -q\"" },
        { { "drtool", "demo", "s", "--dryrun" }, "did you mean --dry-run?" },
        { { "drtool", "--jsn", "demo", "s" }, "did you mean --json?" },
        { { "drtool", "demo", "s", "--elephant" }, "see 'drtool help demo'" },
        { { "drtool", "demo", "s", "-nx" }, "unknown option -x; see 'drtool help demo'" },
        { { "drtool", "demo", "s", "--name" }, "--name needs a value: --name NAME" },
        { { "drtool", "demo", "s", "-N" }, "--name needs a value" },
        { { "drtool", "demo", "s", "--force=yes" }, "--force takes no value" },
        { { "drtool", "demo", "s", "--threads=many" },
          "--threads must be a whole number" },
        { { "drtool", "demo", "s", "--threads=-1" }, "--threads must be a whole number" },
        { { "drtool", "demo", "s", "--threads=4294967296" }, "must be a whole number" },
        { { "drtool", "demo", "s", "--memory=x" }, "--memory must be a size" },
        { { "drtool", "demo", "s", "--wait=5" }, "--wait must be a duration" },
        { { "drtool", "demo", "s", "--overwrite=if" },
          "always|if-changed|never, not \"if\"" },
        { { "drtool", "demo" }, "demo needs more arguments: drtool demo SNAPSHOT" },
        { { "drtool", "key", "add", "x" }, "unexpected argument \"x\"" },
        { { "drtool", "key", "list", "x", "y" }, "unexpected argument \"y\"" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CLEANUP(parse_release) struct parsed p = { 0 };
        struct err e = { 0 };
        int count = 0;
        while (count < 5 && cases[i].words[count])
            count++;
        fails(parse_line(table, count, cases[i].words, &p, &e), &e, ERR_USAGE,
              cases[i].tell);
    }
}

/* Whoever asks for help does not have to get the rest right. */
static void
help_is_given_on_an_unfinished_line(void **state)
{
    CLEANUP(parse_release) struct parsed p = { 0 };
    CLEANUP(parse_release) struct parsed q = { 0 };
    struct err e = { 0 };

    (void)state;
    succeeds(PARSE(&p, &e, "demo", "--help"), &e);
    assert_true(p.globals.help);
    assert_ptr_equal(p.command, &demo);
    succeeds(PARSE(&q, &e, "-h"), &e);
    assert_true(q.globals.help);
}

static void
arguments_are_counted_as_their_pattern_says(void **state)
{
    static const struct {
        const char *args;
        size_t least, most;
    } cases[] = {
        { NULL, 0, 0 },
        { "[SOURCE...]", 0, SIZE_MAX },
        { "SNAPSHOT [PATH...]", 1, SIZE_MAX },
        { "A B", 2, 2 },
        { "[COMMAND [WORD]]", 0, 2 },
        { "bash|zsh|fish", 1, 1 },
        { "PATH...", 1, SIZE_MAX },
        { "SNAPSHOT [PATH [PATH...]]", 1, SIZE_MAX },
        { "[A] B", 1, 2 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct parse_bounds b = parse_bounds(cases[i].args);
        assert_int_equal(b.least, cases[i].least);
        assert_true(b.most == cases[i].most);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_every_kind_are_read),
        cmocka_unit_test(what_is_not_given_keeps_its_default),
        cmocka_unit_test(letters_stand_together_and_the_last_takes_the_rest),
        cmocka_unit_test(globals_are_taken_before_and_after_the_command),
        cmocka_unit_test(behind_two_dashes_everything_is_an_argument),
        cmocka_unit_test(one_dash_is_an_argument),
        cmocka_unit_test(commands_of_two_words_are_found),
        cmocka_unit_test(one_sentence_tells_what_is_wrong),
        cmocka_unit_test(help_is_given_on_an_unfinished_line),
        cmocka_unit_test(arguments_are_counted_as_their_pattern_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
