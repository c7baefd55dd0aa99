#include "base/cancel.h"
#include "base/text.h"
#include "support/lab.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The good case. */

static void
a_backup_is_restored_exactly(void **state)
{
    LAB(l);

    (void)state;
    back_up_well(&l);
    assert_false(l.result.has_parent);
    assert_int_equal(l.result.issues, 0);
    verify_well(&l, 1);
    restore_well(&l, false);
    restore_well(&l, true);
    change_source(&l, 1);
    back_up_well(&l);
    assert_true(l.result.has_parent);
    verify_well(&l, 2);
    restore_well(&l, false);
    restore_well(&l, true);
}

/* What lay there before is not stored again. */
static void
a_second_backup_stores_only_what_changed(void **state)
{
    LAB(l);

    (void)state;
    back_up_well(&l);
    uint64_t first = l.result.new_bytes;
    assert_true(first > BIG);
    back_up_well(&l);
    assert_true(l.result.new_bytes < 20000); /* metadata */
    change_source(&l, 1);
    back_up_well(&l);
    assert_in_range(l.result.new_bytes, 100000, 130000);
}

static void
unchanged_files_are_not_read(void **state)
{
    struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
    LAB(l);

    (void)state;
    l.source.files.match_inode = false; /* change times cannot be set back */
    for (unsigned i = 0; i < 12; i++) {
        AUTOFREE char *path = mem_printf("%s/small/%u", l.src, i);
        assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    }
    back_up_well(&l);
    assert_int_equal(l.result.kept, 0);
    back_up_well(&l);
    assert_in_range(l.result.kept, 12, 16);
    restore_well(&l, true);
}

static int
take_name(void *arg, const struct object_info *o, struct err *e)
{
    (void)e;
    assert_true(strlen(o->key) <= CHAIN_KEY_LEN);
    memcpy(arg, o->key, strlen(o->key) + 1);
    return 0;
}

/* The last name of target `i` that begins with `prefix`. */
static void
last_name(struct lab *l, size_t i, const char *prefix, char key[CHAIN_KEY_LEN + 1])
{
    CLEANUP(storage_close_p) struct storage *store = site_store(&l->site, i);

    key[0] = 0;
    assert_ok(storage_list(store, prefix, take_name, key, &l->e), &l->e);
}

/* A target lists what nobody signed: a name of this host with the highest number
 * there is, with the bytes of another snapshot or of nothing. */
static void
plant(struct lab *l, size_t i, const char *kind, bool fits)
{
    CLEANUP(storage_close_p) struct storage *store = site_store(&l->site, i);
    AUTOBUF struct buf object = BUF(SNAPSHOT_MAX);
    char key[CHAIN_KEY_LEN + 1];
    struct chain_name n;

    last_name(l, i, "snap/", key);
    struct range range = { .key = key };
    assert_ok(storage_get(store, &range, &object, &l->e), &l->e);
    assert_true(chain_name(&n, key));
    memcpy(n.kind, kind, sizeof n.kind);
    n.seq = CHAIN_SEQ_MAX;
    if (!fits)
        memset(n.sha256, 0, sizeof n.sha256);
    chain_key(key, &n);
    struct body body = body_of(fits ? buf_slice(&object) : SLICE("planted"));
    assert_ok(storage_put(store, key, &body, 0, &l->e), &l->e);
}

/* One name would otherwise end this host's backups for good. */
static void
a_number_that_nobody_signed_is_not_believed(void **state)
{
    char key[CHAIN_KEY_LEN + 1];
    LAB(l);

    (void)state;
    back_up_well(&l);
    plant(&l, 0, "snap", false);
    plant(&l, 1, "snap", true);
    plant(&l, 2, "gone", false);
    for (unsigned round = 2; round < 4; round++) {
        change_source(&l, round);
        back_up_well(&l);
        struct chain_name n;
        last_name(&l, 2, "snap/", key);
        assert_true(chain_name(&n, key));
        assert_int_equal(n.seq, round);
    }
    restore_well(&l, true);
}

