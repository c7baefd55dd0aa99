/* What verify tells, and what it heals; the rest is in test_break_heal.c. */
#include "storage/dir.h"
#include "support/lab.h"

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

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

static void
hide_snapshots(void *arg, enum fault_call call, const char *key)
{
    if (call == FAULT_ON_LIST && strcmp(key, "snap/") == 0)
        move_records(arg, "t1/snap", "hidden");
}

static void
show_snapshots(void *arg, enum fault_call call, const char *key)
{
    if (call == FAULT_ON_LIST && strcmp(key, "snap/") == 0)
        move_records(arg, "hidden", "t1/snap");
}

static void
a_snapshot_that_is_not_listed_yet_is_no_damage(void **state)
{
    CLEANUP(snapshot_list_release) struct snapshot_list list = { 0 };
    LAB(l);

    (void)state;
    back_up_well(&l);
    l.hook = (struct hook){ .before = hide_snapshots,
                            .after = show_snapshots,
                            .arg = &l,
                            .traits = STORAGE_LOCAL };
    l.hooked = 1;
    lab_open(&l);
    assert_ok(repo_snapshots(l.site.repo, &list, &l.e), &l.e);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.rows[0].snap, 7);
    assert_int_equal(list.lost_count, 0);
    site_close(&l.site);
}

/* Healing. */

static void
heal(struct lab *l, uint64_t unhealed)
{
    struct verify_options o = { .level = 2, .heal = true, .threads = 1 };
    struct verify_result res;

    lab_open(l);
    assert_ok(engine_verify(l->site.repo, &o, &res, &l->e), &l->e);
    site_close(&l->site);
    assert_int_equal(res.unhealed, unhealed);
}

static void
heal_removes_no_done_that_cannot_be_put_again(void **state)
{
    struct sync_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    AUTOFREE char *done = folder_path(&l.site.folder, "t1/done");
    each_file(done, garble, 0);
    age_objects(&l, 1, "snap", 4 * DAY);
    heal(&l, 2); /* done/ is damaged, and so the snapshot is not complete */
    assert_int_equal(site_count(&l.site, 1, "done/"), 1);
    remove_objects(&l, 1, "snap"); /* as the message says */
    sync_once(&l, &res);
    assert_true(res.targets[1].committed);
    assert_int_equal(complete_on(&l, 1), 1);
    heal(&l, 0);
    assert_int_equal(site_count(&l.site, 1, "done/"), 1);
    assert_int_equal(complete_on(&l, 1), 1);
}

static void
heal_removes_a_damaged_done_and_sync_puts_it_again(void **state)
{
    LAB(l);

    (void)state;
    back_up_well(&l);
    AUTOFREE char *done = folder_path(&l.site.folder, "t1/done");
    each_file(done, garble, 0);
    heal(&l, 1);
    assert_int_equal(site_count(&l.site, 1, "done/"), 0);
    sync_well(&l);
    assert_int_equal(complete_on(&l, 1), 1);
    verify_well(&l, 1);
}

/* A read that fails does not say that there is no slot, and the first copy at hand is
 * not the right one. */
static void
a_rotten_key_slot_does_not_spread(void **state)
{
    struct verify_options o = { .level = 2, .heal = true, .threads = 1 };
    struct verify_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    AUTOFREE char *slots = folder_path(&l.site.folder, "t1/keys");
    each_file(slots, garble, 0);
    l.plans[0] = (struct fault_plan){ .mode = FAULT_REFUSE,
                                      .calls = FAULT_ON_GET,
                                      .prefix = "keys/",
                                      .at = 1,
                                      .count = UINT_MAX };
    lab_open(&l);
    assert_ok(engine_verify(l.site.repo, &o, &res, &l.e), &l.e);
    site_close(&l.site);
    assert_int_equal(res.unasked, 1);
    assert_true(res.unhealed > 0); /* one copy of the others', and t0 may have another */
    no_faults(&l);
    heal(&l, 0);
    lab_look(&l, 2, &res);
    assert_int_equal(res.unhealed, 0);
}

/* Its own index does not name the pack, which sync would take for good. */
static void
a_rotten_pack_that_no_index_names_is_healed(void **state)
{
    struct verify_options o = { .level = 3, .heal = true, .threads = 1 };
    AUTOBUF struct buf names = BUF(1 << 16);
    struct verify_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    packs_of(&l, 1, true, &names);
    char key[PACK_KEY_LEN + 1];
    pack_key(key, names.ptr);
    AUTOFREE char *path = mem_printf("%s/t1/%s", l.site.folder.path, key);
    garble(path, 0);
    remove_objects(&l, 1, "index");
    lab_open(&l);
    assert_ok(engine_heal(l.site.repo, &o, NULL, &res, &l.e), &l.e);
    site_close(&l.site);
    assert_int_equal(res.unhealed, 0);
    assert_int_equal(res.targets[1].healed, 1);
    verify_well(&l, 1);
}

/* What was pruned. */

/* One backup whose packs of data all targets prune, and one that needs none of them. */
static void
prune_first_backup(struct lab *l, struct buf *pruned)
{
    back_up_well(l);
    site_open(&l->site);
    for (size_t i = 0; i < TARGETS; i++)
        condemn(l, i, i == 0 ? pruned : NULL);
    site_close(&l->site);
    back_up_well(l);
    for (size_t i = 0; i < TARGETS; i++)
        remove_packs(l, i, buf_slice(pruned));
}

