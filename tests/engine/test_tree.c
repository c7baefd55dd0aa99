#include "base/log.h"
#include "engine/backup.h"
#include "engine/tree.h"
#include "support/fixture.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MANY 400 /* more than a one-level listing reads before it skips */
#define BIG ((size_t)3 << 20)

/* A repository on one target, a source, and its snapshots, oldest first. */
struct lab {
    struct site site;
    char *src;
    char *paths[2];
    struct conf_source source;
    struct snapshot_list list;
    struct err e;
};

static void
lab_init(struct lab *l)
{
    log_set_level(LOG_WARN);
    *l = (struct lab){ 0 };
    site_make(&l->site, 1);
    l->src = folder_path(&l->site.folder, "src");
    l->paths[0] = l->src;
    l->source = (struct conf_source){ .name = mem_strdup("web"),
                                      .kind = SOURCE_FILES,
                                      .files = { .paths = l->paths,
                                                 .match_inode = true } };
}

static void
lab_release(struct lab *l)
{
    snapshot_list_release(&l->list);
    site_remove(&l->site);
    mem_free(l->src);
    mem_free(l->source.name);
}

#define LAB(name)                         \
    CLEANUP(lab_release) struct lab name; \
    lab_init(&name)

static void
put(struct lab *l, const char *name, const char *text)
{
    AUTOFREE char *path = mem_printf("src/%s", name);

    folder_write(&l->site.folder, path, slice_str(text));
}

/* "/tmp/…/src/NAME"; free it. */
static char *
full(const struct lab *l, const char *name)
{
    return *name ? mem_printf("%s/%s", l->src, name) : mem_strdup(l->src);
}

static void
back_up(struct lab *l)
{
    struct backup_options o = { .source = &l->source, .threads = 1 };
    struct backup_result res;

    site_open(&l->site);
    assert_ok(repo_load_index(l->site.repo, &l->e), &l->e);
    assert_ok(repo_start(l->site.repo, &l->e), &l->e);
    assert_ok(engine_backup(l->site.repo, &o, &res, &l->e), &l->e);
    site_close(&l->site);
}

/* Opens the repository and lists its snapshots. */
static struct repo *
look(struct lab *l)
{
    site_open(&l->site);
    assert_ok(repo_load_index(l->site.repo, &l->e), &l->e);
    assert_ok(repo_snapshots(l->site.repo, &l->list, &l->e), &l->e);
    assert_true(l->list.count > 0);
    return l->site.repo;
}

static const struct snapshot *
newest(const struct lab *l)
{
    return &l->list.rows[l->list.count - 1].info;
}

/* Listings. */

struct told {
    size_t strip;
    struct buf names; /* one a line */
};

static int
note_name(void *arg, const struct entry *en, struct err *e)
{
    struct told *t = arg;

    (void)e;
    assert_true(en->path.len > t->strip);
    buf_put_slice(&t->names, slice_sub(en->path, t->strip, en->path.len - t->strip));
    buf_put_u8(&t->names, '\n');
    return 0;
}

/* The names below src/NAME, relative to src; free it. */
static char *
list(struct lab *l, const char *name, bool recursive)
{
    AUTOFREE char *typed = full(l, name);
    struct told told = { .strip = strlen(l->src), .names = BUF(1 << 20) };
    struct slice path;

    assert_ok(tree_path(typed, &path, &l->e), &l->e);
    assert_ok(tree_list(l->site.repo, newest(l), path, recursive, note_name, &told,
                        &l->e),
              &l->e);
    char *out = mem_strdup(buf_cstr(&told.names));
    buf_release(&told.names);
    return out;
}

