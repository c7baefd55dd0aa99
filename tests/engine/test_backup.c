#include "../../src/repo/signed.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "codec/record.h"
#include "engine/restore.h"
#include "engine/sync.h"
#include "engine/verify.h"
#include "storage/dir.h"
#include "support/fixture.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TARGETS 3
#define BIG ((size_t)400 << 10)

/* A repository on three targets, a source, and what goes wrong. */
struct lab {
    struct site site;
    char *src;
    char *paths[2];
    char *argv[4];
    struct conf_source source;
    struct fault_plan plans[TARGETS];
    struct storage *faults[TARGETS]; /* while the repository is open */
    struct hook hook;
    size_t hooked;          /* the target that has it; TARGETS: none */
    unsigned condemnations; /* marks that the hook still puts */
    const char *condemn_at; /* behind the put of a key that begins so */
    struct backup_result result;
    struct err e;
};

static struct storage *
wrap(void *arg, const char *target, struct storage *inner)
{
    struct lab *l = arg;
    size_t i = (size_t)(target[1] - '0');

    if (i == l->hooked)
        inner = storage_hook(inner, &l->hook);
    return l->faults[i] = storage_fault(inner, &l->plans[i]);
}

/* Small files for a bundle, a big one, one with a hole, a link, a folder. */
static void
fill_source(struct lab *l)
{
    static uint8_t big[BIG];
    AUTOFREE char *hole = mem_printf("%s/hole", l->src);
    AUTOFREE char *link = mem_printf("%s/link", l->src);

    for (unsigned i = 0; i < 12; i++) {
        AUTOFREE char *name = mem_printf("src/small/%u", i);
        AUTOFREE char *text = mem_printf("this is the small file number %u\n", i);
        folder_write(&l->site.folder, name, slice_str(text));
    }
    fill_bytes(big, sizeof big, 7);
    folder_write(&l->site.folder, "src/big", slice_of(big, sizeof big));
    folder_write(&l->site.folder, "src/empty", SLICE(""));
    folder_write(&l->site.folder, "src/hole", slice_of(big, 70000));
    assert_int_equal(truncate(hole, 1 << 20), 0);
    assert_int_equal(symlink("big", link), 0);
}

static void
lab_attach(struct lab *l)
{
    l->src = folder_path(&l->site.folder, "src");
    l->paths[0] = l->src;
    l->source = (struct conf_source){ .name = mem_strdup("web"),
                                      .kind = SOURCE_FILES,
                                      .files = { .paths = l->paths,
                                                 .match_inode = true } };
    l->hooked = TARGETS;
    l->site.wrap = wrap;
    l->site.wrap_arg = l;
}

static void
lab_init(struct lab *l)
{
    log_set_level(LOG_WARN);
    *l = (struct lab){ .hooked = TARGETS };
    site_make(&l->site, TARGETS);
    lab_attach(l);
    fill_source(l);
}

static void
lab_release(struct lab *l)
{
    site_remove(&l->site);
    mem_free(l->src);
    mem_free(l->source.name);
}

#define LAB(name)                         \
    CLEANUP(lab_release) struct lab name; \
    lab_init(&name)

static void
lab_open(struct lab *l)
{
    site_open(&l->site);
    assert_ok(repo_load_index(l->site.repo, &l->e), &l->e);
    assert_ok(fleet_start(repo_fleet(l->site.repo), repo_refused, l->site.repo, &l->e),
              &l->e);
}

static int
back_up_open(struct lab *l, unsigned threads)
{
    struct backup_options o = { .source = &l->source, .threads = threads };

    l->e = (struct err){ 0 };
    return engine_backup(l->site.repo, &o, &l->result, &l->e);
}

/* A whole run, as the command makes it. */
static int
back_up(struct lab *l, unsigned threads)
{
    lab_open(l);
    int rc = back_up_open(l, threads);
    site_close(&l->site);
    return rc;
}

