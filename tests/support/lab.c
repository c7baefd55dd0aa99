#include "support/lab.h"

#include "../../src/repo/signed.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "codec/record.h"
#include "engine/restore.h"
#include "engine/sync.h"
#include "engine/verify.h"
#include "storage/dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

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
void
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

void
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

void
lab_init(struct lab *l)
{
    log_set_level(LOG_WARN);
    *l = (struct lab){ .hooked = TARGETS };
    site_make(&l->site, TARGETS);
    lab_attach(l);
    fill_source(l);
}

void
lab_release(struct lab *l)
{
    site_remove(&l->site);
    mem_free(l->bare.state);
    mem_free(l->src);
    mem_free(l->source.name);
}

int
lab_try(struct lab *l)
{
    l->e = (struct err){ 0 };
    if (site_try(&l->site, &l->e) < 0)
        return -1;
    if (repo_load_index(l->site.repo, &l->e) == 0 && repo_start(l->site.repo, &l->e) == 0)
        return 0;
    site_close(&l->site);
    return -1;
}

void
lab_open(struct lab *l)
{
    assert_ok(lab_try(l), &l->e);
}

void
lab_count(struct lab *l)
{
    l->hits = 0;
    for (size_t i = 0; i < l->site.conf.target_count; i++) {
        l->calls[i] = storage_fault_calls(l->faults[i]);
        l->hits += storage_fault_hits(l->faults[i]);
    }
}

void
lab_new_disk(struct lab *l, size_t i)
{
    AUTOFREE char *name = mem_printf("t%zu", i);
    AUTOFREE char *dir = folder_path(&l->site.folder, name);

    assert_ok(fs_remove_tree(dir, &l->e), &l->e);
    assert_ok(fs_mkdirs(dir, 0755, &l->e), &l->e);
    site_open(&l->site);
    struct repo *r = l->site.repo;
    assert_ok(repo_target_add(r, fleet_target(repo_fleet(r), i), &l->e), &l->e);
}

static void
on_backup_tick(void *arg, const struct backup_progress *p)
{
    ((struct lab *)arg)->told = atomic_load(&p->bytes) + atomic_load(&p->in_hand);
}

int
back_up_open(struct lab *l, unsigned threads)
{
    struct backup_options o = {
        .source = &l->source, .threads = threads, .tick = on_backup_tick, .arg = l
    };

    l->e = (struct err){ 0 };
    int rc = engine_backup(l->site.repo, &o, &l->result, &l->e);
    if (rc == 0)
        assert_int_equal(l->told, l->result.bytes);
    return rc;
}

/* A whole run, as the command makes it. */
int
back_up(struct lab *l, unsigned threads)
{
    lab_open(l);
    int rc = back_up_open(l, threads);
    site_close(&l->site);
    return rc;
}

void
back_up_well(struct lab *l)
{
    assert_ok(back_up(l, 2), &l->e);
    assert_string_equal(status_name(l->result.status), "ok");
    for (size_t i = 0; i < TARGETS; i++)
        assert_true(l->result.targets[i].committed);
}

void
no_faults(struct lab *l)
{
    memset(l->plans, 0, sizeof l->plans);
}

static void
on_sync_tick(void *arg, const struct sync_progress *p)
{
    assert_true(p->bytes <= p->bytes_total);
    *(struct sync_progress *)arg = *p;
}

void
sync_well(struct lab *l)
{
    struct sync_progress told = { .bytes_total = 1 };
    struct sync_options o = { .tick = on_sync_tick, .arg = &told };
    struct sync_result res;

    lab_open(l);
    assert_ok(engine_sync(l->site.repo, &o, &res, &l->e), &l->e);
    for (size_t i = 0; i < TARGETS; i++)
        if (!res.targets[i].committed)
            fail_msg("%s: %s", res.targets[i].name, err_text(&res.targets[i].why));
    site_close(&l->site);
    assert_int_equal(told.bytes, told.bytes_total);
    for (size_t i = 0; i < TARGETS; i++)
        told.objects -= res.targets[i].sent_objects;
    assert_int_equal(told.objects, 0);
}

