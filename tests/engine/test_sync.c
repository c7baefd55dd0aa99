#include "../../src/engine/mirror.h"
#include "engine/sync.h"
#include "storage/dir.h"
#include "storage/mem.h"
#include "support/lab.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY 86400

/* On how many snapshots can target `i` be relied? */
static unsigned
complete_on(struct lab *l, size_t i)
{
    CLEANUP(repo_close_p) struct repo *r = lab_reader(l, false);
    CLEANUP(snapshot_list_release) struct snapshot_list list = { 0 };
    unsigned n = 0;

    assert_ok(repo_snapshots(r, &list, &l->e), &l->e);
    for (size_t k = 0; k < list.count; k++)
        n += (list.rows[k].snap & list.rows[k].done & ~list.rows[k].gone) >> i & 1;
    return n;
}

static void
sync_open(struct lab *l, struct sync_result *res)
{
    struct sync_options o = { .from = NULL };

    assert_ok(engine_sync(l->site.repo, &o, res, &l->e), &l->e);
}

static void
sync_once(struct lab *l, struct sync_result *res)
{
    lab_open(l);
    sync_open(l, res);
    site_close(&l->site);
}

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

static void
remove_objects(struct lab *l, size_t i, const char *folder)
{
    AUTOFREE char *name = mem_printf("t%zu/%s", i, folder);
    AUTOFREE char *path = folder_path(&l->site.folder, name);

    assert_ok(fs_remove_tree(path, &l->e), &l->e);
}

/* Calls fn for each file below the folder of target i. */
static void
each_file(const char *path, void (*fn)(const char *path, int64_t arg), int64_t arg)
{
    DIR *dir = opendir(path);
    struct dirent *d;

    assert_non_null(dir);
    while ((d = readdir(dir)) != NULL) {
        AUTOFREE char *at = mem_printf("%s/%s", path, d->d_name);
        if (d->d_name[0] == '.')
            continue;
        if (d->d_type == DT_DIR)
            each_file(at, fn, arg);
        else
            fn(at, arg);
    }
    closedir(dir);
}

static void
age_file(const char *path, int64_t seconds)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    struct timespec t[2] = { { st.st_mtim.tv_sec - seconds, 0 },
                             { st.st_mtim.tv_sec - seconds, 0 } };
    assert_int_equal(utimensat(AT_FDCWD, path, t, 0), 0);
}

static void
age_objects(struct lab *l, size_t i, const char *folder, int64_t seconds)
{
    AUTOFREE char *name = mem_printf("t%zu/%s", i, folder);
    AUTOFREE char *path = folder_path(&l->site.folder, name);

    each_file(path, age_file, seconds);
}

static size_t
rows_of(struct lab *l, const char *target)
{
    int64_t id = 0;
    size_t n = 0;
    int rc;

    do {
        AUTOBUF struct buf key = BUF(1000), packs = BUF(1 << 20);
        rc = state_commit_next(repo_state(l->site.repo), target, &id, &key, &packs,
                               &l->e);
        n += rc == 1;
    } while (rc == 1);
    assert_ok(rc, &l->e);
    return n;
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
    bool done;
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

    if (m->done || call != FAULT_ON_LIST
        || strncmp(prefix, m->when, strlen(m->when)) != 0)
        return;
    m->done = true;
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

/* Deletes all packs of data, or of metadata, from all targets but the last `left`. */
static void
lose_packs(struct lab *l, size_t left, bool data, struct buf *names)
{
    packs_of(l, 0, data, names);
    assert_true(names->len > 0);
    for (size_t i = 0; i < TARGETS - left; i++)
        remove_packs(l, i, buf_slice(names));
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

/* What a target's own prune records name may be gone the next moment. */
static void
a_snapshot_is_not_completed_on_packs_that_are_being_pruned(void **state)
{
    struct sync_result res;
    LAB(l);

    (void)state;
    back_up_well(&l);
    remove_objects(&l, 1, "done");
    site_open(&l.site);
    condemn(&l, 1, NULL);
    site_close(&l.site);
    sync_once(&l, &res);
    assert_false(res.targets[1].committed);
    assert_int_equal(complete_on(&l, 1), 0);
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

/* Healing. */

static void
garble(const char *path, int64_t unused)
{
    AUTOCLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

    (void)unused;
    assert_int_equal(pwrite(fd, "garbled", 7, 100), 7);
}

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
        cmocka_unit_test(a_snapshot_too_old_to_be_completed_is_left_alone),
        cmocka_unit_test(heal_removes_no_done_that_cannot_be_put_again),
        cmocka_unit_test(heal_removes_a_damaged_done_and_sync_puts_it_again),
        cmocka_unit_test(a_rotten_key_slot_does_not_spread),
        cmocka_unit_test(a_rotten_pack_that_no_index_names_is_healed),
        cmocka_unit_test(data_lost_everywhere_is_stored_anew),
        cmocka_unit_test(metadata_lost_everywhere_is_stored_anew),
        cmocka_unit_test(what_only_an_absent_target_may_have_is_stored_anew),
        cmocka_unit_test(what_is_back_is_not_lost_any_more),
        cmocka_unit_test(a_snapshot_that_did_not_fit_leaves_nothing_behind),
        cmocka_unit_test(a_row_without_a_snapshot_is_dropped),
        cmocka_unit_test(any_number_of_rows_may_wait),
        cmocka_unit_test(what_was_voided_waits_for_no_commit),
        cmocka_unit_test(a_successor_is_whole_and_every_target_learns_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
