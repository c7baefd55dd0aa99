#include "support/fixture.h"

#include "drill/runbook.h"

/* drtool-runbook(5) is written by hand; the tables tell what must be in it. */
static char *
manual(void)
{
    AUTOBUF struct buf text = BUF(1 << 20);
    struct err e = { 0 };

    assert_ok(fs_read("man/drtool-runbook.5", text.max, &text, &e), &e);
    return mem_strdup(buf_cstr(&text));
}

/* ".It Ic NAME : No TYPE[, required]" */
static void
has_keys(const char *text, const struct conf_key *keys)
{
    for (const struct conf_key *k = keys; k->type != CONF_END; k++) {
        AUTOFREE char *line = mem_printf(".It Ic %s : No %s%s\n", k->name, schema_type(k),
                                         k->flags & CONF_REQUIRED ? ", required" : "");
        if (!strstr(text, line))
            fail_msg("not in the manual: %s", line);
        if (k->type == CONF_MAP || k->type == CONF_MAPS)
            has_keys(text, k->keys);
    }
}

static void
has_name(const char *text, const char *how, const char *name)
{
    AUTOFREE char *line = mem_printf("%s %s", how, name);

    if (!strstr(text, line))
        fail_msg("not in the manual: %s", line);
}

static void
every_key_and_kind_is_in_the_manual(void **state)
{
    (void)state;
    AUTOFREE char *text = manual();

    has_keys(text, runbook_keys);
    for (const struct fault_kind *k = fault_kinds; k->name; k++) {
        has_name(text, ".It Ic", k->name);
        has_keys(text, k->keys);
        if (k->expects)
            has_keys(text, k->expects);
    }
    for (const struct step_kind *k = step_kinds; k->name; k++) {
        has_name(text, ".It Ic", k->name);
        has_keys(text, k->keys);
        for (const struct output_kind *o = k->outputs; o->name; o++)
            has_name(text, ".Ic", o->name);
    }
    for (const struct check_kind *k = check_kinds; k->name; k++) {
        has_name(text, ".It Ic", k->name);
        has_keys(text, k->keys);
        for (const struct expect_key *x = k->expects; x->name; x++)
            has_name(text, ".Ic", x->name);
    }
    for (size_t i = 0; cleanup_kinds[i]; i++)
        has_name(text, ".Ql", cleanup_kinds[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_and_kind_is_in_the_manual),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
