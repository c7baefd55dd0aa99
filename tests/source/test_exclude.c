#include "tree.h"

/* The tree that all cases walk. */
static const char *const files[] = {
    "a.log",        "b.txt",         "build/out.o", "build/keep.txt", "doc/build",
    "doc/notes.md", "doc/sub/x.log", "src/a.c",     "src/build/b.o",  "src/deep/er/a.c",
    "temp dir/x",   "#hash",         "!bang",       "src/[x]",        "src/foo.c~",
};

/* What is left of the tree, by the rules: the names that are gone or stay. */
static const struct {
    const char *rules[4];
    const char *out[6]; /* not in the walk */
    const char *in[6];  /* still in it */
} cases[] = {
    { { "*.log" }, { "a.log", "doc/sub/x.log" }, { "b.txt", "doc/sub" } },
    { { "/*.log" }, { "a.log" }, { "doc/sub/x.log" } },
    { { "build" }, { "build", "build/out.o", "doc/build", "src/build" }, { "src/a.c" } },
    { { "build/" }, { "build", "src/build", "src/build/b.o" }, { "doc/build" } },
    { { "/build" }, { "build", "build/out.o" }, { "src/build/b.o", "doc/build" } },
    { { "src/build" }, { "src/build", "src/build/b.o" }, { "build/out.o", "src" } },
    { { "build", "!/build" }, { "doc/build", "src/build" }, { "build", "build/out.o" } },
    /* What lies below an excluded folder cannot be taken back. */
    { { "build/", "!keep.txt" }, { "build/keep.txt" }, { "b.txt" } },
    { { "build/*", "!keep.txt" }, { "build/out.o" }, { "build/keep.txt", "build" } },
    { { "!*.log", "*.log" }, { "a.log" }, { "b.txt" } }, /* the last match decides */
    { { "**/a.c" }, { "src/a.c", "src/deep/er/a.c" }, { "src/deep/er" } },
    { { "src/**/a.c" }, { "src/a.c", "src/deep/er/a.c" }, { "src/foo.c~" } },
    { { "src/**" }, { "src/a.c", "src/build", "src/deep" }, { "src" } },
    { { "**/er/**" }, { "src/deep/er/a.c" }, { "src/deep/er" } },
    { { "**/sub/*.log" }, { "doc/sub/x.log" }, { "a.log" } },
    { { "doc/*/x.log" }, { "doc/sub/x.log" }, { "doc/notes.md" } },
    { { "src/*/a.c" }, { NULL }, { "src/deep/er/a.c", "src/a.c" } },
    { { "**/d*r/*.c" }, { NULL }, { "src/deep/er/a.c" } },
    { { "**/e*r/*.c" }, { "src/deep/er/a.c" }, { "src/a.c" } },
    { { "?.log" }, { "a.log", "doc/sub/x.log" }, { "b.txt" } },
    { { "[ab].*" }, { "a.log", "b.txt", "src/a.c" }, { "doc/sub/x.log" } },
    { { "[!ab].log" }, { "doc/sub/x.log" }, { "a.log" } },
    { { "# no rule", "" }, { NULL }, { "#hash", "a.log" } },
    { { "\\#hash", "\\!bang" }, { "#hash", "!bang" }, { "a.log" } },
    { { "temp dir", "a.log  " }, { "temp dir", "a.log" }, { "b.txt" } },
    { { "src/\\[x\\]" }, { "src/[x]" }, { "src/a.c" } },
    { { "*~" }, { "src/foo.c~" }, { "src/a.c" } },
    { { "/" }, { NULL }, { "a.log", "src/a.c" } },
    { { "*", "!*.txt" }, { "a.log", "src", "build/keep.txt" }, { "b.txt" } },
};

static bool
seen(const char *list, const char *path)
{
    AUTOFREE char *line = mem_printf("%s\n", path);
    const char *at = strstr(list, line);

    while (at && at > list && at[-1] != '\n')
        at = strstr(at + 1, line);
    return at != NULL;
}

static void
rules_are_those_of_gitignore(void **state)
{
    TREE(t);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(files); i++)
        tree_write(&t, files[i], "x");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct tree_walk how = { .paths = { t.dir } };
        memcpy(how.exclude, cases[i].rules, sizeof cases[i].rules);
        assert_int_equal(tree_open(&t, &how), 0);
        const char *list = tree_list(&t);
        for (size_t k = 0; k < 6 && cases[i].out[k]; k++)
            if (seen(list, cases[i].out[k]))
                fail_msg("%s does not exclude %s", cases[i].rules[0], cases[i].out[k]);
        for (size_t k = 0; k < 6 && cases[i].in[k]; k++)
            if (!seen(list, cases[i].in[k]))
                fail_msg("%s excludes %s", cases[i].rules[0], cases[i].in[k]);
    }
}

/* Rules are relative to each path: the same one hits in both. */
static void
each_path_has_its_own_top(void **state)
{
    TREE(t);
    struct tree_walk how = { .exclude = { "/cache" } };

    (void)state;
    tree_write(&t, "one/cache/x", "x");
    tree_write(&t, "one/sub/cache/x", "x");
    tree_write(&t, "two/cache/x", "x");
    how.paths[0] = tree_path(&t, "one");
    how.paths[1] = tree_path(&t, "two");
    assert_int_equal(tree_open(&t, &how), 0);
    assert_string_equal(tree_list(&t),
                        "one\none/sub\none/sub/cache\none/sub/cache/x\ntwo\n");
}

/* Naming a path is stronger than a rule of a path above it. */
static void
a_configured_path_is_never_excluded(void **state)
{
    TREE(t);
    struct tree_walk how = { .exclude = { "cache" } };

    (void)state;
    tree_write(&t, "cache/keep/x", "x");
    tree_write(&t, "cache/other", "x");
    how.paths[0] = tree_path(&t, "cache/keep");
    how.paths[1] = t.dir;
    assert_int_equal(tree_open(&t, &how), 0);
    assert_string_equal(tree_list(&t), "cache/keep\ncache/keep/x\n");
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_are_those_of_gitignore),
        cmocka_unit_test(each_path_has_its_own_top),
        cmocka_unit_test(a_configured_path_is_never_excluded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