void
lab_on_damage(void *arg, const struct verify_damage *d)
{
    (void)arg;
    print_message("%s: %s %.*s: %s\n", d->target, d->object ? d->object : "",
                  (int)d->path.len, d->path.ptr ? (const char *)d->path.ptr : "", d->why);
}

static void
on_verify_tick(void *arg, const struct verify_progress *p)
{
    ((struct lab *)arg)->told = atomic_load(&p->bytes);
}

/* Every target, read whole, holds every snapshot whole. */
void
verify_well(struct lab *l, unsigned snapshots)
{
    struct verify_options o = { .level = 3,
                                .threads = 2,
                                .damage = lab_on_damage,
                                .tick = on_verify_tick,
                                .arg = l };
    struct verify_result res;

    lab_open(l);
    assert_ok(engine_verify(l->site.repo, &o, &res, &l->e), &l->e);
    site_close(&l->site);
    assert_int_equal(res.target_count, TARGETS);
    assert_int_equal(res.damaged_files, 0);
    assert_int_equal(res.unhealed, 0);
    assert_int_equal(res.unasked, 0);
    for (size_t i = 0; i < TARGETS; i++) {
        assert_int_equal(res.targets[i].snapshots, snapshots);
        l->told -= res.targets[i].bytes_read;
    }
    assert_int_equal(l->told, 0);
}

static const struct conf *
bare_conf(struct lab *l)
{
    mem_free(l->bare.state);
    l->bare = l->site.conf;
    l->bare.state = folder_path(&l->site.folder, "bare");
    assert_ok(fs_remove_tree(l->bare.state, &l->e), &l->e);
    return &l->bare;
}

int
lab_try_reader(struct lab *l, bool fresh, struct repo **out)
{
    struct repo_options o = { .conf = fresh ? bare_conf(l) : &l->site.conf,
                              .wrap = wrap,
                              .wrap_arg = l };

    return repo_open(&o, out, &l->e);
}

struct repo *
lab_reader(struct lab *l, bool fresh)
{
    struct repo *r = NULL;

    assert_ok(lab_try_reader(l, fresh, &r), &l->e);
    assert_ok(repo_load_index(r, &l->e), &l->e);
    return r;
}

void
lab_look(struct lab *l, unsigned level, struct verify_result *res)
{
    CLEANUP(repo_close_p) struct repo *r = lab_reader(l, true);
    struct verify_options o = { .level = level, .threads = 2, .damage = lab_on_damage };

    assert_ok(engine_verify(r, &o, res, &l->e), &l->e);
}

static void
on_restore_issue(void *arg, enum restore_issue kind, struct slice path, const char *why)
{
    (void)arg;
    print_message("restore issue %u: %.*s: %s\n", kind, (int)path.len,
                  (const char *)path.ptr, why);
}

static void
on_restore_tick(void *arg, const struct restore_progress *p)
{
    ((struct lab *)arg)->told = atomic_load(&p->bytes);
}

/* The hidden names of what was not finished are left out. */
void
restored_well(struct lab *l, bool some)
{
    AUTOFREE char *to = folder_path(&l->site.folder, "restored");
    AUTOFREE char *diff = mem_printf(
        some ? "test ! -e %1$s%2$s || ! diff -rq --no-dereference -x '.drtool-*' %2$s "
               "%1$s%2$s | grep -v '^Only in %2$s' >&2"
             : "diff -r --no-dereference %2$s %1$s%2$s >&2",
        to, l->src);

    assert_int_equal(system(diff), 0);
}