static void
one_level_is_listed_in_order(void **state)
{
    (void)state;
    LAB(l);

    put(&l, "b/1", "x");
    put(&l, "b/2/3", "x");
    put(&l, "b.txt", "x"); /* '.' sorts behind '/', so all of b comes first */
    put(&l, "a", "x");
    for (int i = 0; i < MANY; i++) {
        AUTOFREE char *name = mem_printf("many/%03d", i);
        put(&l, name, "x");
    }
    put(&l, "zuletzt", "x");
    back_up(&l);
    look(&l);
    AUTOFREE char *top = list(&l, "", false);
    AUTOFREE char *b = list(&l, "b", false);
    AUTOFREE char *all = list(&l, "b", true);
    AUTOFREE char *file = list(&l, "b/2/3", false);
    assert_string_equal(top, "a\nb\nb.txt\nmany\nzuletzt\n");
    assert_string_equal(b, "b/1\nb/2\n");
    assert_string_equal(all, "b/1\nb/2\nb/2/3\n");
    assert_string_equal(file, "b/2/3\n");
}

static void
what_is_not_there_is_not_found(void **state)
{
    (void)state;
    LAB(l);
    struct told none = { .names = BUF(4096) };

    put(&l, "abc", "x");
    back_up(&l);
    struct repo *r = look(&l);
    assert_err(tree_list(r, newest(&l), SLICE("ab"), true, note_name, &none, &l.e), &l.e,
               ERR_NOT_FOUND);
    assert_err(tree_dump(r, newest(&l), SLICE("ab"), false, 1, &l.e), &l.e,
               ERR_NOT_FOUND);
    assert_err(tree_dump_tar(r, newest(&l), SLICE("ab"), false, 1, &l.e), &l.e,
               ERR_NOT_FOUND);
    assert_int_equal(none.names.len, 0);
    buf_release(&none.names);
}

static void
a_typed_path_loses_its_slashes_and_nothing_else(void **state)
{
    (void)state;
    struct err e = { 0 };
    struct slice p;

    assert_ok(tree_path("//srv/a//", &p, &e), &e);
    assert_true(slice_equal(p, SLICE("srv/a")));
    assert_ok(tree_path("/", &p, &e), &e);
    assert_int_equal(p.len, 0);
    assert_err(tree_path("/srv/../etc", &p, &e), &e, ERR_USAGE);
    assert_err(tree_path("/srv//a", &p, &e), &e, ERR_USAGE);
    assert_err(tree_path("./a", &p, &e), &e, ERR_USAGE);
}

/* Dumps. */

