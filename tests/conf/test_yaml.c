#include "conf/yaml.h"
#include "support/ground.h"

static int
parse(const char *text, struct yaml_doc **out, struct err *e)
{
    return yaml_doc_parse("f.yaml", slice_str(text), out, e);
}

static void
a_document_becomes_a_tree_that_knows_its_places(void **state)
{
    CLEANUP(yaml_doc_free_p) struct yaml_doc *d = NULL;
    struct err e = { 0 };

    (void)state;
    succeeds(parse("a: 1\nlist:\n  - x\n  - { y: \"2\" }\ntext: |\n  one\n  two\n", &d,
                   &e),
             &e);
    const struct yaml_node *root = yaml_doc_root(d);
    assert_int_equal(root->kind, YAML_MAP);
    assert_int_equal(root->count, 3);
    assert_string_equal(yaml_node_get(root, "a")->text, "1");
    assert_false(yaml_node_get(root, "a")->quoted);
    const struct yaml_node *list = yaml_node_get(root, "list");
    assert_int_equal(list->kind, YAML_LIST);
    assert_int_equal(list->count, 2);
    const struct yaml_node *y = yaml_node_get(&list->items[1], "y");
    assert_true(y->quoted);
    assert_int_equal(y->line, 4);
    assert_int_equal(y->column, 10);
    assert_int_equal(y->key_column, 7);
    assert_string_equal(yaml_node_get(root, "text")->text, "one\ntwo\n");
    assert_null(yaml_node_get(root, "none"));
    assert_null(yaml_node_get(y, "none"));
    assert_null(yaml_node_get(NULL, "none"));
}

static void
what_configurations_do_not_need_is_refused(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        { "", "f.yaml:1:1: the file is empty" },
        { "# only a remark\n", "the file is empty" },
        { "a: &x 1\n", "f.yaml:1:4: anchors" },
        { "a: [&x 1, *x]\n", "f.yaml:1:5: anchors" },
        { "a: *x\n", "f.yaml:1:4: aliases" },
        { "a: !!int 1\n", "f.yaml:1:4: tags" },
        { "a: !mine {}\n", "f.yaml:1:4: tags" },
        { "!x a: 1\n", "f.yaml:1:1: tags" },
        { "a: 1\n<<: { b: 2 }\n", "f.yaml:2:1: merge keys" },
        { "a: 1\nb: 2\na: 3\n", "f.yaml:3:1: the key \"a\" stands here twice" },
        { "{ c: 1, b: 2, c: 3 }", "f.yaml:1:15: the key \"c\"" },
        { "a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document" },
        { "[x, y]: 1\n", "a key must be a word" },
        { "a: \"x\\0y\"\n", "f.yaml:1:4: a NUL byte" },
        { "a: [1, 2\nb: 3\n", "f.yaml:" },
        { "a: b: c\n", "f.yaml:1:5: mapping values are not allowed" },
        { "a:\n\tb: 1\n", "f.yaml:2:1:" },
        { "a: 1\nb: \xff\n", "f.yaml:2:4: invalid leading UTF-8" },
        { "a: \"never closed\n", "f.yaml:" },
    };
    struct yaml_doc *d = NULL;
    struct err e = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        fails(parse(cases[i].text, &d, &e), &e, ERR_USAGE, cases[i].words);
    assert_null(d);
}

