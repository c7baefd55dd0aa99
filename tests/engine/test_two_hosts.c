/* Two hosts on the same targets: what the one does there, the other must cope with. */
#include "support/lab.h"

#include "engine/restore.h"
#include "engine/sync.h"

#include <limits.h>
#include <unistd.h>

/* Another host on the folder of `l`, with files and a state of its own. */
static void
join(struct lab *l, struct lab *other)
{
    struct join_options j = { .name = "beta" };
    struct join_result res;
    CLEANUP(repo_close_p) struct repo *r = NULL;
    struct repo_options o = { .conf = &other->site.conf, .write = true };

    *other = *l;
    other->site.repo = NULL;
    other->site.conf.state = folder_path(&l->site.folder, "state-b");
    lab_attach(other);
    assert_ok(repo_join(&o, &j, &res, &r, &other->e), &other->e);
}

static void
leave(struct lab *other)
{
    site_close(&other->site);
    mem_free(other->site.conf.state);
    mem_free(other->src);
    mem_free(other->source.name);
}

static void
empty_target(struct lab *l, size_t i)
{
    AUTOFREE char *name = mem_printf("t%zu", i);
    AUTOFREE char *path = folder_path(&l->site.folder, name);

    assert_ok(fs_remove_tree(path, &l->e), &l->e);
    assert_ok(fs_mkdirs(path, 0755, &l->e), &l->e);
}

static void
add_target(struct lab *l, size_t i)
{
    site_open(&l->site);
    assert_ok(repo_target_add(l->site.repo, fleet_target(repo_fleet(l->site.repo), i),
                              &l->e),
              &l->e);
    site_close(&l->site);
}

static enum target_state
state_seen(struct lab *l, size_t i)
{
    site_open(&l->site);
    enum target_state s = target_state(repo_fleet(l->site.repo),
                                       fleet_target(repo_fleet(l->site.repo), i));
    site_close(&l->site);
    return s;
}

static void
copy_header(struct lab *l, size_t from, size_t to, struct buf *kept)
{
    CLEANUP(storage_close_p) struct storage *a = site_store(&l->site, from);
    CLEANUP(storage_close_p) struct storage *b = site_store(&l->site, to);
    struct range range = { .key = "drt.repo" };

    if (kept->len == 0)
        assert_ok(storage_get(a, &range, kept, &l->e), &l->e);
    struct body body = body_of(buf_slice(kept));
    assert_ok(storage_put(b, "drt.repo", &body, 0, &l->e), &l->e);
}

/* Only its own host would know the new target, and all others shun it for ever. */
static void
a_target_made_anew_by_one_host_is_one_for_the_other(void **state)
{
    LAB(a);
    CLEANUP(leave) struct lab b;

    (void)state;
    join(&a, &b);
    back_up_well(&a);
    back_up_well(&b);
    empty_target(&a, 0);
    assert_int_equal(state_seen(&b, 0), TARGET_EMPTY);
    add_target(&a, 0);
    sync_well(&a);
    assert_int_equal(state_seen(&b, 0), TARGET_UP);
    sync_well(&b);
    back_up_well(&b);
    verify_well(&b, 3);
}

/* A host whose clock is far ahead writes the header of a target: of a new one, or again
 * that of one which was damaged. Then the target is lost, another host makes it anew, and
 * the first has to take it. */
static void
header_written_ahead(bool anew)
{
    LAB(a);
    CLEANUP(leave) struct lab b;

    join(&a, &b);
    back_up_well(&b);
    clock_skew(15 * 3600);
    if (anew) {
        empty_target(&a, 0);
        add_target(&a, 0);
    } else {
        folder_write(&a.site.folder, "t0/drt.repo", SLICE("damaged"));
        assert_int_equal(state_seen(&a, 0), TARGET_UP); /* mended */
        assert_int_equal(state_seen(&a, 0), TARGET_UP);
    }
    clock_skew(0);
    clock_sleep_ms(2100); /* whole seconds tell what is later */
    empty_target(&a, 0);
    add_target(&b, 0);
    assert_int_equal(state_seen(&a, 0), TARGET_UP);
    sync_well(&b);
    verify_well(&b, 1);
}

static void
a_clock_that_is_ahead_makes_no_target_too_new(void **state)
{
    (void)state;
    header_written_ahead(true);
}

static void
a_header_that_was_mended_is_as_old_as_before(void **state)
{
    (void)state;
    header_written_ahead(false);
}

/* What its provider had before, unless somebody says that it is meant; and never what is
 * another target's. */
static void
no_older_target_takes_its_place(void **state)
{
    AUTOBUF struct buf old = BUF(4096), theirs = BUF(4096);
    LAB(a);
    CLEANUP(leave) struct lab b;

    (void)state;
    join(&a, &b);
    back_up_well(&b);
    copy_header(&a, 0, 0, &old);
    empty_target(&a, 0);
    add_target(&a, 0);
    sync_well(&a);
    assert_int_equal(state_seen(&b, 0), TARGET_UP);
    copy_header(&a, 0, 0, &old);
    assert_int_equal(state_seen(&a, 0), TARGET_FOREIGN);
    assert_int_equal(state_seen(&b, 0), TARGET_FOREIGN);
    add_target(&b, 0);
    assert_int_equal(state_seen(&b, 0), TARGET_UP);
    copy_header(&a, 1, 0, &theirs);
    site_open(&b.site);
    struct fleet *f = repo_fleet(b.site.repo);
    assert_int_equal(target_state(f, fleet_target(f, 0)), TARGET_FOREIGN);
    assert_err(repo_target_add(b.site.repo, fleet_target(f, 0), &b.e), &b.e, ERR_EXISTS);
}