/* Else the target that takes it away again looks rolled back for ever. */
static void
a_name_that_nobody_signed_is_no_mark(void **state)
{
    LAB(l);

    (void)state;
    back_up_well(&l);
    for (int planted = 1; planted >= 0; planted--) {
        CLEANUP(snapshot_list_release) struct snapshot_list list = { 0 };
        CLEANUP(storage_close_p) struct storage *store = site_store(&l.site, 0);
        char key[CHAIN_KEY_LEN + 1];
        const char *keys[] = { key };
        if (planted) {
            plant(&l, 0, "snap", true);
        } else {
            last_name(&l, 0, "snap/", key);
            assert_ok(storage_remove(store, keys, 1, &l.e), &l.e);
        }
        lab_open(&l);
        assert_ok(repo_snapshots(l.site.repo, &list, &l.e), &l.e);
        assert_int_equal(list.count, 1);
        assert_false(repo_rollback_seen(l.site.repo));
        site_close(&l.site);
    }
}

/* A snapshot that is damaged where it was seen is not hidden. */
static void
a_damaged_snapshot_is_no_rollback(void **state)
{
    LAB(l);

    (void)state;
    back_up_well(&l);
    back_up_well(&l);
    lab_open(&l);
    for (int round = 0; round < 2; round++) {
        CLEANUP(snapshot_list_release) struct snapshot_list list = { 0 };
        char key[CHAIN_KEY_LEN + 1];
        assert_ok(repo_snapshots(l.site.repo, &list, &l.e), &l.e);
        assert_false(repo_rollback_seen(l.site.repo));
        site_close(&l.site);
        site_drop_cache(&l.site);
        for (size_t i = 0; i < TARGETS && round == 0; i++) {
            CLEANUP(storage_close_p) struct storage *store = site_store(&l.site, i);
            struct body body = body_of(SLICE("damaged"));
            last_name(&l, i, "snap/", key);
            assert_ok(storage_put(store, key, &body, 0, &l.e), &l.e);
        }
        if (round == 0)
            lab_open(&l);
    }
}

static int
by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, 40);
}

/* Id, kind, encoding and length of every chunk of data on target 0, sorted. The
 * manifest has the times of /tmp, which change meanwhile. */
static void
chunks_of(struct lab *l, struct buf *out)
{
    CLEANUP(repo_close_p) struct repo *r = lab_reader(l, true);
    CLEANUP(storage_close_p) struct storage *s = site_store(&l->site, 0);
    AUTOBUF struct buf keys = BUF(1 << 20);

    assert_ok(storage_list(s, "pack/", lab_take_key, &keys, &l->e), &l->e);
    for (size_t k = 0; k < keys.len; k += PACK_KEY_LEN + 1) {
        AUTOBUF struct buf pack = BUF(PACK_MAX), plain = BUF(1 << 20);
        struct range range = { .key = (const char *)keys.ptr + k };
        struct directory d;
        uint64_t at = 0;
        assert_ok(storage_get(s, &range, &pack, &l->e), &l->e);
        struct slice p = buf_slice(&pack);
        assert_ok(pack_tail(slice_sub(p, p.len - PACK_FOOTER, PACK_FOOTER), p.len, &at,
                            &l->e),
                  &l->e);
        assert_ok(pack_open_directory(repo_keys(r), slice_sub(p, 0, PACK_BODY),
                                      slice_sub(p, at, p.len - at), p.len, &plain, &d,
                                      &l->e),
                  &l->e);
        for (uint32_t i = 0; i < d.chunk_count; i++) {
            struct chunk_record c;
            directory_chunk(&d, i, &c);
            if (chunk_class_of(c.kind) != CLASS_DATA)
                continue;
            buf_put(out, c.id.bytes, 32);
            buf_put_u32(out, c.raw);
            buf_put_u32(out, (uint32_t)c.kind << 8 | c.encoding);
        }
    }
    qsort(out->ptr, out->len / 40, 40, by_bytes);
}

