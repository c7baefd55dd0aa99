/* What verify tells while others are at work; damage and healing are in test_sync.c and
 * test_break_heal.c. */
#include "support/lab.h"

/* The commit records of t1 are not there while they are listed for the first time. */
struct late {
    struct lab *lab;
    unsigned left;
};

static void
move_records(struct lab *l, const char *from, const char *to)
{
    AUTOFREE char *a = mem_printf("%s/%s", l->site.folder.path, from);
    AUTOFREE char *b = mem_printf("%s/%s", l->site.folder.path, to);

    assert_int_equal(rename(a, b), 0);
}

static void
hide(void *arg, enum fault_call call, const char *key)
{
    struct late *x = arg;

    if (call == FAULT_ON_LIST && strcmp(key, "done/") == 0 && x->left == 1)
        move_records(x->lab, "t1/done", "hidden");
}

static void
show(void *arg, enum fault_call call, const char *key)
{
    struct late *x = arg;

    if (call == FAULT_ON_LIST && strcmp(key, "done/") == 0 && x->left == 1) {
        move_records(x->lab, "hidden", "t1/done");
        x->left = 0;
    }
}

static void
a_snapshot_completed_meanwhile_is_no_damage(void **state)
{
    struct late late = { .left = 1 };
    LAB(l);

    (void)state;
    late.lab = &l;
    back_up_well(&l);
    l.hook = (struct hook){ .before = hide, .after = show, .arg = &late };
    l.hooked = 1;
    lab_open(&l);
    struct verify_options o = { .level = 0, .threads = 1, .damage = lab_on_damage };
    struct verify_result res;
    late.left = 1; /* opening may have listed them */
    assert_ok(engine_verify(l.site.repo, &o, &res, &l.e), &l.e);
    site_close(&l.site);
    assert_int_equal(late.left, 0);
    assert_int_equal(res.unhealed, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_completed_meanwhile_is_no_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
