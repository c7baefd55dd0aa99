/* Help, manual and completions of the real table of commands. */
#include "cli/help.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/man.h"
#include "cli/output.h"
#include "cli/parse.h"
#include "support/ground.h"

#include <ctype.h>

/* Each line of a help text fits a terminal and ends without a space. */
static void
check_width(const char *what, const char *text)
{
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, "\n");
        if (len > HELP_WIDTH)
            fail_msg("%s: wider than 80: %.*s", what, (int)len, p);
        if (len > 0 && p[len - 1] == ' ')
            fail_msg("%s: ends in a space: %.*s", what, (int)len, p);
        p += len + (p[len] == '\n');
    }
}

static void
help_of_every_command_fits_80_columns_and_names_all(void **state)
{
    AUTOBUF struct buf all = BUF(HELP_MAX);

    (void)state;
    help_overview(commands, &all);
    check_width("help", buf_cstr(&all));
    for (size_t i = 0; commands[i]; i++) {
        AUTOBUF struct buf out = BUF(HELP_MAX);
        help_command(commands[i], &out);
        check_width(commands[i]->name, buf_cstr(&out));
        assert_true(command_hidden(commands[i])
                    || strstr(buf_cstr(&all), commands[i]->name));
        for (const struct option *o = commands[i]->options; o && o->type != OPT_END;
             o++) {
            AUTOFREE char *word = mem_printf("--%s", o->name);
            assert_non_null(strstr(buf_cstr(&out), word));
        }
    }
    assert_null(strstr(buf_cstr(&all), "__"));
}

static void
check_words(const char *where, const char *text)
{
    size_t len = strlen(text);

    if (len == 0 || isupper((unsigned char)text[0]) || text[len - 1] == '.')
        fail_msg("%s: lower case without a full stop: %s", where, text);
}

/* The globals own their letters and names; a clash would hide one of the two. */
static void
options_do_not_clash_and_are_worded_alike(void **state)
{
    (void)state;
    for (size_t i = 0; commands[i]; i++) {
        const struct command *c = commands[i];
        check_words(c->name, c->summary);
        for (const struct option *o = c->options; o && o->type != OPT_END; o++) {
            check_words(c->name, o->help);
            bool flag = o->type == OPT_FLAG || o->type == OPT_REPEAT;
            assert_int_equal(flag, o->arg == NULL);
            assert_true(o->at < c->options_size);
            for (const struct option *g = global_options; g->type != OPT_END; g++)
                if (strcmp(g->name, o->name) == 0
                    || (o->letter && g->letter == o->letter))
                    fail_msg("%s: --%s takes what is global", c->name, o->name);
            for (const struct option *b = c->options; b != o; b++)
                if (strcmp(b->name, o->name) == 0
                    || (o->letter && b->letter == o->letter))
                    fail_msg("%s: --%s stands there twice", c->name, o->name);
        }
    }
}

/* EXAMPLES must be lines that the program understands. */
static void
every_example_is_a_line_that_can_be_parsed(void **state)
{
    (void)state;
    for (size_t i = 0; commands[i]; i++)
        for (size_t j = 0; commands[i]->examples && commands[i]->examples[j]; j += 2) {
            const char *words[64];
            int count = 0;
            CLEANUP(parse_release) struct parsed p = { 0 };
            struct err e = { 0 };
            AUTOFREE char *line = mem_strdup(commands[i]->examples[j]);
            for (char *save, *w = strtok_r(line, " ", &save);
                 w && w[0] != '>' && w[0] != '|' && w[0] != '<' && count < 64;
                 w = strtok_r(NULL, " ", &save))
                words[count++] = w;
            assert_string_equal(words[0], "drtool");
            if (parse_line(commands, count, words, &p, &e) < 0)
                fail_msg("%s: %s", commands[i]->examples[j], err_text(&e));
            assert_ptr_equal(p.command, commands[i]);
            assert_non_null(commands[i]->examples[j + 1]);
        }
}

static void
every_page_is_made_and_names_every_option(void **state)
{
    AUTOBUF struct buf names = BUF(MAN_MAX);
    struct err e = { 0 };

    (void)state;
    man_list(commands, &names);
    for (const char *p = buf_cstr(&names); *p;) {
        size_t len = strcspn(p, "\n");
        AUTOFREE char *name = mem_printf("%.*s", (int)len, p);
        AUTOBUF struct buf page = BUF(MAN_MAX);
        succeeds(man_page(commands, name, "/no/prose", &page, &e), &e);
        assert_non_null(strstr(buf_cstr(&page), ".Sh NAME\n"));
        assert_non_null(strstr(buf_cstr(&page), ".Sh DESCRIPTION\n"));
        p += len + 1;
    }
    for (size_t i = 0; commands[i]; i++) {
        AUTOBUF struct buf page = BUF(MAN_MAX);
        AUTOFREE char *name = mem_printf("drtool-%.*s.1",
                                         (int)strcspn(commands[i]->name, " "),
                                         commands[i]->name);
        if (command_hidden(commands[i]))
            continue;
        succeeds(man_page(commands, name, "/no/prose", &page, &e), &e);
        for (const struct option *o = commands[i]->options; o && o->type != OPT_END;
             o++) {
            AUTOFREE char *word = mem_printf("Fl -%s", o->name);
            assert_non_null(strstr(buf_cstr(&page), word));
        }
    }
}

