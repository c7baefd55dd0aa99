#include "support/breaks.h"

/* Every call of `verify --level 3 --heal` is broken once. On t1, of each kind of object
 * one is missing and one rotten. */

static struct verify_result told;

struct spoiling {
    struct storage *store;
    unsigned count;
};

/* Of two objects one is removed, and of the other a byte is changed. */
static int
spoil(void *arg, const struct object_info *o, struct err *e)
{
    struct spoiling *s = arg;
    AUTOBUF struct buf object = BUF(STORAGE_OBJECT_MAX);
    struct range range = { .key = o->key };

    if (s->count++ % 2)
        return storage_remove(s->store, &o->key, 1, e);
    if (storage_get(s->store, &range, &object, e) < 0)
        return -1;
    object.ptr[object.len / 2] ^= 1;
    struct body body = body_of(buf_slice(&object));
    return storage_put(s->store, o->key, &body, 0, e);
}

static void
prepare(struct lab *l)
{
    static const char *const kinds[] = { "pack/", "index/", "snap/",
                                         "done/", "conf/",  "keys/" };

    back_up_well(l);
    change_source(l, 1);
    back_up_well(l);
    CLEANUP(storage_close_p) struct storage *t1 = site_store(&l->site, 1);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct spoiling s = { .store = t1 };
        assert_ok(storage_list(t1, kinds[i], spoil, &s, &l->e), &l->e);
        assert_true(s.count > 0);
    }
    l->site.as_found = true;
}

static int
run(struct lab *l)
{
    struct verify_options o = { .level = 3, .heal = true, .threads = 2 };

    if (lab_try(l) < 0)
        return -1;
    int rc = engine_heal(l->site.repo, &o, NULL, &told, &l->e);
    lab_count(l);
    site_close(&l->site);
    return rc;
}

static bool
all_well(const struct verify_result *v)
{
    return v->damaged_files + v->unhealed + v->unasked == 0;
}

static void
judge(struct lab *l, enum ran how)
{
    bool well = how == RAN_THROUGH && all_well(&told);
    struct verify_result seen;

    if (how == RAN_INTO_ERROR)
        fail_msg("one broken call ends the healing: %s", err_text(&l->e));
    for (size_t i = 0; i < TARGETS; i++)
        if (well || i != 1)
            assert_int_equal(misnamed(l, i), 0);
    if (!well) {
        lab_look(l, 2, &seen);
        assert_int_equal(seen.targets[0].snapshots, 2);
        assert_int_equal(seen.targets[2].snapshots, 2);
        assert_ok(run(l), &l->e);
        assert_true(all_well(&told));
    }
    lab_look(l, 3, &seen); /* whatever was told */
    assert_true(all_well(&seen));
    for (size_t i = 0; i < TARGETS; i++)
        assert_int_equal(seen.targets[i].snapshots, 2);
    restore_well(l, true);
}

static const struct breaking breaking = { prepare, run, judge, TARGETS, 7 };

static void
a_call_refused_costs_no_healing(void **state)
{
    (void)state;
    break_each_call(&breaking, FAULT_REFUSE);
}

static void
an_answer_lost_costs_no_healing(void **state)
{
    (void)state;
    break_each_call(&breaking, FAULT_LOSE_ACK);
}

static void
an_answer_garbled_costs_no_healing(void **state)
{
    (void)state;
    break_each_call(&breaking, FAULT_GARBLE);
}

static void
an_answer_cut_costs_no_healing(void **state)
{
    (void)state;
    break_each_call(&breaking, FAULT_CUT);
}

static void
a_death_costs_no_healing(void **state)
{
    (void)state;
    break_each_call(&breaking, FAULT_DIE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        BREAK_TEST(a_call_refused_costs_no_healing),
        BREAK_TEST(an_answer_lost_costs_no_healing),
        BREAK_TEST(an_answer_garbled_costs_no_healing),
        BREAK_TEST(an_answer_cut_costs_no_healing),
        BREAK_TEST(a_death_costs_no_healing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