/* Each limit is met before memory is taken for what goes over it. */
static void
depth_number_and_size_are_limited(void **state)
{
    AUTOBUF struct buf b = BUF(4 << 20);
    struct yaml_doc *d = NULL;
    struct err e = { 0 };

    (void)state;
    for (int i = 0; i < 33; i++)
        buf_put_str(&b, "[");
    for (int i = 0; i < 33; i++)
        buf_put_str(&b, "]");
    fails(parse(buf_cstr(&b), &d, &e), &e, ERR_USAGE, "f.yaml:1:33: more than 32");
    b.ptr[32] = b.ptr[33] = ' ';
    succeeds(parse(buf_cstr(&b), &d, &e), &e);
    yaml_doc_free(d);
    d = NULL;
    buf_clear(&b);
    for (int i = 0; i < 100001; i++)
        buf_put_str(&b, "- a\n");
    fails(parse(buf_cstr(&b), &d, &e), &e, ERR_USAGE,
          "f.yaml:100000:3: more than 100000");
    buf_clear(&b);
    buf_put_str(&b, "a: \"");
    while (b.len <= YAML_SIZE_MAX)
        buf_put_str(&b, "xxxxxxxxxxxxxxxx");
    fails(parse(buf_cstr(&b), &d, &e), &e, ERR_USAGE, "larger than 1048576 bytes");
}

static void
a_map_of_many_keys_is_read_in_no_time(void **state)
{
    AUTOBUF struct buf b = BUF(YAML_SIZE_MAX);
    CLEANUP(yaml_doc_free_p) struct yaml_doc *d = NULL;
    struct err e = { 0 };

    (void)state;
    for (int i = 0; i < 90000; i++)
        buf_printf(&b, "k%d: 1\n", i);
    succeeds(yaml_doc_parse("f", buf_slice(&b), &d, &e), &e);
    assert_int_equal(yaml_doc_root(d)->count, 90000);
}

static void
nothing_behind_a_colon_is_empty(void **state)
{
    CLEANUP(yaml_doc_free_p) struct yaml_doc *d = NULL;
    struct err e = { 0 };

    (void)state;
    succeeds(parse("a:\nb: ~\nc: null\nd: \"\"\ne: \"null\"\nf: x\n", &d, &e), &e);
    const struct yaml_node *root = yaml_doc_root(d);
    for (size_t i = 0; i < root->count; i++)
        assert_int_equal(yaml_node_empty(&root->items[i]), i < 3);
}

static char *
put_in(void *arg, const struct yaml_node *scalar, struct err *e)
{
    if (strcmp(scalar->text, "${bad}") == 0)
        return yaml_node_error(scalar, e, "there is no such value"), NULL;
    return mem_strdup(strcmp(scalar->text, "${x}") == 0 ? arg : scalar->text);
}

/* How a runbook's ${...} is filled in: values change, keys and places stay. */
static void
a_tree_is_copied_with_other_values(void **state)
{
    CLEANUP(yaml_doc_free_p) struct yaml_doc *d = NULL;
    CLEANUP(yaml_doc_free_p) struct yaml_doc *copy = NULL;
    struct yaml_doc *none = NULL;
    char value[] = "new";
    struct err e = { 0 };

    (void)state;
    succeeds(parse("a: [1, \"${x}\"]\n\"${x}\": same\nb: { c: \"${bad}\" }\n", &d, &e),
             &e);
    const struct yaml_node *root = yaml_doc_root(d);
    fails(yaml_doc_rewrite(root, put_in, value, &none, &e), &e, ERR_USAGE,
          "f.yaml:3:9: there is no such value");
    succeeds(yaml_doc_rewrite(yaml_node_get(root, "a"), put_in, value, &copy, &e), &e);
    const struct yaml_node *a = yaml_doc_root(copy);
    assert_string_equal(a->items[0].text, "1");
    assert_string_equal(a->items[1].text, "new");
    assert_int_equal(a->items[1].column, 8);
    assert_string_equal(yaml_node_get(root, "${x}")->text, "same");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_becomes_a_tree_that_knows_its_places),
        cmocka_unit_test(what_configurations_do_not_need_is_refused),
        cmocka_unit_test(depth_number_and_size_are_limited),
        cmocka_unit_test(a_map_of_many_keys_is_read_in_no_time),
        cmocka_unit_test(nothing_behind_a_colon_is_empty),
        cmocka_unit_test(a_tree_is_copied_with_other_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
