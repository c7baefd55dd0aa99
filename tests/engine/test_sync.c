#include "../../src/engine/mirror.h"
#include "base/clock.h"
#include "engine/sync.h"
#include "storage/dir.h"
#include "storage/mem.h"
#include "support/lab.h"

#include <limits.h>
#include <unistd.h>

/* Target i is a new disk, and `target add` fills it. */
static void
refill(struct lab *l, size_t i, struct sync_result *res)
{
    lab_new_disk(l, i);
    assert_ok(repo_load_index(l->site.repo, &l->e), &l->e);
    assert_ok(repo_start(l->site.repo, &l->e), &l->e);
    sync_open(l, res);
    site_close(&l->site);
}

/* Two listings beside each other. */

struct seen {
    unsigned total, there;
    char last[100];
};

static int
see(void *arg, const char *key, uint64_t size, bool there, struct err *e)
{
    struct seen *x = arg;

    (void)e;
    assert_int_equal(size, strlen(key));
    assert_true(strcmp(key, x->last) > 0);
    snprintf(x->last, sizeof x->last, "%s", key);
    assert_int_equal(there, key[strlen(key) - 1] % 2 == 1);
    x->total++;
    x->there += there;
    return 0;
}

static void
put_numbers(struct storage *s, unsigned from, unsigned to, bool odd_only)
{
    struct err e = { 0 };

    for (unsigned i = from; i < to; i++) {
        AUTOFREE char *key = mem_printf("pack/%06u", i);
        struct body body = body_of(slice_str(key));
        if (!odd_only || i % 2)
            assert_ok(storage_put(s, key, &body, 0, &e), &e);
    }
}

static void
listings_of_any_length_are_merged(void **state)
{
    static const unsigned lengths[] = { 0, 1, 2, 999, 1000, 1001, 2000, 3333 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        CLEANUP(storage_close_p) struct storage *a = storage_mem();
        CLEANUP(storage_close_p) struct storage *b = storage_mem();
        struct seen seen = { 0 };
        struct err e = { 0 };
        put_numbers(a, 5000, 5000 + lengths[i], false);
        put_numbers(b, 5000, 5000 + lengths[i], true);
        for (unsigned k = 0; k < 1500; k++) { /* what only b has, on both sides */
            AUTOFREE char *before = mem_printf("pack/%06u", k);
            AUTOFREE char *behind = mem_printf("pack/%06u", 90000 + k);
            struct body body = body_of(SLICE("x"));
            assert_ok(storage_put(b, before, &body, 0, &e), &e);
            assert_ok(storage_put(b, behind, &body, 0, &e), &e);
        }
        assert_ok(mirror_each(a, b, "pack/", see, &seen, &e), &e);
        assert_int_equal(seen.total, lengths[i]);
        assert_int_equal(seen.there, lengths[i] / 2);
    }
}

static void
a_listing_that_fails_on_a_later_page_is_an_error(void **state)
{
    struct storage *plain = storage_mem();
    struct fault_plan plan = { .calls = FAULT_ON_LIST, .at = 2, .count = 1 };
    CLEANUP(storage_close_p) struct storage *a = NULL;
    CLEANUP(storage_close_p) struct storage *b = storage_mem();
    struct seen seen = { 0 };
    struct err e = { 0 };

    (void)state;
    put_numbers(plain, 0, 2500, false);
    put_numbers(b, 0, 2500, true);
    a = storage_fault(plain, &plan);
    assert_err(mirror_each(a, b, "pack/", see, &seen, &e), &e, ERR_UNAVAIL);
    assert_int_equal(seen.total, 1000);
}

/* Another host stores a snapshot while this one looks: it has one on all targets, and
 * what the other adds comes to target `to` (TARGETS: to all) when target 0 is asked
 * for its list of `when`. */
struct meanwhile {
    struct lab *l;
    const char *when, *what;
    size_t to;
    atomic_bool done; /* lanes ask too */
};

static void
run_shell(char *command)
{
    int status = system(command);

    mem_free(command);
    assert_int_equal(status, 0);
}