/* Another lab with a copy of everything but the source, which is shared. */
static void
lab_copy(struct lab *to, const struct lab *from)
{
    *to = (struct lab){ .hooked = TARGETS };
    site_make(&to->site, TARGETS);
    AUTOFREE char *copy = mem_printf("rm -rf %s/* && cp -a %s/key %s/state %s/t? %s/",
                                     to->site.folder.path, from->site.folder.path,
                                     from->site.folder.path, from->site.folder.path,
                                     to->site.folder.path);
    assert_int_equal(system(copy), 0);
    lab_attach(to);
    to->paths[0] = from->src;
}

static void
the_number_of_threads_changes_no_chunk(void **state)
{
    static const unsigned threads[] = { 0, 1, 8 };
    AUTOBUF struct buf first = BUF(1 << 20);
    LAB(l);

    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        AUTOFREE uint8_t *noise = mem_alloc(30000 + 9000 * (size_t)i);
        AUTOFREE char *name = mem_printf("src/many/%u", i);
        fill_bytes(noise, 30000 + 9000 * (size_t)i, i / 2);
        folder_write(&l.site.folder, name, slice_of(noise, 30000 + 9000 * (size_t)i));
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        CLEANUP(lab_release) struct lab copy;
        AUTOBUF struct buf chunks = BUF(1 << 20);
        lab_copy(&copy, &l);
        assert_ok(back_up(&copy, threads[i]), &copy.e);
        chunks_of(&copy, &chunks);
        assert_true(chunks.len > 40 * 20);
        if (i == 0)
            buf_put_slice(&first, buf_slice(&chunks));
        assert_true(slice_equal(buf_slice(&first), buf_slice(&chunks)));
    }
}

static void
a_dry_run_stores_nothing(void **state)
{
    LAB(l);
    struct backup_options o = { .source = &l.source, .threads = 2, .dry_run = true };

    (void)state;
    lab_open(&l);
    assert_ok(engine_backup(l.site.repo, &o, &l.result, &l.e), &l.e);
    site_close(&l.site);
    assert_string_equal(l.result.id, "");
    assert_true(l.result.new_bytes > BIG);
    for (size_t i = 0; i < TARGETS; i++)
        assert_int_equal(site_count(&l.site, i, "pack/")
                             + site_count(&l.site, i, "snap/"),
                         0);
    back_up_well(&l);
    restore_well(&l, true);
}

/* Sources that are not what they were. */

static void
a_source_that_vanished_is_an_error(void **state)
{
    LAB(l);

    (void)state;
    back_up_well(&l);
    assert_ok(fs_remove_tree(l.src, &l.e), &l.e);
    assert_int_equal(back_up(&l, 2), -1);
    assert_int_equal(l.e.kind, ERR_SOURCE);
    for (size_t i = 0; i < TARGETS; i++)
        assert_int_equal(site_count(&l.site, i, "snap/"), 1);
    fill_source(&l);
    back_up_well(&l);
    restore_well(&l, true);
}

static void
a_source_that_is_empty_is_an_error(void **state)
{
    LAB(l);

    (void)state;
    assert_ok(fs_remove_tree(l.src, &l.e), &l.e);
    assert_ok(fs_mkdirs(l.src, 0755, &l.e), &l.e);
    assert_int_equal(back_up(&l, 2), -1);
    assert_int_equal(l.e.kind, ERR_SOURCE);
    assert_int_equal(site_count(&l.site, 0, "snap/"), 0);
    l.source.allow_empty = true;
    back_up_well(&l);
    restore_well(&l, true);
}

