/* What waits to be complete on a target, what is lost everywhere, and what takes the
 * place of a snapshot. */
#include "engine/sync.h"
#include "support/lab.h"

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/stat.h>

/* Packs that are lost everywhere. */

static void
make_old(const char *path, int64_t unused)
{
    struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };

    (void)unused;
    assert_int_equal(utimensat(AT_FDCWD, path, old, AT_SYMLINK_NOFOLLOW), 0);
}

static int
count_name(void *arg, struct slice name, struct slice value, struct err *e)
{
    size_t *n = arg;

    (void)value;
    (void)e;
    assert_int_equal(name.len, 32);
    ++*n;
    return 0;
}

/* How many are remembered as lost? With `looked` after the next run has looked. */
static size_t
lost_packs(struct lab *l, bool looked)
{
    size_t n = 0;

    site_open(&l->site);
    if (looked)
        assert_ok(repo_load_index(l->site.repo, &l->e), &l->e);
    assert_ok(state_lost_list(repo_state(l->site.repo), count_name, &n, &l->e), &l->e);
    site_close(&l->site);
    return n;
}

static bool
later(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

/* When a folder above the source was changed last: they are in every snapshot. */
static struct timespec
changed_above(struct lab *l)
{
    AUTOFREE char *path = mem_strdup(l->site.folder.path);
    struct timespec last = { 0 };
    struct stat st;

    for (char *slash; (slash = strrchr(path, '/')) != NULL;) {
        *slash = 0;
        assert_int_equal(stat(path[0] ? path : "/", &st), 0);
        if (later(st.st_ctim, last))
            last = st.st_ctim;
    }
    return last;
}

/* False: somebody changed a folder above the source, so that the second backup had a
 * tree of its own to store. */
static bool
lose_everywhere(bool data)
{
    AUTOBUF struct buf names = BUF(1 << 16);
    LAB(l);
    struct timespec above = changed_above(&l);

    l.source.files.match_inode = false; /* change times cannot be set back */
    each_file(l.src, make_old, 0);
    back_up_well(&l);
    lose_packs(&l, 0, data, &names);
    if (!data)
        site_drop_cache(&l.site);
    assert_int_equal(back_up(&l, 2), 0);
    struct timespec now = changed_above(&l);
    if (later(now, above))
        return false;
    assert_string_equal(status_name(l.result.status), "no-quorum");
    assert_int_equal(lost_packs(&l, true), names.len / 32);
    back_up_well(&l);
    assert_true(l.result.new_bytes >= (data ? BIG : 1));
    restore_well(&l, true);
    restore_well(&l, false);
    back_up_well(&l); /* and what was stored anew is relied on */
    assert_true(l.result.kept > 10);
    assert_true(l.result.new_bytes < 20000);
    change_source(&l, 1);
    back_up_well(&l);
    restore_well(&l, true);
    sync_well(&l);
    return true;
}

static void
data_lost_everywhere_is_stored_anew(void **state)
{
    (void)state;
    while (!lose_everywhere(true))
        continue;
}

static void
metadata_lost_everywhere_is_stored_anew(void **state)
{
    (void)state;
    while (!lose_everywhere(false))
        continue;
}

/* A target that is away may have it, or may never be back: the next backup waits for
 * nothing. When it is back, what it has counts again. */
static void
what_only_an_absent_target_may_have_is_stored_anew(void **state)
{
    AUTOBUF struct buf names = BUF(1 << 16);
    LAB(l);

    (void)state;
    back_up_well(&l);
    lose_packs(&l, 1, true, &names);
    l.plans[2] = (struct fault_plan){ .mode = FAULT_REFUSE, .at = 1, .count = UINT_MAX };
    assert_int_equal(back_up(&l, 2), 0);
    assert_string_equal(status_name(l.result.status), "no-quorum");
    assert_int_equal(back_up(&l, 2), 0);
    assert_string_equal(status_name(l.result.status), "degraded");
    assert_true(l.result.new_bytes > 0);
    restore_well(&l, true);
    no_faults(&l);
    back_up_well(&l);
    assert_true(l.result.new_bytes < BIG);
    assert_int_equal(lost_packs(&l, false), 0);
    restore_well(&l, true);
}

static void
what_is_back_is_not_lost_any_more(void **state)
{
    LAB(l);

    (void)state;
    back_up_well(&l);
    AUTOFREE char *packs = folder_path(&l.site.folder, "t0/pack");
    AUTOFREE char *away = folder_path(&l.site.folder, "away");
    size_t count = site_count(&l.site, 0, "pack/");
    assert_int_equal(rename(packs, away), 0);
    remove_objects(&l, 1, "pack");
    remove_objects(&l, 2, "pack");
    assert_int_equal(back_up(&l, 2), 0);
    assert_string_equal(status_name(l.result.status), "no-quorum");
    assert_in_range(lost_packs(&l, true), 1, count); /* some metadata has changed */
    assert_ok(fs_remove_tree(packs, &l.e), &l.e);
    assert_int_equal(rename(away, packs), 0);
    assert_int_equal(lost_packs(&l, true), 0);
    back_up_well(&l);
    assert_true(l.result.new_bytes < BIG);
    restore_well(&l, true);
    sync_well(&l);
}

/* What waits for its commit. */

/* The spool is full before snap/ fits: nothing waits for what was never queued. */
static void
a_snapshot_that_did_not_fit_leaves_nothing_behind(void **state)
{
    LAB(l);

    (void)state;
    back_up_well(&l);
    change_source(&l, 1);
    for (size_t i = 0; i < TARGETS; i++)
        l.plans[i] = (struct fault_plan){
            .mode = FAULT_REFUSE, .calls = FAULT_ON_PUT, .at = 1, .count = UINT_MAX
        };
    unsigned failed = 0;
    /* What other programs change above the source adds to what a try leaves there. */
    for (uint64_t room = 100000; room < 4000000;
         room += room < 220000 ? 1000 : room / 4) {
        l.site.conf.fleet.spool_max = room;
        lab_open(&l);
        int rc = back_up_open(&l, 0);
        size_t rows = rows_of(&l, "t1");
        uint64_t queued = 0, bytes = 0;
        assert_ok(state_queue_sum(repo_state(l.site.repo), "t1", &queued, &bytes, &l.e),
                  &l.e);
        site_close(&l.site);
        failed += rc < 0;
        if (rc == 0)
            break;
        assert_int_equal(l.e.kind, ERR_QUORUM);
        assert_int_equal(rows, 0);
    }
    assert_true(failed > 0);
    l.site.conf.fleet.spool_max = (uint64_t)1 << 30;
    no_faults(&l);
    back_up_well(&l);
    sync_well(&l);
    verify_well(&l, 3);
}

/* A row whose snapshot is nowhere and on no way: of an older program, or because
 * somebody removed the object. */
static void
a_row_without_a_snapshot_is_dropped(void **state)
{
    LAB(l);

    (void)state;
    back_up_well(&l);
    lab_open(&l);
    assert_ok(state_commit_add(repo_state(l.site.repo),
                               "snap/0123456789abcdef/0000000009-0123456789abcdef"
                               "0123456789abcdef0123456789abcdef0123456789abcdef",
                               "t1", SLICE(""), &l.e),
              &l.e);
    site_close(&l.site);
    sync_well(&l);
    lab_open(&l);
    assert_int_equal(rows_of(&l, "t1"), 0);
    site_close(&l.site);
    sync_well(&l);
}

static void
any_number_of_rows_may_wait(void **state)
{
    LAB(l);

    (void)state;
    back_up_well(&l);
    lab_open(&l);
    struct state *s = repo_state(l.site.repo);
    assert_ok(state_begin(s, &l.e), &l.e);
    for (unsigned i = 0; i < 10500; i++) {
        AUTOFREE char *key = mem_printf("snap/0123456789abcdef/%010u-%064u", i, i);
        assert_ok(state_commit_add(s, key, "t1", SLICE(""), &l.e), &l.e);
    }
    assert_ok(state_commit(s, &l.e), &l.e);
    site_close(&l.site);
    change_source(&l, 1);
    int told = dup(2), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    assert_true(told >= 0 && nowhere >= 0 && dup2(nowhere, 2) == 2);
    int rc = back_up(&l, 2); /* which warns of each */
    assert_int_equal(dup2(told, 2), 2);
    close(told);
    close(nowhere);
    assert_int_equal(rc, 0);
    assert_string_equal(status_name(l.result.status), "ok");
    lab_open(&l);
    assert_int_equal(rows_of(&l, "t1"), 0);
    site_close(&l.site);
    verify_well(&l, 2);
}

/* A successor while a target is away. */

static void
condemn_after_snap(void *arg, enum fault_call call, const char *key)
{
    struct lab *l = arg;

    if (call != FAULT_ON_PUT || l->condemnations == 0 || strncmp(key, "snap/", 5) != 0)
        return;
    l->condemnations--;
    condemn(l, l->hooked, NULL);
}

/* While t2 is away and something older waits on t0, where the snapshot that is to be
 * replaced waits no more: the successor needs all packs of that one that are not
 * condemned, and t2 learns later what was replaced. */
static void
a_successor_is_whole_and_every_target_learns_of_it(void **state)
{
    AUTOBUF struct buf key = BUF(1000), packs = BUF(1 << 16), metadata = BUF(1 << 16);
    int64_t id = 0;
    bool whole = false;
    LAB(l);

    (void)state;
    back_up_well(&l);
    AUTOFREE char *older = mem_strdup(l.result.key);
    change_source(&l, 1);
    l.hook = (struct hook){ .after = condemn_after_snap,
                            .arg = &l,
                            .traits = STORAGE_LOCAL };
    l.hooked = 1;
    l.condemnations = 1;
    l.plans[0] = (struct fault_plan){ .mode = FAULT_REFUSE,
                                      .calls = FAULT_ON_HEAD,
                                      .prefix = older,
                                      .at = 1,
                                      .count = UINT_MAX };
    l.plans[2] = (struct fault_plan){
        .mode = FAULT_REFUSE, .calls = FAULT_ON_PUT, .at = 1, .count = UINT_MAX
    };
    lab_open(&l);
    assert_ok(state_commit_add(repo_state(l.site.repo), older, "t0", SLICE(""), &l.e),
              &l.e);
    assert_ok(back_up_open(&l, 2), &l.e);
    assert_int_equal(l.condemnations, 0);
    assert_int_equal(state_commit_next(repo_state(l.site.repo), "t2", &id, &key, &packs,
                                       &l.e),
                     1);
    assert_string_equal(buf_cstr(&key), l.result.key);
    site_close(&l.site);
    packs_of(&l, 0, false, &metadata);
    for (size_t i = 0; i < packs.len; i += 32)
        for (size_t k = 0; k < metadata.len; k += 32)
            whole |= memcmp(packs.ptr + i, metadata.ptr + k, 32) == 0;
    assert_true(whole);
    assert_int_equal(site_count(&l.site, 0, "gone/"), 1);
    assert_int_equal(site_count(&l.site, 2, "gone/"), 0);
    l.hooked = TARGETS;
    no_faults(&l);
    sync_well(&l);
    for (size_t i = 0; i < TARGETS; i++) {
        assert_int_equal(site_count(&l.site, i, "gone/"), 1);
        assert_int_equal(complete_on(&l, i), 2);
    }
    restore_well(&l, true);
}

/* The rows of an earlier program, or of a kill: what is voided waits no more. */
static void
what_was_voided_waits_for_no_commit(void **state)
{
    LAB(l);

    (void)state;
    back_up_well(&l);
    change_source(&l, 1);
    back_up_well(&l);
    lab_open(&l);
    struct repo *r = l.site.repo;
    assert_ok(repo_void(r, fleet_target(repo_fleet(r), 1), l.result.key, &l.e), &l.e);
    assert_ok(state_commit_add(repo_state(r), l.result.key, "t1", SLICE(""), &l.e), &l.e);
    site_close(&l.site);
    sync_well(&l);
    lab_open(&l);
    assert_int_equal(rows_of(&l, "t1"), 0);
    site_close(&l.site);
    assert_int_equal(complete_on(&l, 1), 1);
}

static void
count_heads(void *arg, enum fault_call call, const char *key)
{
    if (call == FAULT_ON_HEAD && strncmp(key, "pack/", 5) == 0)
        atomic_fetch_add((atomic_uint *)arg, 1);
}

static int
count_pending(void *arg, struct slice name, struct slice value, struct err *e)
{
    (void)name;
    (void)value;
    (void)e;
    ++*(unsigned *)arg;
    return 0;
}

/* After a big first backup there would be a request for each of its packs. */
static void
no_target_is_asked_for_packs_that_its_index_names(void **state)
{
    (void)state;
    LAB(l);
    atomic_uint heads = 0; /* many lanes ask */
    unsigned pending = 0;

    back_up_well(&l);
    l.hook = (struct hook){ .before = count_heads, .arg = &heads };
    l.hooked = 0;
    repo_close(lab_reader(&l, false));
    assert_int_equal(heads, 0);
    lab_open(&l); /* who writes forgets them */
    assert_int_equal(heads, 0);
    assert_ok(state_pending_list(repo_state(l.site.repo), true, count_pending, &pending,
                                 &l.e),
              &l.e);
    assert_int_equal(pending, 0);
    site_close(&l.site);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_lost_everywhere_is_stored_anew),
        cmocka_unit_test(metadata_lost_everywhere_is_stored_anew),
        cmocka_unit_test(what_only_an_absent_target_may_have_is_stored_anew),
        cmocka_unit_test(what_is_back_is_not_lost_any_more),
        cmocka_unit_test(a_snapshot_that_did_not_fit_leaves_nothing_behind),
        cmocka_unit_test(a_row_without_a_snapshot_is_dropped),
        cmocka_unit_test(any_number_of_rows_may_wait),
        cmocka_unit_test(a_successor_is_whole_and_every_target_learns_of_it),
        cmocka_unit_test(what_was_voided_waits_for_no_commit),
        cmocka_unit_test(no_target_is_asked_for_packs_that_its_index_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
