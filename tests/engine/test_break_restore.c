#include "engine/restore.h"
#include "support/breaks.h"

/* Every call of a restore is broken once, on a machine that has nothing but the key:
 * from three targets, where it costs nothing, and from one alone. */

static struct restore_result told;
static size_t readable; /* so many targets are in the configuration */

static void
prepare(struct lab *l)
{
    back_up_well(l);
    change_source(l, 1);
    back_up_well(l); /* what is restored, and not the one before */
}

static int
restore_newest(struct lab *l, struct repo *r)
{
    CLEANUP(snapshot_list_release) struct snapshot_list list = { 0 };
    AUTOFREE char *to = folder_path(&l->site.folder, "restored");
    struct snapshot_row *row = NULL;

    if (repo_load_index(r, &l->e) < 0 || repo_snapshots(r, &list, &l->e) < 0
        || repo_find_snapshot(&list, "web", &row, &l->e) < 0)
        return -1;
    struct restore_options o = {
        .snapshot = &row->info, .to = to, .threads = 2, .owner = OWNER_SKIP
    };
    return engine_restore(r, &o, &told, &l->e);
}

static int
run(struct lab *l)
{
    struct repo *r = NULL;

    l->site.conf.target_count = readable;
    l->e = (struct err){ 0 };
    told = (struct restore_result){ 0 };
    int rc = lab_try_reader(l, true, &r);
    if (rc == 0) {
        rc = restore_newest(l, r);
        lab_count(l);
    }
    repo_close(r);
    l->site.conf.target_count = TARGETS;
    return rc;
}

/* Once more, undisturbed: it goes on where the first one stopped. */
static void
run_again(struct lab *l)
{
    assert_ok(run(l), &l->e);
    assert_int_equal(told.damaged + told.blocked, 0);
    restored_well(l, false);
}

static void
judge_of_three(struct lab *l, enum ran how)
{
    if (how == RAN_INTO_ERROR)
        fail_msg("two targets are not enough: %s", err_text(&l->e));
    if (how == RAN_THROUGH)
        assert_int_equal(told.damaged + told.blocked, 0);
    restored_well(l, how != RAN_THROUGH);
    run_again(l);
}

static void
judge_of_one(struct lab *l, enum ran how)
{
    bool whole = how == RAN_THROUGH && told.damaged == 0;
    enum err_kind kind = how == RAN_INTO_ERROR ? l->e.kind : ERR_UNAVAIL;

    /* a bit of a slot is a bit of what the secret is compared with */
    if (kind != ERR_UNAVAIL && kind != ERR_CORRUPT && kind != ERR_FORGED
        && !(kind == ERR_DENIED && strstr(l->e.text, "key slots")))
        fail_msg("%s: %s", err_name(l->e.kind), err_text(&l->e));
    restored_well(l, !whole);
    run_again(l);
}

static void
break_restore(enum fault_mode mode)
{
    static const struct breaking of_three = { prepare, run, judge_of_three, TARGETS, 1 };
    static const struct breaking of_one = { prepare, run, judge_of_one, 1, 1 };

    readable = TARGETS;
    break_each_call(&of_three, mode);
    readable = 1;
    break_each_call(&of_one, mode);
}

static void
a_call_refused_spoils_no_restore(void **state)
{
    (void)state;
    break_restore(FAULT_REFUSE);
}

static void
an_answer_lost_spoils_no_restore(void **state)
{
    (void)state;
    break_restore(FAULT_LOSE_ACK);
}

static void
an_answer_garbled_spoils_no_restore(void **state)
{
    (void)state;
    break_restore(FAULT_GARBLE);
}

static void
an_answer_cut_spoils_no_restore(void **state)
{
    (void)state;
    break_restore(FAULT_CUT);
}

static void
a_death_spoils_no_restore(void **state)
{
    (void)state;
    break_restore(FAULT_DIE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        BREAK_TEST(a_call_refused_spoils_no_restore),
        BREAK_TEST(an_answer_lost_spoils_no_restore),
        BREAK_TEST(an_answer_garbled_spoils_no_restore),
        BREAK_TEST(an_answer_cut_spoils_no_restore),
        BREAK_TEST(a_death_spoils_no_restore),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