static void
a_source_that_shrank_by_half_is_an_error(void **state)
{
    LAB(l);
    struct backup_options o = { .source = &l.source, .accept_changed = true };

    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        AUTOFREE char *name = mem_printf("src/many/%u", i);
        folder_write(&l.site.folder, name, SLICE("x"));
    }
    back_up_well(&l);
    AUTOFREE char *many = folder_path(&l.site.folder, "src/many");
    assert_ok(fs_remove_tree(many, &l.e), &l.e);
    assert_int_equal(back_up(&l, 2), -1);
    assert_int_equal(l.e.kind, ERR_SOURCE);
    lab_open(&l);
    assert_ok(engine_backup(l.site.repo, &o, &l.result, &l.e), &l.e);
    site_close(&l.site);
    assert_int_equal(l.result.status, STATUS_OK);
    back_up_well(&l); /* and from then on it is the measure */
    restore_well(&l, true);
}

static void
use_command(struct lab *l, char *script)
{
    static char sh[] = "sh", c[] = "-c", as[] = "dump";

    l->argv[0] = sh;
    l->argv[1] = c;
    l->argv[2] = script;
    l->source.kind = SOURCE_COMMAND;
    l->source.command.argv = l->argv;
    l->source.command.as = as;
    l->source.command.min_bytes = 1;
}

/* A dump that fails at its end has left chunks in packs that were never sent.
 * The next one must not rely on them, nor its restore look for them there. */
static void
what_a_failed_run_did_not_send_is_not_relied_upon(void **state)
{
    LAB(l);
    AUTOFREE char *fails = mem_printf("cat %s/big && exit 1", l.src);
    AUTOFREE char *works = mem_printf("cat %s/big", l.src);

    (void)state;
    use_command(&l, fails);
    assert_int_equal(back_up(&l, 0), -1); /* in one thread: all of it got so far */
    assert_int_equal(l.e.kind, ERR_SOURCE);
    assert_int_equal(site_count(&l.site, 0, "snap/"), 0);
    use_command(&l, works);
    back_up_well(&l);
    assert_true(l.result.new_bytes >= BIG);
    verify_well(&l, 1);
    restore_well(&l, true);
    site_drop_cache(&l.site);
    restore_well(&l, false);
}

/* More pairs of links than are remembered, and all of them unread as in the parent:
 * a new pair behind them is still stored, its second name by its first. */