static int
new_file(const struct lab *l, const char *name)
{
    AUTOFREE char *path = folder_path(&l->site.folder, name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

/* A file of data, a hole, data, and a hole at the end. */
static void
put_holes(struct lab *l, const char *name)
{
    static uint8_t bytes[BIG];
    AUTOFREE char *path = full(l, name);
    struct err e = { 0 };

    fill_bytes(bytes, sizeof bytes, 3);
    put(l, name, "");
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_ok(fs_pwrite_all(fd, slice_of(bytes, sizeof bytes), 0, &e), &e);
    assert_ok(fs_pwrite_all(fd, slice_of(bytes, 70000), 8 << 20, &e), &e);
    assert_int_equal(ftruncate(fd, 12 << 20), 0);
    close(fd);
}

static void
assert_same_file(const char *want, const char *have)
{
    AUTOBUF struct buf a = BUF(64 << 20), b = BUF(64 << 20);
    struct err e = { 0 };

    assert_ok(fs_read(want, 64 << 20, &a, &e), &e);
    assert_ok(fs_read(have, 64 << 20, &b, &e), &e);
    assert_true(slice_equal(buf_slice(&a), buf_slice(&b)));
}

static void
dump_exactly(struct lab *l, const char *name, bool sparse)
{
    AUTOFREE char *path = full(l, name), *have = folder_path(&l->site.folder, "dumped");
    AUTOCLOSE int fd = new_file(l, "dumped");
    struct slice p;

    assert_ok(tree_path(path, &p, &l->e), &l->e);
    assert_ok(tree_dump(l->site.repo, newest(l), p, sparse, fd, &l->e), &l->e);
    assert_same_file(path, have);
}

static void
a_dump_gives_the_very_bytes(void **state)
{
    (void)state;
    LAB(l);
    AUTOFREE char *link = full(&l, "link"), *folder = full(&l, "small");

    put_holes(&l, "holes");
    put(&l, "empty", "");
    for (int i = 0; i < 10; i++) {
        AUTOFREE char *name = mem_printf("small/%d", i);
        put(&l, name, name);
    }
    assert_int_equal(symlink("holes", link), 0);
    back_up(&l);
    struct repo *r = look(&l);
    dump_exactly(&l, "holes", false);
    dump_exactly(&l, "holes", true);
    dump_exactly(&l, "empty", false);
    dump_exactly(&l, "small/7", false);
    assert_err(tree_dump(r, newest(&l), slice_str(link + 1), false, 1, &l.e), &l.e,
               ERR_USAGE);
    assert_err(tree_dump(r, newest(&l), slice_str(folder + 1), false, 1, &l.e), &l.e,
               ERR_USAGE);
    assert_err(tree_dump(r, newest(&l), SLICE(""), false, 1, &l.e), &l.e, ERR_USAGE);
}

/* A dump into a file need not take the room of its holes. */
static void
a_sparse_dump_leaves_holes(void **state)
{
    (void)state;
    LAB(l);
    AUTOFREE char *path = full(&l, "holes");
    struct stat st;

    put_holes(&l, "holes");
    back_up(&l);
    look(&l);
    AUTOCLOSE int fd = new_file(&l, "dumped");
    assert_ok(tree_dump(l.site.repo, newest(&l), slice_str(path + 1), true, fd, &l.e),
              &l.e);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 12 << 20);
    assert_true(st.st_blocks * 512 < 6 << 20);
}

/* Archives. */

struct tarball {
    int fd;
    struct archive *archive;
};

static void
tarball_close(struct tarball *t)
{
    archive_read_free(t->archive);
    close(t->fd);
}

/* What tree_dump_tar() makes, opened for reading. */
static struct tarball
archive_of(struct lab *l, const char *name, bool content)
{
    AUTOFREE char *path = full(l, name);
    struct tarball t = { new_file(l, "tar"), archive_read_new() };

    assert_ok(tree_dump_tar(l->site.repo, newest(l), slice_str(path + 1), content, t.fd,
                            &l->e),
              &l->e);
    assert_int_equal(lseek(t.fd, 0, SEEK_SET), 0);
    assert_int_equal(archive_read_support_format_tar(t.archive), ARCHIVE_OK);
    assert_int_equal(archive_read_open_fd(t.archive, t.fd, 65536), ARCHIVE_OK);
    return t;
}

static struct archive_entry *
next_entry(struct tarball *t, const char *name)
{
    struct archive_entry *ae;

    if (archive_read_next_header(t->archive, &ae) != ARCHIVE_OK)
        fail_msg("%s: %s", name, archive_error_string(t->archive));
    assert_string_equal(archive_entry_pathname(ae), name);
    return ae;
}

static void
assert_end(struct tarball *t)
{
    struct archive_entry *ae;

    assert_int_equal(archive_read_next_header(t->archive, &ae), ARCHIVE_EOF);
}

static void
set_times(const char *path, int64_t s, long ns)
{
    struct timespec at[2] = { { s, ns }, { s, ns } };

    assert_int_equal(utimensat(AT_FDCWD, path, at, AT_SYMLINK_NOFOLLOW), 0);
}

static void
an_archive_has_all_metadata(void **state)
{
    (void)state;
    LAB(l);
    AUTOFREE char *a = full(&l, "a"), *b = full(&l, "b"), *fifo = full(&l, "fifo");
    AUTOFREE char *symbolic = full(&l, "link");

    put(&l, "a", "shared");
    assert_int_equal(link(a, b), 0);
    assert_int_equal(chmod(a, 04751), 0);
    set_times(a, 1234567890, 123456789);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink("not there", symbolic), 0);
    back_up(&l);
    look(&l);
    CLEANUP(tarball_close) struct tarball t = archive_of(&l, "", true);

    struct archive_entry *ae = next_entry(&t, "a");
    assert_int_equal(archive_entry_mode(ae), S_IFREG | 04751);
    assert_int_equal(archive_entry_mtime(ae), 1234567890);
    assert_int_equal(archive_entry_mtime_nsec(ae), 123456789);
    assert_int_equal(archive_entry_uid(ae), geteuid());
    assert_int_equal(archive_entry_size(ae), 6);
    ae = next_entry(&t, "b");
    assert_string_equal(archive_entry_hardlink(ae), "a");
    ae = next_entry(&t, "fifo");
    assert_int_equal(archive_entry_mode(ae), S_IFIFO | 0600);
    ae = next_entry(&t, "link");
    assert_string_equal(archive_entry_symlink(ae), "not there");
    assert_end(&t);
}