static void
back_up_well(struct lab *l)
{
    assert_ok(back_up(l, 2), &l->e);
    assert_string_equal(status_name(l->result.status), "ok");
    for (size_t i = 0; i < TARGETS; i++)
        assert_true(l->result.targets[i].committed);
}

static void
no_faults(struct lab *l)
{
    memset(l->plans, 0, sizeof l->plans);
}

static void
sync_well(struct lab *l)
{
    struct sync_options o = { .from = NULL };
    struct sync_result res;

    lab_open(l);
    assert_ok(engine_sync(l->site.repo, &o, &res, &l->e), &l->e);
    for (size_t i = 0; i < TARGETS; i++)
        if (!res.targets[i].committed)
            fail_msg("%s: %s", res.targets[i].name, err_text(&res.targets[i].why));
    site_close(&l->site);
}

static void
on_damage(void *arg, const struct verify_damage *d)
{
    (void)arg;
    print_message("%s: %s %.*s: %s\n", d->target, d->object ? d->object : "",
                  (int)d->path.len, d->path.ptr ? (const char *)d->path.ptr : "", d->why);
}

/* Every target, read whole, holds every snapshot whole. */
static void
verify_well(struct lab *l, unsigned snapshots)
{
    struct verify_options o = { .level = 3, .threads = 2, .damage = on_damage };
    struct verify_result res;

    lab_open(l);
    assert_ok(engine_verify(l->site.repo, &o, &res, &l->e), &l->e);
    site_close(&l->site);
    assert_int_equal(res.target_count, TARGETS);
    assert_int_equal(res.damaged_files, 0);
    assert_int_equal(res.unhealed, 0);
    assert_int_equal(res.unasked, 0);
    for (size_t i = 0; i < TARGETS; i++)
        assert_int_equal(res.targets[i].snapshots, snapshots);
}

static struct repo *
open_reader(struct lab *l, bool fresh)
{
    struct repo_options o = {
        .conf = &l->site.conf, .temporary = fresh, .wrap = wrap, .wrap_arg = l
    };
    struct repo *r = NULL;

    assert_ok(repo_open(&o, &r, &l->e), &l->e);
    assert_ok(repo_load_index(r, &l->e), &l->e);
    return r;
}

static void
on_restore_issue(void *arg, enum restore_issue kind, struct slice path, const char *why)
{
    (void)arg;
    print_message("restore issue %u: %.*s: %s\n", kind, (int)path.len,
                  (const char *)path.ptr, why);
}

/* The newest snapshot, restored, is the source. With `fresh` by a machine
 * that has nothing but the key. */
static void
restore_well(struct lab *l, bool fresh)
{
    CLEANUP(repo_close_p) struct repo *r = open_reader(l, fresh);
    CLEANUP(snapshot_list_release) struct snapshot_list list = { 0 };
    AUTOFREE char *to = folder_path(&l->site.folder, "restored");
    struct snapshot_row *row = NULL;
    struct restore_result res;

    assert_ok(fs_remove_tree(to, &l->e), &l->e);
    assert_ok(repo_snapshots(r, &list, &l->e), &l->e);
    assert_ok(repo_find_snapshot(&list, "web", &row, &l->e), &l->e);
    struct restore_options o = { .snapshot = &row->info,
                                 .to = to,
                                 .threads = 2,
                                 .owner = OWNER_SKIP,
                                 .issue = on_restore_issue };
    assert_ok(engine_restore(r, &o, &res, &l->e), &l->e);
    assert_int_equal(res.damaged, 0);
    assert_int_equal(res.blocked, 0);
    if (l->source.kind == SOURCE_COMMAND)
        return;
    AUTOFREE char *diff = mem_printf("diff -r --no-dereference %s %s%s >&2", l->src, to,
                                     l->src);
    assert_int_equal(system(diff), 0);
}