static void
any_number_of_links_may_be_kept(void **state)
{
    struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
    enum { PAIRS = 16384 + 16 };
    LAB(l);

    (void)state;
    l.source.files.match_inode = false; /* change times cannot be set back */
    folder_write(&l.site.folder, "src/pairs/new", SLICE("first"));
    for (unsigned i = 0; i < PAIRS; i++) {
        AUTOFREE char *name = mem_printf("src/pairs/%05u-a", i);
        AUTOFREE char *a = folder_path(&l.site.folder, name);
        AUTOFREE char *b = mem_printf("%.*sb", (int)strlen(a) - 1, a);
        AUTOCLOSE int fd = open(a, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(fd >= 0 && write(fd, "x", 1) == 1);
        assert_int_equal(futimens(fd, old), 0);
        assert_int_equal(link(a, b), 0);
    }
    back_up_well(&l);
    AUTOFREE char *first = folder_path(&l.site.folder, "src/z-first");
    AUTOFREE char *second = folder_path(&l.site.folder, "src/z-second");
    folder_write(&l.site.folder, "src/z-first", SLICE("a new pair"));
    assert_int_equal(link(first, second), 0);
    back_up_well(&l);
    assert_true(l.result.kept >= 2 * PAIRS);
    restore_well(&l, true);
}

static void
cancel_at_tick(void *arg, const struct backup_progress *p)
{
    (void)arg;
    if (atomic_load(&p->entries) > 0)
        cancel_request();
}

/* A signal comes while a bundle of small files is open: the run says that it was
 * stopped, and the next one knows no trouble. */
static void
a_run_that_is_stopped_ends_in_order(void **state)
{
#ifdef __SANITIZE_THREAD__
    skip(); /* it knows no threads in children */
#endif
    LAB(l);

    (void)state;
    for (unsigned threads = 0; threads <= 2; threads += 2) {
        struct backup_options o = { .source = &l.source,
                                    .threads = threads,
                                    .tick = cancel_at_tick };
        int status = 0;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            lab_open(&l);
            int rc = engine_backup(l.site.repo, &o, &l.result, &l.e);
            site_close(&l.site);
            _exit(rc == -1 && l.e.kind == ERR_CANCELLED ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    back_up_well(&l);
    verify_well(&l, 1);
    restore_well(&l, true);
}

/* In a child, since what is wrong here ends the program. */
static void
assert_survives(struct lab *l, struct slice config, const char *const *tags)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct backup_options o = { .source = &l->source,
                                    .config = config,
                                    .tags = tags };
        lab_open(l);
        int rc = engine_backup(l->site.repo, &o, &l->result, &l->e);
        site_close(&l->site);
        _exit(rc == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status))
        fail_msg("the run was ended by signal %d", WTERMSIG(status));
}

/* A file of configuration may have a mebibyte; it goes into the snapshot. */
static void
a_large_configuration_does_not_end_the_program(void **state)
{
    AUTOFREE uint8_t *config = mem_alloc(1 << 20);
    LAB(l);

    (void)state;
    memset(config, '#', 1 << 20);
    assert_survives(&l, slice_of(config, 1 << 20), NULL);
    assert_survives(&l, slice_of(config, 256 << 10), NULL);
    restore_well(&l, true);
}

/* A tag on a command line may have 128 KiB. */
static void
long_tags_do_not_end_the_program(void **state)
{
    AUTOFREE char *tag = mem_printf("%0120000u", 1u);
    const char *tags[TAGS_MAX + 2] = { NULL };
    LAB(l);

    (void)state;
    for (size_t i = 0; i <= TAGS_MAX; i++)
        tags[i] = tag;
    assert_survives(&l, SLICE(""), tags);
}

/* Targets that fail. */

/* Every so many-th call is broken; every one with DRTOOL_LONG. */
static unsigned
step_of(void)
{
    return getenv("DRTOOL_LONG") ? 1 : TEST_SCALE(3, 11);
}

static void
break_at(struct lab *l, size_t target, enum fault_mode mode, unsigned at, unsigned count)
{
    l->plans[target] = (struct fault_plan){ .mode = mode, .at = at, .count = count };
}

/* How many calls a second backup makes to target 1. */
static unsigned
count_calls(void)
{
    LAB(l);

    back_up_well(&l);
    change_source(&l, 0);
    lab_open(&l);
    assert_ok(back_up_open(&l, 2), &l.e);
    unsigned calls = storage_fault_calls(l.faults[1]);
    site_close(&l.site);
    assert_in_range(calls, 15, 200);
    return calls;
}

/* One target breaks at its k-th call: the others commit, no success is told
 * that is none, and when the fault has passed everything gets level. */
static void
survive(enum fault_mode mode, unsigned k, unsigned count)
{
    LAB(l);

    back_up_well(&l);
    change_source(&l, k);
    break_at(&l, 1, mode, k, count);
    assert_ok(back_up(&l, 2), &l.e);
    const struct target_result *t = l.result.targets;
    enum status want = t[1].committed ? STATUS_OK : STATUS_DEGRADED;
    if (!t[0].committed || !t[2].committed || l.result.status != want)
        fail_msg("mode %d at call %u: committed %d %d %d, status %s", mode, k,
                 t[0].committed, t[1].committed, t[2].committed,
                 status_name(l.result.status));
    for (size_t i = 0; i < TARGETS; i++)
        if (t[i].committed && site_count(&l.site, i, "done/") != 2)
            fail_msg("mode %d at call %u: t%zu is told committed, but has %zu done", mode,
                     k, i, site_count(&l.site, i, "done/"));
    no_faults(&l);
    if (k % 2)
        sync_well(&l);
    else
        back_up_well(&l);
    for (size_t i = 1; i < TARGETS; i++)
        if (site_count(&l.site, i, "done/") < site_count(&l.site, 0, "done/"))
            fail_msg("mode %d at call %u: t%zu did not get level", mode, k, i);
    verify_well(&l, k % 2 ? 2 : 3);
    restore_well(&l, k % 3 == 0);
}

static void
survive_everywhere(enum fault_mode mode, unsigned count)
{
    unsigned calls = count_calls(), step = step_of();

    for (unsigned k = 1 + mode % step; k <= calls; k += step)
        survive(mode, k, count);
}

static void
a_target_that_goes_away_at_any_call_costs_no_backup(void **state)
{
    (void)state;
    survive_everywhere(FAULT_REFUSE, UINT_MAX);
}

static void
an_answer_lost_at_any_call_costs_no_backup(void **state)
{
    (void)state;
    survive_everywhere(FAULT_LOSE_ACK, 1);
}

static void
an_answer_garbled_at_any_call_costs_no_backup(void **state)
{
    (void)state;
    survive_everywhere(FAULT_GARBLE, 1);
}

static void
an_answer_cut_at_any_call_costs_no_backup(void **state)
{
    (void)state;
    survive_everywhere(FAULT_CUT, 1);
}

/* The process dies at a call to a target: the next run knows no trouble. */
static void
a_death_at_any_call_costs_no_backup(void **state)
{
#ifdef __SANITIZE_THREAD__
    skip(); /* it takes the threads of who dies for leaked ones */
#endif
    unsigned calls = count_calls(), step = step_of(), died = 0;

    (void)state;
    for (unsigned k = 1; k <= calls; k += step) {
        LAB(l);
        int status = 0;
        back_up_well(&l);
        change_source(&l, k);
        break_at(&l, 1, FAULT_DIE, k, 1);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            _exit(back_up(&l, 2) < 0 ? 1 : 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) != 137 && WEXITSTATUS(status) != 0)
            fail_msg("call %u: the run ended with %d", k, WEXITSTATUS(status));
        died += WEXITSTATUS(status) == 137;
        no_faults(&l);
        back_up_well(&l);
        struct verify_options o = { .level = 3, .threads = 2, .damage = lab_on_damage };
        struct verify_result res;
        lab_open(&l);
        assert_ok(engine_verify(l.site.repo, &o, &res, &l.e), &l.e);
        site_close(&l.site);
        if (res.damaged_files + res.unhealed + res.unasked)
            fail_msg("call %u: damage after the next run", k);
        restore_well(&l, k % 3 == 0);
    }
    assert_true(died >= calls / step - 2);
}