static void
add_meanwhile(void *arg, enum fault_call call, const char *prefix)
{
    struct meanwhile *m = arg;

    if (call != FAULT_ON_LIST || strncmp(prefix, m->when, strlen(m->when)) != 0
        || atomic_exchange(&m->done, true))
        return;
    for (size_t i = 0; i < TARGETS; i++)
        if (m->to == TARGETS || m->to == i)
            run_shell(mem_printf("cd %s/later.t%zu && cp -a %s ../t%zu",
                                 m->l->site.folder.path, i, m->what, i));
}

/* The other is this host before it lost its state. */
static void
other_host(struct lab *l, struct meanwhile *m)
{
    const char *top = l->site.folder.path;

    m->l = l;
    back_up_well(l);
    for (size_t i = 0; i < TARGETS; i++)
        run_shell(mem_printf("cd %s && cp -a t%zu first.t%zu", top, i, i));
    change_source(l, 1);
    back_up_well(l);
    for (size_t i = 0; i < TARGETS; i++)
        run_shell(mem_printf("cd %s && mv t%zu later.t%zu && mv first.t%zu t%zu", top, i,
                             i, i, i));
    run_shell(mem_printf("rm -r %s/state", top));
    l->hook = (struct hook){ .arg = m };
    l->hooked = 0;
}

static void
a_snapshot_stored_meanwhile_is_copied(void **state)
{
    struct meanwhile m = { .when = "snap/", .what = ".", .to = 0 };
    struct sync_result res;
    LAB(l);

    (void)state;
    other_host(&l, &m);
    l.hook.before = add_meanwhile;
    sync_once(&l, &res);
    assert_true(m.done);
    for (size_t i = 0; i < TARGETS; i++)
        if (!res.targets[i].committed)
            fail_msg("%s: %s", res.targets[i].name, err_text(&res.targets[i].why));
    assert_int_equal(complete_on(&l, 1), 2);
    verify_well(&l, 2);
}

static void
a_snapshot_stored_meanwhile_is_no_damage(void **state)
{
    struct meanwhile m = { .when = "snap/", .what = ".", .to = TARGETS };
    LAB(l);

    (void)state;
    other_host(&l, &m);
    l.hook.before = add_meanwhile;
    verify_well(&l, 2);
    assert_true(m.done);
}

/* Packs and their segment come behind the list of packs: no segment is copied whose
 * packs are not. */
static void
no_segment_is_copied_without_its_packs(void **state)
{
    struct meanwhile m = { .when = "pack/", .what = "pack index", .to = 0 };
    struct verify_options o = { .level = 0, .target = "t1", .damage = lab_on_damage };
    struct verify_result found;
    struct sync_result res;
    LAB(l);

    (void)state;
    other_host(&l, &m);
    remove_objects(&l, 1, "done"); /* so that packs are looked for */
    l.hook.after = add_meanwhile;
    sync_once(&l, &res);
    assert_true(m.done);
    lab_open(&l);
    assert_ok(engine_verify(l.site.repo, &o, &found, &l.e), &l.e);
    site_close(&l.site);
    assert_int_equal(found.unhealed, 0);
}

/* Mirroring. */

static void
a_new_disk_gets_everything(void **state)
{
    struct sync_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    change_source(&l, 1);
    back_up_well(&l);
    refill(&l, 1, &res);
    assert_true(res.targets[1].committed);
    assert_int_equal(res.snapshots, 2);
    assert_int_equal(complete_on(&l, 1), 2);
    verify_well(&l, 2);
    restore_well(&l, true);
}

/* What is at a wrong place is not taken for a replacement. */
static void
targets_that_were_exchanged_are_not_taken(void **state)
{
    LAB(l);

    (void)state;
    back_up_well(&l);
    run_shell(mem_printf("cd %s && mv t0 x && mv t1 t0 && mv x t1", l.site.folder.path));
    site_open(&l.site);
    struct fleet *f = repo_fleet(l.site.repo);
    for (size_t i = 0; i < 2; i++)
        assert_err(repo_target_add(l.site.repo, fleet_target(f, i), &l.e), &l.e,
                   ERR_EXISTS);
    site_close(&l.site);
}

