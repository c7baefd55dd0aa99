#include "engine/sync.h"
#include "support/breaks.h"

#include <limits.h>

/* Every call of a sync is broken once. What waits for t1 is in the queue, and t2 is a
 * new disk, which gets everything by listing. */

static struct sync_result told;
static unsigned restores;

static void
prepare(struct lab *l)
{
    back_up_well(l);
    change_source(l, 1);
    l->plans[1] = (struct fault_plan){
        .mode = FAULT_REFUSE, .calls = FAULT_ON_PUT, .at = 1, .count = UINT_MAX
    };
    assert_ok(back_up(l, 2), &l->e);
    assert_string_equal(status_name(l->result.status), "degraded");
    no_faults(l);
    lab_new_disk(l, 2);
    site_close(&l->site);
}

static int
run(struct lab *l)
{
    struct sync_options o = { .from = NULL };

    if (lab_try(l) < 0)
        return -1;
    int rc = engine_sync(l->site.repo, &o, &told, &l->e);
    lab_count(l);
    site_close(&l->site);
    return rc;
}

/* Is it told that this target has all? If not, for a reason that fits. */
static bool
told_level(size_t i)
{
    const struct target_result *t = &told.targets[i];

    if (!t->committed && t->why.kind != ERR_UNAVAIL && t->why.kind != ERR_CORRUPT)
        fail_msg("t%zu is not level: %s: %s", i, err_name(t->why.kind),
                 err_text(&t->why));
    return t->committed;
}

static void
judge(struct lab *l, enum ran how)
{
    struct verify_result seen;
    bool level = how == RAN_THROUGH;

    if (how == RAN_INTO_ERROR)
        fail_msg("one broken call ends the sync: %s", err_text(&l->e));
    for (size_t i = 0; i < TARGETS; i++) {
        assert_int_equal(misnamed(l, i), 0);
        level &= how == RAN_THROUGH && told_level(i);
    }
    lab_look(l, level ? 3 : 2, &seen);
    assert_int_equal(seen.damaged_files, 0);
    assert_int_equal(seen.unasked, 0);
    assert_int_equal(seen.targets[0].snapshots, 2);
    assert_in_range(seen.targets[1].snapshots, level ? 2 : 1, 2);
    if (level) {
        assert_int_equal(seen.targets[2].snapshots, 2);
        assert_int_equal(seen.unhealed, 0);
    }
    sync_well(l);
    if (!level) /* else it has just been read */
        verify_well(l, 2);
    restore_well(l, ++restores % 4 == 0);
}

static const struct breaking breaking = { prepare, run, judge, TARGETS, 2 };

static void
a_call_refused_costs_no_sync(void **state)
{
    (void)state;
    break_each_call(&breaking, FAULT_REFUSE);
}

static void
an_answer_lost_costs_no_sync(void **state)
{
    (void)state;
    break_each_call(&breaking, FAULT_LOSE_ACK);
}

static void
an_answer_garbled_costs_no_sync(void **state)
{
    (void)state;
    break_each_call(&breaking, FAULT_GARBLE);
}

static void
an_answer_cut_costs_no_sync(void **state)
{
    (void)state;
    break_each_call(&breaking, FAULT_CUT);
}

static void
a_death_costs_no_sync(void **state)
{
    (void)state;
    break_each_call(&breaking, FAULT_DIE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        BREAK_TEST(a_call_refused_costs_no_sync),
        BREAK_TEST(an_answer_lost_costs_no_sync),
        BREAK_TEST(an_answer_garbled_costs_no_sync),
        BREAK_TEST(an_answer_cut_costs_no_sync),
        BREAK_TEST(a_death_costs_no_sync),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