/* Under the quorum nothing is success, and nothing is lost. */
static void
without_a_quorum_the_work_is_kept_and_sent_later(void **state)
{
    LAB(l);

    (void)state;
    back_up_well(&l);
    change_source(&l, 1);
    for (size_t i = 1; i < TARGETS; i++)
        l.plans[i] = (struct fault_plan){
            .mode = FAULT_REFUSE, .calls = FAULT_ON_PUT, .at = 1, .count = UINT_MAX
        };
    assert_ok(back_up(&l, 2), &l.e);
    assert_string_equal(status_name(l.result.status), "no-quorum");
    assert_true(l.result.targets[0].committed);
    assert_false(l.result.targets[1].committed || l.result.targets[2].committed);
    no_faults(&l);
    sync_well(&l);
    verify_well(&l, 2);
    restore_well(&l, true);
}

static void
with_no_target_at_all_the_work_is_kept_and_sent_later(void **state)
{
    LAB(l);

    (void)state;
    back_up_well(&l);
    change_source(&l, 1);
    for (size_t i = 0; i < TARGETS; i++)
        break_at(&l, i, FAULT_REFUSE, 1, UINT_MAX);
    assert_ok(back_up(&l, 2), &l.e);
    assert_string_equal(status_name(l.result.status), "no-quorum");
    no_faults(&l);
    sync_well(&l);
    verify_well(&l, 2);
    restore_well(&l, true);
}