/* All that is left names a pack that it does not have: what it gives on is no whole
 * snapshot, and must not look like one. */
static void
a_snapshot_that_lacks_a_pack_is_complete_on_no_new_target(void **state)
{
    AUTOBUF struct buf names = BUF(1 << 16);
    struct sync_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    lose_packs(&l, 0, true, &names);
    for (unsigned round = 0; round < 2; round++) {
        refill(&l, 1, &res);
        assert_false(res.targets[1].committed);
        assert_int_equal(complete_on(&l, 1), 0);
        sync_once(&l, &res);
        assert_false(res.targets[1].committed);
        assert_int_equal(complete_on(&l, 1), 0);
    }
}

/* The same with a key that opens no snapshot. */
static void
a_key_that_opens_nothing_gives_on_no_hole_either(void **state)
{
    AUTOBUF struct buf names = BUF(1 << 16), text = BUF(1000);
    uint8_t secret[KEY_FILE_SECRET] = { 42 };
    char key[22];
    struct sync_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    change_source(&l, 1);
    back_up_well(&l);
    site_open(&l.site);
    assert_ok(repo_slot_add(l.site.repo, ROLE_WRITER, SLOT_FILE,
                            slice_of(secret, sizeof secret), key, &l.e),
              &l.e);
    site_close(&l.site);
    key_file_text(secret, &text);
    folder_write(&l.site.folder, "writer", buf_slice(&text));
    AUTOFREE char *file = folder_path(&l.site.folder, "writer");
    assert_int_equal(chmod(file, 0600), 0);
    remove_objects(&l, 1, "done");
    char *admin = l.site.conf.key.file;
    l.site.conf.key.file = file;
    sync_once(&l, &res);
    assert_true(res.targets[1].committed);
    assert_int_equal(res.snapshots, 2);

    remove_objects(&l, 1, "done");
    lose_packs(&l, 0, true, &names);
    sync_once(&l, &res);
    assert_false(res.targets[1].committed);
    l.site.conf.key.file = admin;
    assert_int_equal(complete_on(&l, 1), 0);
    assert_int_equal(complete_on(&l, 0), 2);
}

/* One target still has the pack that the first one lost. */
static void
a_pack_that_the_first_target_lost_comes_from_another(void **state)
{
    AUTOBUF struct buf names = BUF(1 << 16);
    struct sync_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    lose_packs(&l, 1, true, &names);
    refill(&l, 1, &res);
    assert_true(res.targets[1].committed);
    assert_int_equal(complete_on(&l, 1), 1);
    remove_objects(&l, 0, "pack");
    remove_objects(&l, 2, "pack");
    restore_well(&l, true);
}

/* What a target's own prune records name may be gone the next moment, and its name
 * does not come back. */
static void
a_snapshot_is_not_completed_on_packs_that_are_being_pruned(void **state)
{
    AUTOBUF struct buf condemned = BUF(1 << 16);
    struct sync_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    remove_objects(&l, 1, "done");
    site_open(&l.site);
    condemn(&l, 1, &condemned);
    site_close(&l.site);
    sync_once(&l, &res);
    assert_true(res.targets[1].committed);
    assert_int_equal(complete_on(&l, 1), 1);
    remove_packs(&l, 1, buf_slice(&condemned));
    sync_well(&l);
    for (size_t i = 0; i < condemned.len; i += 32)
        assert_false(has_pack(&l, 1, condemned.ptr + i));
    remove_objects(&l, 0, "pack");
    remove_objects(&l, 2, "pack");
    restore_well(&l, true);
}

/* The mark comes, and all that it names goes, while the host sleeps. */
static void
mark_and_sleep(void *arg, enum fault_call call, const char *prefix)
{
    struct lab *l = arg;

    if (call != FAULT_ON_LIST || strcmp(prefix, "pack/") != 0 || l->condemnations == 0)
        return;
    l->condemnations--;
    run_shell(
        mem_printf("mv %s/marked %s/t1/gc", l->site.folder.path, l->site.folder.path));
    clock_suspend((int64_t)26 * 3600 * 1000);
}