static void
an_archive_has_attributes_and_acls(void **state)
{
    /* user::rw- user:1000:rw- group::r-- mask::rw- other::---, as the kernel has it */
    static const uint8_t acl[] = {
        2, 0,    0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,   6,
        0, 0xe8, 3,   0,   0,   4,   0,  4, 0,   255, 255, 255, 255, 16,  0,
        6, 0,    255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255,
    };
    (void)state;
    LAB(l);
    AUTOFREE char *a = full(&l, "a");
    const void *value;
    const char *name;
    size_t len;

    put(&l, "a", "x");
    if (setxattr(a, "user.mark", "\0\1\2", 3, 0) < 0
        || setxattr(a, "system.posix_acl_access", acl, sizeof acl, 0) < 0)
        skip(); /* not on this file system */
    back_up(&l);
    look(&l);
    CLEANUP(tarball_close) struct tarball t = archive_of(&l, "", true);

    struct archive_entry *ae = next_entry(&t, "a");
    assert_int_equal(archive_entry_xattr_reset(ae), 1);
    assert_int_equal(archive_entry_xattr_next(ae, &name, &value, &len), ARCHIVE_OK);
    assert_string_equal(name, "user.mark");
    assert_int_equal(len, 3);
    assert_memory_equal(value, "\0\1\2", 3);
    int style = ARCHIVE_ENTRY_ACL_TYPE_ACCESS | ARCHIVE_ENTRY_ACL_STYLE_SEPARATOR_COMMA;
    char *text = archive_entry_acl_to_text(ae, NULL, style);
    assert_string_equal(text, "user::rw-,group::r--,other::---,user:1000:rw-,mask::rw-");
    free(text);
}

static void
an_archive_keeps_holes(void **state)
{
    (void)state;
    LAB(l);
    AUTOFREE char *path = full(&l, "holes"), *have = folder_path(&l.site.folder, "out");
    AUTOFREE char *none = full(&l, "none");
    struct stat st;

    put_holes(&l, "holes");
    put(&l, "none", "");
    assert_int_equal(truncate(none, 5 << 20), 0);
    back_up(&l);
    look(&l);
    CLEANUP(tarball_close) struct tarball t = archive_of(&l, "", true);
    assert_int_equal(fstat(t.fd, &st), 0);
    assert_true(st.st_size < 4 << 20);

    struct archive_entry *ae = next_entry(&t, "holes");
    assert_int_equal(archive_entry_size(ae), 12 << 20);
    AUTOCLOSE int fd = new_file(&l, "out");
    assert_int_equal(archive_read_data_into_fd(t.archive, fd), ARCHIVE_OK);
    assert_int_equal(ftruncate(fd, 12 << 20), 0);
    assert_same_file(path, have);
    ae = next_entry(&t, "none");
    assert_int_equal(archive_entry_size(ae), 5 << 20);
    assert_end(&t);
}