/* Packs that are being pruned. */

/* A pack that one target is about to prune is as good as gone. */
static void
a_condemned_pack_is_not_deduplicated_against(void **state)
{
    AUTOBUF struct buf condemned = BUF(1 << 20);
    LAB(l);

    (void)state;
    back_up_well(&l);
    site_open(&l.site);
    condemn(&l, 1, &condemned);
    site_close(&l.site);
    back_up_well(&l);
    assert_true(l.result.new_bytes >= BIG); /* stored anew */
    remove_packs(&l, 1, buf_slice(&condemned));
    lab_open(&l);
    struct verify_options o = { .level = 2, .target = "t1", .threads = 1 };
    struct verify_result res;
    assert_ok(engine_verify(l.site.repo, &o, &res, &l.e), &l.e);
    site_close(&l.site);
    assert_int_equal(res.targets[0].missing, 0);
    assert_int_equal(res.damaged_files, 0); /* for there is another copy of each chunk */
    restore_well(&l, false);
    restore_well(&l, true);
}

/* After the prune has deleted the packs everywhere, the copies stored anew
 * are what restore must find, though the index names both. */
static void
a_restore_finds_the_copy_that_was_not_pruned(void **state)
{
    AUTOBUF struct buf condemned = BUF(1 << 20);
    LAB(l);

    (void)state;
    back_up_well(&l);
    site_open(&l.site);
    for (size_t i = 0; i < TARGETS; i++)
        condemn(&l, i, i == 0 ? &condemned : NULL);
    site_close(&l.site);
    back_up_well(&l);
    for (size_t i = 0; i < TARGETS; i++)
        remove_packs(&l, i, buf_slice(&condemned));
    restore_well(&l, true);
    restore_well(&l, false);
}

static void
condemn_after_put(void *arg, enum fault_call call, const char *key)
{
    struct lab *l = arg;

    if (call != FAULT_ON_PUT || l->condemnations == 0
        || strncmp(key, l->condemn_at, strlen(l->condemn_at)) != 0)
        return;
    l->condemnations--;
    condemn(l, l->hooked, NULL);
}

/* The pruner's mark comes while the snapshot is being committed, behind the
 * put of snap/ or of done/: a successor takes its place. */
static void
replaces_the_snapshot(const char *at, size_t done)
{
    LAB(l);

    l.hook = (struct hook){ .after = condemn_after_put,
                            .arg = &l,
                            .traits = STORAGE_LOCAL };
    l.hooked = 1;
    l.condemn_at = at;
    l.condemnations = 1;
    assert_ok(back_up(&l, 2), &l.e);
    assert_int_equal(l.condemnations, 0);
    assert_string_equal(status_name(l.result.status), "ok");
    for (size_t i = 0; i < TARGETS; i++) {
        assert_true(l.result.targets[i].committed);
        assert_int_equal(site_count(&l.site, i, "snap/"), 2);
        assert_int_equal(site_count(&l.site, i, "gone/"), 1);
        assert_true(i != 1 || site_count(&l.site, i, "done/") == done);
    }
    l.hooked = TARGETS;
    struct repo *r = lab_reader(&l, false);
    struct snapshot_list list = { 0 };
    assert_ok(repo_snapshots(r, &list, &l.e), &l.e);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.rows[0].key, l.result.key);
    assert_int_equal(list.rows[0].done & ~list.rows[0].gone, 7);
    assert_int_equal(list.rows[0].info.seq, 2);
    snapshot_list_release(&list);
    repo_close(r);
    verify_well(&l, 1);
    restore_well(&l, true);
}

static void
a_pack_condemned_after_the_snapshot_was_put_makes_a_successor(void **state)
{
    (void)state;
    replaces_the_snapshot("snap/", 1); /* the first one is not even completed */
}