static void
who_wakes_up_looks_again_what_is_pruned(void **state)
{
    AUTOBUF struct buf names = BUF(1 << 16);
    struct sync_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    site_open(&l.site);
    condemn(&l, 1, &names);
    site_close(&l.site);
    run_shell(
        mem_printf("mv %s/t1/gc %s/marked", l.site.folder.path, l.site.folder.path));
    remove_objects(&l, 1, "done");
    remove_packs(&l, 1, buf_slice(&names));
    l.hook = (struct hook){ .after = mark_and_sleep, .arg = &l, .traits = STORAGE_LOCAL };
    l.hooked = 1;
    l.condemnations = 1;
    sync_once(&l, &res);
    assert_int_equal(l.condemnations, 0);
    for (size_t i = 0; i < names.len; i += 32)
        assert_false(has_pack(&l, 1, names.ptr + i));
    restore_well(&l, true);
}

/* Nobody can ever complete it: it does not make every sync fail. */
static void
a_snapshot_whose_packs_were_pruned_everywhere_waits_no_more(void **state)
{
    AUTOBUF struct buf condemned = BUF(1 << 16);
    LAB(l);

    (void)state;
    back_up_well(&l);
    site_open(&l.site);
    for (size_t i = 0; i < TARGETS; i++) {
        remove_objects(&l, i, "done");
        condemn(&l, i, i == 0 ? &condemned : NULL);
    }
    assert_ok(state_commit_add(repo_state(l.site.repo), l.result.key, "t1",
                               buf_slice(&condemned), &l.e),
              &l.e);
    site_close(&l.site);
    for (size_t i = 0; i < TARGETS; i++)
        remove_packs(&l, i, buf_slice(&condemned));
    sync_well(&l);
    lab_open(&l);
    assert_int_equal(rows_of(&l, "t1"), 0);
    site_close(&l.site);
    assert_int_equal(complete_on(&l, 1), 0);
    back_up_well(&l);
    restore_well(&l, true);
}

/* What can be completed nowhere any more does not make every sync fail. */
static void
a_snapshot_too_old_to_be_completed_is_left_alone(void **state)
{
    struct sync_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    remove_objects(&l, 1, "done");
    age_objects(&l, 1, "snap", 4 * DAY);
    sync_once(&l, &res);
    assert_true(res.targets[1].committed);
    assert_int_equal(res.snapshots, 0);
    assert_int_equal(complete_on(&l, 1), 0);
    remove_objects(&l, 1, "snap"); /* as the message says */
    sync_once(&l, &res);
    assert_true(res.targets[1].committed);
    assert_int_equal(complete_on(&l, 1), 1);
}

/* It was away when the run began, and lacks records of hosts: with what it gets now it
 * could not tell alone who signed it, so it gets them first. */
static void
a_target_that_returns_in_mid_run_gets_the_records(void **state)
{
    LAB(l);

    (void)state;
    back_up_well(&l);
    remove_objects(&l, 2, "conf");
    l.plans[2] = (struct fault_plan){ .mode = FAULT_REFUSE, .at = 1, .count = 1 };
    lab_open(&l);
    struct fleet *f = repo_fleet(l.site.repo);
    for (int i = 0; i < 500 && !target_is_up(f, fleet_target(f, 2)); i++)
        clock_sleep_ms(10);
    assert_true(target_is_up(f, fleet_target(f, 2)));
    assert_int_equal(storage_fault_hits(l.faults[2]), 1);
    assert_int_equal(site_count(&l.site, 2, "conf/"), site_count(&l.site, 0, "conf/"));
    site_close(&l.site);
}

/* Longer than a header may be: nothing of it is read. */
static void
spoil_header(struct lab *l, size_t i)
{
    static const uint8_t noise[5000];
    AUTOFREE char *name = mem_printf("t%zu/drt.repo", i);

    folder_write(&l->site.folder, name, slice_of(noise, sizeof noise));
}