/* Whatever the locale of the one who dumps: names are bytes. */
static void
an_archive_keeps_names_that_are_no_text(void **state)
{
    (void)state;
    LAB(l);

    put(&l, "inv\xff", "x");
    put(&l, "\xc3\xbc", "x");
    back_up(&l);
    look(&l);
    assert_non_null(setlocale(LC_ALL, "C"));
    CLEANUP(tarball_close) struct tarball t = archive_of(&l, "", true);
    assert_non_null(setlocale(LC_ALL, "C.UTF-8"));

    next_entry(&t, "inv\xff");
    next_entry(&t, "\xc3\xbc");
    assert_end(&t);
    setlocale(LC_ALL, "C");
}

/* As restore does: PATH is made under its whole name, PATH/ is only its content. */
static void
an_archive_of_a_path_has_whole_names(void **state)
{
    (void)state;
    LAB(l);
    AUTOFREE char *dir = full(&l, "d/"), *file = full(&l, "d/f");

    put(&l, "d/f", "x");
    put(&l, "e", "x");
    back_up(&l);
    struct repo *r = look(&l);
    CLEANUP(tarball_close) struct tarball t = archive_of(&l, "d", false);
    next_entry(&t, dir + 1);
    next_entry(&t, file + 1);
    assert_end(&t);
    assert_err(tree_dump_tar(r, newest(&l), slice_str(file + 1), true, t.fd, &l.e), &l.e,
               ERR_USAGE);
}

static int
damage(void *arg, const struct object_info *o, struct err *e)
{
    struct lab *l = arg;
    AUTOFREE char *path = mem_printf("%s/t0/%s", l->site.folder.path, o->key);
    AUTOCLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t zero[4096] = { 0 };

    assert_true(fd >= 0);
    if (o->size > BIG / 2) /* not the packs of metadata */
        for (uint64_t at = BIG / 4; at < o->size / 2; at += sizeof zero)
            assert_ok(fs_pwrite_all(fd, slice_of(zero, sizeof zero), at, e), e);
    return 0;
}

/* An archive that ends early must not look like a whole one. */
static void
damage_ends_an_archive_without_an_end(void **state)
{
    static uint8_t bytes[BIG];
    (void)state;
    LAB(l);
    CLEANUP(storage_close_p) struct storage *store = site_store(&l.site, 0);
    struct archive_entry *ae;
    char room[65536];

    fill_bytes(bytes, sizeof bytes, 5);
    folder_write(&l.site.folder, "src/big", slice_of(bytes, sizeof bytes));
    back_up(&l);
    assert_ok(storage_list(store, "pack/", damage, &l, &l.e), &l.e);
    struct repo *r = look(&l);
    struct tarball t = { new_file(&l, "tar"), archive_read_new() };
    assert_err(tree_dump_tar(r, newest(&l), SLICE(""), false, t.fd, &l.e), &l.e,
               ERR_CORRUPT);
    assert_int_equal(lseek(t.fd, 0, SEEK_SET), 0);
    archive_read_support_format_tar(t.archive);
    assert_int_equal(archive_read_open_fd(t.archive, t.fd, 65536), ARCHIVE_OK);
    int rc = ARCHIVE_OK;
    while (rc == ARCHIVE_OK) {
        rc = archive_read_next_header(t.archive, &ae);
        la_ssize_t n = rc == ARCHIVE_OK ? 1 : 0;
        while (n > 0)
            n = archive_read_data(t.archive, room, sizeof room);
        rc = n < 0 ? ARCHIVE_FATAL : rc;
    }
    assert_int_equal(rc, ARCHIVE_FATAL);
    AUTOFREE char *big = full(&l, "big");
    assert_err(tree_dump(r, newest(&l), slice_str(big + 1), false, t.fd, &l.e), &l.e,
               ERR_CORRUPT);
    tarball_close(&t);
}