static void
heal_well(struct lab *l, struct verify_result *res)
{
    struct verify_options o = {
        .level = 3, .heal = true, .threads = 1, .damage = lab_on_damage
    };

    lab_open(l);
    assert_ok(engine_heal(l->site.repo, &o, NULL, res, &l->e), &l->e);
    site_close(&l->site);
    assert_int_equal(res->unhealed, 0);
    assert_int_equal(res->damaged_files, 0);
}

/* A snapshot may need it: then the sweep leaves it. */
static void
what_is_marked_is_healed_while_it_lies_there(void **state)
{
    AUTOBUF struct buf names = BUF(1 << 16);
    struct verify_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    site_open(&l.site);
    condemn(&l, 1, &names);
    site_close(&l.site);
    char key[PACK_KEY_LEN + 1];
    pack_key(key, names.ptr);
    AUTOFREE char *path = mem_printf("%s/t1/%s", l.site.folder.path, key);
    garble(path, 0);
    heal_well(&l, &res);
    assert_int_equal(res.targets[1].healed, 1);
    verify_well(&l, 1);
}

/* A snapshot that was being completed while it was marked needs it. It is not pruned, but
 * lost, and does not come back under its name. */
static void
what_is_marked_and_lost_is_stored_anew(void **state)
{
    AUTOBUF struct buf names = BUF(1 << 16);
    struct verify_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    site_open(&l.site);
    condemn(&l, 1, &names);
    site_close(&l.site);
    remove_packs(&l, 1, buf_slice(&names));
    heal_well(&l, &res);
    for (size_t i = 0; i < names.len; i += 32)
        assert_false(has_pack(&l, 1, names.ptr + i));
    verify_well(&l, 1);
}

/* An index names it as before. */
static void
what_was_pruned_is_not_missing_and_not_put_back(void **state)
{
    AUTOBUF struct buf pruned = BUF(1 << 16);
    struct verify_result res;
    LAB(l);

    (void)state;
    prune_first_backup(&l, &pruned);
    verify_well(&l, 2);
    heal_well(&l, &res);
    for (size_t i = 0; i < pruned.len; i += 32)
        assert_false(has_pack(&l, 1, pruned.ptr + i));
}

/* It has an index of the others, and no prune records. */
static void
what_was_pruned_before_a_target_was_made_is_not_missing_there(void **state)
{
    AUTOBUF struct buf pruned = BUF(1 << 16);
    LAB(l);

    (void)state;
    prune_first_backup(&l, &pruned);
    lab_new_disk(&l, 1);
    site_close(&l.site);
    sync_well(&l);
    verify_well(&l, 2);
}

/* One target was about to prune it too. */
static void
what_all_others_have_pruned_may_rot(void **state)
{
    AUTOBUF struct buf pruned = BUF(1 << 16);
    char key[PACK_KEY_LEN + 1];
    struct verify_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    site_open(&l.site);
    condemn(&l, 0, &pruned);
    condemn(&l, 2, NULL);
    site_close(&l.site);
    back_up_well(&l);
    remove_packs(&l, 0, buf_slice(&pruned));
    remove_packs(&l, 2, buf_slice(&pruned));
    pack_key(key, pruned.ptr);
    AUTOFREE char *path = mem_printf("%s/t1/%s", l.site.folder.path, key);
    garble(path, 0);
    heal_well(&l, &res);
    assert_int_equal(res.targets[1].damaged, 0);
    assert_int_equal(res.targets[1].snapshots, 2);
}

/* Targets may keep snapshots for different times. */
static void
what_only_another_target_prunes_is_missing_and_healed(void **state)
{
    AUTOBUF struct buf pruned = BUF(1 << 16);
    struct verify_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    site_open(&l.site);
    condemn(&l, 2, &pruned);
    site_close(&l.site);
    remove_packs(&l, 1, buf_slice(&pruned));
    heal_well(&l, &res);
    assert_int_equal(res.targets[1].healed, pruned.len / 32);
    for (size_t i = 0; i < pruned.len; i += 32)
        assert_true(has_pack(&l, 1, pruned.ptr + i));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_completed_meanwhile_is_no_damage),
        cmocka_unit_test(a_snapshot_that_is_not_listed_yet_is_no_damage),
        cmocka_unit_test(heal_removes_no_done_that_cannot_be_put_again),
        cmocka_unit_test(heal_removes_a_damaged_done_and_sync_puts_it_again),
        cmocka_unit_test(a_rotten_key_slot_does_not_spread),
        cmocka_unit_test(a_rotten_pack_that_no_index_names_is_healed),
        cmocka_unit_test(what_is_marked_is_healed_while_it_lies_there),
        cmocka_unit_test(what_is_marked_and_lost_is_stored_anew),
        cmocka_unit_test(what_was_pruned_is_not_missing_and_not_put_back),
        cmocka_unit_test(what_was_pruned_before_a_target_was_made_is_not_missing_there),
        cmocka_unit_test(what_all_others_have_pruned_may_rot),
        cmocka_unit_test(what_only_another_target_prunes_is_missing_and_healed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