static void
a_pack_condemned_after_done_was_put_makes_a_successor(void **state)
{
    (void)state;
    replaces_the_snapshot("done/", 2);
}

static void
rot_everywhere(struct lab *l, const char *key)
{
    for (size_t i = 0; i < TARGETS; i++) {
        AUTOFREE char *name = mem_printf("t%zu/%s", i, key);
        folder_write(&l->site.folder, name, SLICE("rotten"));
    }
}

/* Who asks for the latest gets no older one without having said so. */
static void
the_latest_that_cannot_be_read_is_not_passed_over(void **state)
{
    struct snapshot_row *row = NULL;
    struct snapshot_list list = { 0 };
    char hex[65];
    LAB(l);

    (void)state;
    back_up_well(&l);
    change_source(&l, 1);
    back_up_well(&l);
    rot_everywhere(&l, l.result.key);
    struct repo *r = lab_reader(&l, true);
    assert_ok(repo_snapshots(r, &list, &l.e), &l.e);
    assert_int_equal(list.count, 1);
    assert_err(repo_find_snapshot(&list, "web", &row, &l.e), &l.e, ERR_CORRUPT);
    assert_err(repo_find_snapshot(&list, "web@latest", &row, &l.e), &l.e, ERR_CORRUPT);
    assert_ok(repo_find_snapshot(&list, "web@2099-01-01", &row, &l.e), &l.e);
    text_hex(hex, row->info.id, 32);
    row = NULL;
    assert_ok(repo_find_snapshot(&list, hex, &row, &l.e), &l.e);
    assert_ptr_equal(row, &list.rows[0]);
    snapshot_list_release(&list);
    repo_close(r);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_backup_is_restored_exactly),
        cmocka_unit_test(a_second_backup_stores_only_what_changed),
        cmocka_unit_test(unchanged_files_are_not_read),
        cmocka_unit_test(a_number_that_nobody_signed_is_not_believed),
        cmocka_unit_test(a_name_that_nobody_signed_is_no_mark),
        cmocka_unit_test(a_damaged_snapshot_is_no_rollback),
        cmocka_unit_test(the_latest_that_cannot_be_read_is_not_passed_over),
        cmocka_unit_test(the_number_of_threads_changes_no_chunk),
        cmocka_unit_test(a_dry_run_stores_nothing),
        cmocka_unit_test(a_source_that_vanished_is_an_error),
        cmocka_unit_test(a_source_that_is_empty_is_an_error),
        cmocka_unit_test(a_source_that_shrank_by_half_is_an_error),
        cmocka_unit_test(what_a_failed_run_did_not_send_is_not_relied_upon),
        cmocka_unit_test(any_number_of_links_may_be_kept),
        cmocka_unit_test(a_run_that_is_stopped_ends_in_order),
        cmocka_unit_test(a_large_configuration_does_not_end_the_program),
        cmocka_unit_test(long_tags_do_not_end_the_program),
        cmocka_unit_test(without_a_quorum_the_work_is_kept_and_sent_later),
        cmocka_unit_test(with_no_target_at_all_the_work_is_kept_and_sent_later),
        cmocka_unit_test(a_condemned_pack_is_not_deduplicated_against),
        cmocka_unit_test(a_restore_finds_the_copy_that_was_not_pruned),
        cmocka_unit_test(a_pack_condemned_after_the_snapshot_was_put_makes_a_successor),
        cmocka_unit_test(a_pack_condemned_after_done_was_put_makes_a_successor),
        cmocka_unit_test(a_target_that_goes_away_at_any_call_costs_no_backup),
        cmocka_unit_test(an_answer_lost_at_any_call_costs_no_backup),
        cmocka_unit_test(an_answer_garbled_at_any_call_costs_no_backup),
        cmocka_unit_test(an_answer_cut_at_any_call_costs_no_backup),
        cmocka_unit_test(a_death_at_any_call_costs_no_backup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