void
restore_into(struct lab *l, const char *to, bool fresh)
{
    CLEANUP(repo_close_p) struct repo *r = lab_reader(l, fresh);
    CLEANUP(snapshot_list_release) struct snapshot_list list = { 0 };
    struct snapshot_row *row = NULL;
    struct restore_result res;

    assert_ok(fs_remove_tree(to, &l->e), &l->e);
    assert_ok(repo_snapshots(r, &list, &l->e), &l->e);
    assert_ok(repo_find_snapshot(&list, "web", &row, &l->e), &l->e);
    struct restore_options o = { .snapshot = &row->info,
                                 .to = to,
                                 .threads = 2,
                                 .owner = OWNER_SKIP,
                                 .issue = on_restore_issue,
                                 .tick = on_restore_tick,
                                 .arg = l };
    assert_ok(engine_restore(r, &o, &res, &l->e), &l->e);
    assert_int_equal(res.damaged, 0);
    assert_int_equal(res.blocked, 0);
    assert_int_equal(l->told, res.bytes);
}

/* The newest snapshot, restored, is the source. With `fresh` by a machine
 * that has nothing but the key. */
void
restore_well(struct lab *l, bool fresh)
{
    AUTOFREE char *to = folder_path(&l->site.folder, "restored");

    restore_into(l, to, fresh);
    if (l->source.kind != SOURCE_COMMAND)
        restored_well(l, false);
}

void
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

int
lab_take_key(void *arg, const struct object_info *o, struct err *e)
{
    struct buf *keys = arg;

    (void)e;
    buf_put(keys, o->key, PACK_KEY_LEN + 1);
    return 0;
}

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
void
packs_of(struct lab *l, size_t i, bool data, struct buf *names)
{
    CLEANUP(storage_close_p) struct storage *s = site_store(&l->site, i);
    AUTOBUF struct buf keys = BUF(1 << 20);

    assert_ok(storage_list(s, "pack/", lab_take_key, &keys, &l->e), &l->e);
    for (size_t at = 0; at < keys.len; at += PACK_KEY_LEN + 1) {
        const char *key = (const char *)keys.ptr + at;
        uint8_t name[32];
        assert_true(pack_name(name, key));
        if (is_data(s, key) == data)
            buf_put(names, name, 32);
    }
}

void
condemn(struct lab *l, size_t i, struct buf *names)
{
    const struct keys *k = repo_keys(l->site.repo);
    CLEANUP(storage_close_p) struct storage *s = site_store(&l->site, i);
    AUTOBUF struct buf packs = BUF(1 << 20), mark = BUF(1 << 20);
    struct header h = { .type = OBJECT_MARK };
    struct err e = { 0 };
    char hex[65];

    packs_of(l, i, true, &packs);
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

void
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

bool
has_pack(struct lab *l, size_t i, const uint8_t name[32])
{
    CLEANUP(storage_close_p) struct storage *s = site_store(&l->site, i);
    struct object_info info;
    struct err e = { 0 };
    char key[PACK_KEY_LEN + 1];

    pack_key(key, name);
    return storage_head(s, key, &info, &e) == 0;
}

unsigned
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

void
sync_open(struct lab *l, struct sync_result *res)
{
    struct sync_options o = { .from = NULL };

    assert_ok(engine_sync(l->site.repo, &o, res, &l->e), &l->e);
}

void
sync_once(struct lab *l, struct sync_result *res)
{
    lab_open(l);
    sync_open(l, res);
    site_close(&l->site);
}

void
remove_objects(struct lab *l, size_t i, const char *folder)
{
    AUTOFREE char *name = mem_printf("t%zu/%s", i, folder);
    AUTOFREE char *path = folder_path(&l->site.folder, name);

    assert_ok(fs_remove_tree(path, &l->e), &l->e);
}

void
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

void
age_objects(struct lab *l, size_t i, const char *folder, int64_t seconds)
{
    AUTOFREE char *name = mem_printf("t%zu/%s", i, folder);
    AUTOFREE char *path = folder_path(&l->site.folder, name);

    each_file(path, age_file, seconds);
}

size_t
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

void
lose_packs(struct lab *l, size_t left, bool data, struct buf *names)
{
    packs_of(l, 0, data, names);
    assert_true(names->len > 0);
    for (size_t i = 0; i < TARGETS - left; i++)
        remove_packs(l, i, buf_slice(names));
}

void
garble(const char *path, int64_t unused)
{
    AUTOCLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

    (void)unused;
    assert_int_equal(pwrite(fd, "garbled", 7, 100), 7);
}