/* Restores the newest snapshot by one who has target `i` alone. */
static void
restore_from_alone(struct lab *l, size_t i)
{
    struct conf conf = l->site.conf;
    struct repo_options o = { .conf = &conf, .temporary = true };
    CLEANUP(repo_close_p) struct repo *r = NULL;
    CLEANUP(snapshot_list_release) struct snapshot_list list = { 0 };
    struct snapshot_row *row = NULL;
    struct restore_result res;

    conf.targets = &l->site.targets[i];
    conf.target_count = 1;
    assert_ok(repo_open(&o, &r, &l->e), &l->e);
    assert_ok(repo_load_index(r, &l->e), &l->e);
    assert_ok(repo_snapshots(r, &list, &l->e), &l->e);
    assert_ok(repo_find_snapshot(&list, "web", &row, &l->e), &l->e);
    struct restore_options ro = { .snapshot = &row->info, .threads = 1 };
    assert_ok(engine_restore(r, &ro, &res, &l->e), &l->e);
    assert_int_equal(res.damaged, 0);
    assert_true(res.files > 0);
}

/* The first host had never reached t0; the second one relies on what it stored. */
static void
what_another_host_stored_elsewhere_comes_with_its_index(void **state)
{
    LAB(a);
    CLEANUP(leave) struct lab b;

    (void)state;
    join(&a, &b);
    a.plans[0] = (struct fault_plan){ .mode = FAULT_REFUSE, .at = 1, .count = UINT_MAX };
    assert_ok(back_up(&a, 1), &a.e);
    assert_string_equal(status_name(a.result.status), "degraded");
    back_up_well(&b);
    restore_from_alone(&b, 0);
}

static void
move_index(struct lab *l, const char *from, const char *to)
{
    AUTOFREE char *a = folder_path(&l->site.folder, from);
    AUTOFREE char *b = folder_path(&l->site.folder, to);

    if (access(a, F_OK) == 0)
        assert_int_equal(rename(a, b), 0);
}

static void
hide_index(void *arg, enum fault_call call, const char *key)
{
    if (call == FAULT_ON_LIST && strcmp(key, "index/") == 0)
        move_index(arg, "t0/index", "hidden");
}

static void
show_index(void *arg, enum fault_call call, const char *key)
{
    if (call == FAULT_ON_LIST && strcmp(key, "index/") == 0)
        move_index(arg, "hidden", "t0/index");
}

/* The same where lists are late: a segment that was just copied is asked for. */
static void
an_index_that_is_not_listed_yet_has_come_all_the_same(void **state)
{
    LAB(a);
    CLEANUP(leave) struct lab b;

    (void)state;
    join(&a, &b);
    a.plans[0] = (struct fault_plan){ .mode = FAULT_REFUSE, .at = 1, .count = UINT_MAX };
    assert_ok(back_up(&a, 1), &a.e);
    b.hook = (struct hook){
        .before = hide_index, .after = show_index, .arg = &b, .traits = STORAGE_LOCAL
    };
    b.hooked = 0;
    back_up_well(&b);
    restore_from_alone(&b, 0);
}

/* A kill can leave a pack in the local index under a number that no segment names. */
static void
a_pack_with_two_numbers_needs_one_of_them(void **state)
{
    AUTOBUF struct buf names = BUF(1 << 16);
    LAB(l);
    uint32_t number = 0;

    (void)state;
    back_up_well(&l);
    packs_of(&l, 0, true, &names);
    site_open(&l.site);
    assert_ok(index_pack_begin(repo_index(l.site.repo), &number, &l.e), &l.e);
    assert_ok(index_pack_end(repo_index(l.site.repo), number, names.ptr, 1000, &l.e),
              &l.e);
    change_source(&l, 1);
    assert_ok(repo_load_index(l.site.repo, &l.e), &l.e);
    assert_ok(repo_start(l.site.repo, &l.e), &l.e);
    assert_ok(back_up_open(&l, 1), &l.e);
    site_close(&l.site);
    assert_string_equal(status_name(l.result.status), "ok");
    restore_from_alone(&l, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_target_made_anew_by_one_host_is_one_for_the_other),
        cmocka_unit_test(a_clock_that_is_ahead_makes_no_target_too_new),
        cmocka_unit_test(a_header_that_was_mended_is_as_old_as_before),
        cmocka_unit_test(no_older_target_takes_its_place),
        cmocka_unit_test(what_another_host_stored_elsewhere_comes_with_its_index),
        cmocka_unit_test(an_index_that_is_not_listed_yet_has_come_all_the_same),
        cmocka_unit_test(a_pack_with_two_numbers_needs_one_of_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