static void
a_header_that_is_too_long_is_damaged_like_any_other(void **state)
{
    struct verify_result seen;
    LAB(l);

    (void)state;
    back_up_well(&l);
    spoil_header(&l, 1);
    lab_look(&l, 0, &seen);
    assert_int_equal(seen.unasked, 0);
    assert_int_equal(seen.unhealed, 1);
    back_up_well(&l);
    verify_well(&l, 2);
}

/* Its header went bad while it was away: who waits for it is told so. */
static void
a_target_that_returns_damaged_keeps_nobody_waiting(void **state)
{
    struct sync_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    change_source(&l, 1);
    l.plans[2] = (struct fault_plan){ .mode = FAULT_REFUSE, .at = 1, .count = UINT_MAX };
    assert_ok(back_up(&l, 2), &l.e);
    l.plans[2] = (struct fault_plan){ .mode = FAULT_REFUSE, .at = 1, .count = 1 };
    lab_open(&l);
    spoil_header(&l, 2);
    for (int i = 0; i < 500 && storage_fault_calls(l.faults[2]) < 2; i++)
        clock_sleep_ms(10);
    sync_open(&l, &res);
    site_close(&l.site);
    assert_false(res.targets[2].committed);
    assert_int_equal(res.targets[2].why.kind, ERR_CORRUPT);
    no_faults(&l);
    sync_well(&l);
    verify_well(&l, 2);
}

/* A restore met a damaged and a missing pack on one target and went on to the next:
 * the sync after it puts them right, and looks at nothing else. */
static void
what_a_read_found_bad_is_mended_by_sync(void **state)
{
    AUTOBUF struct buf names = BUF(1 << 16);
    struct sync_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    packs_of(&l, 0, true, &names);
    char key[PACK_KEY_LEN + 1];
    pack_key(key, names.ptr);
    AUTOFREE char *path = mem_printf("%s/t0/%s", l.site.folder.path, key);
    garble(path, 0);
    restore_well(&l, false);
    sync_once(&l, &res);
    assert_int_equal(res.mended, 1);
    sync_once(&l, &res);
    assert_int_equal(res.mended, 0);
    verify_well(&l, 1);
    assert_int_equal(unlink(path), 0);
    restore_well(&l, false);
    sync_once(&l, &res);
    assert_int_equal(res.mended, 1);
    verify_well(&l, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_that_returns_in_mid_run_gets_the_records),
        cmocka_unit_test(a_header_that_is_too_long_is_damaged_like_any_other),
        cmocka_unit_test(a_target_that_returns_damaged_keeps_nobody_waiting),
        cmocka_unit_test(what_a_read_found_bad_is_mended_by_sync),
        cmocka_unit_test(listings_of_any_length_are_merged),
        cmocka_unit_test(a_listing_that_fails_on_a_later_page_is_an_error),
        cmocka_unit_test(a_snapshot_stored_meanwhile_is_copied),
        cmocka_unit_test(a_snapshot_stored_meanwhile_is_no_damage),
        cmocka_unit_test(no_segment_is_copied_without_its_packs),
        cmocka_unit_test(a_new_disk_gets_everything),
        cmocka_unit_test(targets_that_were_exchanged_are_not_taken),
        cmocka_unit_test(a_snapshot_that_lacks_a_pack_is_complete_on_no_new_target),
        cmocka_unit_test(a_key_that_opens_nothing_gives_on_no_hole_either),
        cmocka_unit_test(a_pack_that_the_first_target_lost_comes_from_another),
        cmocka_unit_test(a_snapshot_is_not_completed_on_packs_that_are_being_pruned),
        cmocka_unit_test(who_wakes_up_looks_again_what_is_pruned),
        cmocka_unit_test(a_snapshot_whose_packs_were_pruned_everywhere_waits_no_more),
        cmocka_unit_test(a_snapshot_too_old_to_be_completed_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