static void
change_source(struct lab *l, unsigned round)
{
    AUTOFREE char *text = mem_printf("changed in round %u\n", round);
    AUTOFREE char *name = mem_printf("src/small/new-%u", round);
    uint8_t noise[100000];

    folder_write(&l->site.folder, "src/small/3", slice_str(text));
    folder_write(&l->site.folder, name, slice_str(text));
    fill_bytes(noise, sizeof noise, 100 + round);
    folder_write(&l->site.folder, "src/fresh", slice_of(noise, sizeof noise));
}

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
take_key(void *arg, const struct object_info *o, struct err *e)
{
    struct buf *keys = arg;

    (void)e;
    buf_put(keys, o->key, PACK_KEY_LEN + 1);
    return 0;
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
    CLEANUP(repo_close_p) struct repo *r = open_reader(l, true);
    CLEANUP(storage_close_p) struct storage *s = site_store(&l->site, 0);
    AUTOBUF struct buf keys = BUF(1 << 20);

    assert_ok(storage_list(s, "pack/", take_key, &keys, &l->e), &l->e);
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
        struct verify_options o = { .level = 3, .threads = 2, .damage = on_damage };
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

static bool
is_data(struct storage *s, const char *key)
{
    AUTOBUF struct buf head = BUF(HEADER_LEN);
    struct range range = { .key = key, .len = HEADER_LEN };
    struct err e = { 0 };

    assert_ok(storage_get(s, &range, &head, &e), &e);
    return head.ptr[8] == OBJECT_DATA;
}

/* Names all packs of data that target `i` has in a mark of maintenance there;
 * the names go to `names` (may be NULL). */
static void
condemn(struct lab *l, size_t i, struct buf *names)
{
    const struct keys *k = repo_keys(l->site.repo);
    CLEANUP(storage_close_p) struct storage *s = site_store(&l->site, i);
    AUTOBUF struct buf keys = BUF(1 << 20), packs = BUF(1 << 20), mark = BUF(1 << 20);
    struct header h = { .type = OBJECT_MARK };
    struct err e = { 0 };
    char hex[65];

    assert_ok(storage_list(s, "pack/", take_key, &keys, &e), &e);
    for (size_t at = 0; at < keys.len; at += PACK_KEY_LEN + 1) {
        const char *key = (const char *)keys.ptr + at;
        uint8_t name[32];
        assert_true(pack_name(name, key));
        if (is_data(s, key))
            buf_put(&packs, name, 32);
    }
    assert_true(packs.len > 0);
    memcpy(h.repo, k->repo_id, ID_LEN);
    header_put(&mark, &h);
    record_put(&mark, 1, slice_of(fleet_target(repo_fleet(l->site.repo), i)->id, ID_LEN));
    record_put(&mark, 2, buf_slice(&packs));
    signed_end(&mark, OBJECT_MARK, signer_maintain, k->maintain_seed);
    struct body body = body_of(buf_slice(&mark));
    text_hex(hex, body.sha256, 32);
    AUTOFREE char *key = mem_printf("gc/%08llx-%s.mark",
                                    (unsigned long long)clock_now().s / 3600, hex);
    assert_ok(storage_put(s, key, &body, 0, &e), &e);
    if (names)
        buf_put_slice(names, buf_slice(&packs));
}

static void
remove_packs(struct lab *l, size_t i, struct slice names)
{
    CLEANUP(storage_close_p) struct storage *s = site_store(&l->site, i);

    for (size_t at = 0; at < names.len; at += 32) {
        char key[PACK_KEY_LEN + 1];
        const char *one = key;
        pack_key(key, names.ptr + at);
        assert_ok(storage_remove(s, &one, 1, &l->e), &l->e);
    }
}

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
    assert_int_equal(res.targets[0].missing, condemned.len / 32);
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
    struct repo *r = open_reader(&l, false);
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
        cmocka_unit_test(the_number_of_threads_changes_no_chunk),
        cmocka_unit_test(a_dry_run_stores_nothing),
        cmocka_unit_test(a_source_that_vanished_is_an_error),
        cmocka_unit_test(a_source_that_is_empty_is_an_error),
        cmocka_unit_test(a_source_that_shrank_by_half_is_an_error),
        cmocka_unit_test(what_a_failed_run_did_not_send_is_not_relied_upon),
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