/* Differences. */

struct differences {
    size_t strip;
    struct buf text; /* "+name", "-name" or "Mname:bits", one a line */
};

static int
note_difference(void *arg, const struct entry *a, const struct entry *b, unsigned what,
                struct err *e)
{
    struct differences *d = arg;
    struct slice p = a ? a->path : b->path;

    (void)e;
    if (p.len < d->strip)
        return 0; /* folders above, where other tests make and remove theirs */
    p = slice_sub(p, d->strip, p.len - d->strip);
    buf_printf(&d->text, "%c%.*s",
               !a   ? '+'
               : !b ? '-'
                    : 'M',
               (int)p.len, (const char *)p.ptr);
    if (what)
        buf_printf(&d->text, ":%u", what);
    buf_put_u8(&d->text, '\n');
    return 0;
}

static char *
differences(struct lab *l, const struct snapshot *a, const struct snapshot *b)
{
    struct differences d = { .strip = strlen(l->src), .text = BUF(1 << 16) };

    assert_ok(tree_diff(l->site.repo, a, b, note_difference, &d, &l->e), &l->e);
    char *out = mem_strdup(buf_cstr(&d.text));
    buf_release(&d.text);
    return out;
}

static void
differences_say_what_changed(void **state)
{
    (void)state;
    LAB(l);
    static const char *const names[] = { "content", "gone",  "kind", "mode",
                                         "size",    "stays", "time" };
    char *paths[COUNT_OF(names)];

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        put(&l, names[i], "before");
        paths[i] = full(&l, names[i]);
        set_times(paths[i], 1000000000, 0);
    }
    AUTOFREE char *link = full(&l, "link");
    assert_int_equal(symlink("one", link), 0);
    set_times(link, 1000000000, 0);
    set_times(l.src, 1000000000, 0);
    back_up(&l);

    put(&l, "content", "behind");
    put(&l, "new", "x");
    put(&l, "size", "longer than before");
    assert_int_equal(unlink(paths[1]), 0);
    assert_int_equal(unlink(paths[2]), 0);
    assert_int_equal(mkdir(paths[2], 0644), 0);
    assert_int_equal(chmod(paths[3], 0600), 0);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink("two", link), 0);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (i != 1)
            set_times(paths[i], i == 6 ? 1000000001 : 1000000000, 0);
    set_times(link, 1000000000, 0);
    set_times(l.src, 1000000000, 0);
    back_up(&l);
    look(&l);
    assert_int_equal(l.list.count, 2);

    AUTOFREE char *same = differences(&l, newest(&l), newest(&l));
    AUTOFREE char *text = differences(&l, &l.list.rows[0].info, newest(&l));
    AUTOFREE char *want = mem_printf(
        "Mcontent:%d\n-gone\nMkind:%d\nMlink:%d\nMmode:%d\n+new\nMsize:%d\nMtime:%d\n",
        TREE_CONTENT, TREE_TYPE, TREE_LINK, TREE_MODE, TREE_SIZE | TREE_CONTENT,
        TREE_TIME);
    assert_string_equal(same, "");
    assert_string_equal(text, want);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        mem_free(paths[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_level_is_listed_in_order),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(a_typed_path_loses_its_slashes_and_nothing_else),
        cmocka_unit_test(a_dump_gives_the_very_bytes),
        cmocka_unit_test(a_sparse_dump_leaves_holes),
        cmocka_unit_test(an_archive_has_all_metadata),
        cmocka_unit_test(an_archive_has_attributes_and_acls),
        cmocka_unit_test(an_archive_keeps_holes),
        cmocka_unit_test(an_archive_keeps_names_that_are_no_text),
        cmocka_unit_test(an_archive_of_a_path_has_whole_names),
        cmocka_unit_test(damage_ends_an_archive_without_an_end),
        cmocka_unit_test(differences_say_what_changed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