static void
prose_is_put_where_it_belongs(void **state)
{
    SCRATCH(d);
    AUTOFREE char *prose = scratch_file(&d, "version.prose",
                                        "First words.\n.Sh FORMAT\nMiddle.\n"
                                        ".Sh CAVEATS\nLast words.\n");
    AUTOBUF struct buf page = BUF(MAN_MAX);
    struct err e = { 0 };

    (void)state;
    succeeds(man_page(commands, "drtool-version.1", d.path, &page, &e), &e);
    const char *text = buf_cstr(&page);
    const char *order[] = { ".Sh DESCRIPTION\nFirst words.\n", ".Sh FORMAT\nMiddle.\n",
                            ".Sh EXIT STATUS", ".Sh SEE ALSO",
                            ".Sh CAVEATS\nLast words.\n" };
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        text = strstr(text, order[i]);
        assert_non_null(text);
    }
    fails(man_page(commands, "drtool-nothing.1", d.path, &page, &e), &e, ERR_USAGE,
          "drtool-nothing.1");
    fails(man_page(commands, "drtool-__man.1", d.path, &page, &e), &e, ERR_USAGE, "");
}

static void
completions_name_every_command_and_option(void **state)
{
    static const char *const shells[] = { "bash", "zsh", "fish" };
    struct err e = { 0 };

    (void)state;
    for (size_t s = 0; s < COUNT_OF(shells); s++) {
        AUTOBUF struct buf out = BUF(COMPLETE_MAX);
        succeeds(complete_script(commands, shells[s], &out, &e), &e);
        for (size_t i = 0; commands[i]; i++)
            for (const struct option *o = commands[i]->options;
                 o && o->type != OPT_END && !command_hidden(commands[i]); o++)
                assert_non_null(strstr(buf_cstr(&out), o->name));
        assert_null(strstr(buf_cstr(&out), "__man"));
    }
    AUTOBUF struct buf none = BUF(COMPLETE_MAX);
    fails(complete_script(commands, "tcsh", &none, &e), &e, ERR_USAGE,
          "bash, zsh and fish");
}

static void
long_words_are_wrapped_and_indented(void **state)
{
    AUTOBUF struct buf out = BUF(HELP_MAX);

    (void)state;
    help_wrap(&out, "aaaaaaaaaa bbbbbbbbbb cccccccccc", 65, 4);
    assert_string_equal(buf_cstr(&out), "aaaaaaaaaa\n    bbbbbbbbbb cccccccccc\n");
}

static void
a_table_lines_its_columns_up(void **state)
{
    CLEANUP(table_free_p)
    struct table *t = table_new((const char *const[]){ "NAME", ">SIZE", "SITE", NULL });
    char text[200] = "";
    FILE *f = fmemopen(text, sizeof text, "w");

    (void)state;
    TABLE_ROW(t, "a", "1.5 GiB", "x");
    TABLE_ROW(t, "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f-long", "9 B", "");
    table_print(t, f);
    fclose(f);
    assert_string_equal(text, "NAME          SIZE  SITE\n"
                              "a          1.5 GiB  x\n"
                              "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f-long      9 B\n");
}

/* A file's name may be any bytes; JSON may not. */
static void
names_that_are_no_utf8_go_into_json_as_base64(void **state)
{
    json_t *o = json_object();

    (void)state;
    json_put_name(o, "path", SLICE("a\xc3\xa4"));
    json_put_name(o, "link", SLICE("\xff"));
    json_put_name(o, "more", SLICE("\xff\xfe\xfd\xfc"));
    json_put_text(o, "text", "bad \xff byte");
    assert_string_equal(json_string_value(json_object_get(o, "path")), "a\xc3\xa4");
    assert_null(json_object_get(o, "link"));
    assert_string_equal(json_string_value(json_object_get(o, "link_b64")), "/w==");
    assert_string_equal(json_string_value(json_object_get(o, "more_b64")), "//79/A==");
    assert_string_equal(json_string_value(json_object_get(o, "text")), "bad \\xff byte");
    json_decref(o);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_of_every_command_fits_80_columns_and_names_all),
        cmocka_unit_test(options_do_not_clash_and_are_worded_alike),
        cmocka_unit_test(every_example_is_a_line_that_can_be_parsed),
        cmocka_unit_test(every_page_is_made_and_names_every_option),
        cmocka_unit_test(prose_is_put_where_it_belongs),
        cmocka_unit_test(completions_name_every_command_and_option),
        cmocka_unit_test(long_words_are_wrapped_and_indented),
        cmocka_unit_test(a_table_lines_its_columns_up),
        cmocka_unit_test(names_that_are_no_utf8_go_into_json_as_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
