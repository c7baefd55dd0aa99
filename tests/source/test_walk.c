#include "tree.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

static void
names_come_in_the_order_of_the_manifest(void **state)
{
    TREE(t);

    (void)state;
    tree_write(&t, "a/x", "1");
    tree_write(&t, "a/\xff\xfe", "2");
    tree_write(&t, "a!", "3");
    tree_write(&t, "a-b/y", "4");
    tree_write(&t, "a\001", "5");
    tree_write(&t, "b\nc", "6");
    tree_open_all(&t);
    assert_string_equal(tree_list(&t),
                        "a\na/x\na/\xff\xfe\na\001\na!\na-b\na-b/y\nb\nc\n");
}

/* Folders in a folder whose names have spilled have to spill as well. */
static void
a_folder_of_any_size_is_listed_in_order(void **state)
{
    TREE(t);
    struct tree_walk how = { .paths = { t.dir }, .names_max = 2000 };
    char name[200];
    size_t lines = 0;

    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "%u-a-name-of-some-length", i * 7919 % 3000);
        tree_write(&t, name, "");
    }
    for (unsigned i = 0; i < 60; i++) {
        snprintf(name, sizeof name, "500-folder/%u-a-name-of-some-length/file", i);
        tree_write(&t, name, "");
        snprintf(name, sizeof name, "500-folder/33-a-name-of-some-length/%u-more", i);
        tree_write(&t, name, "");
    }
    tree_open_all(&t);
    AUTOFREE char *all = mem_strdup(tree_list(&t));
    assert_int_equal(tree_open(&t, &how), 0);
    const char *list = tree_list(&t);
    assert_string_equal(list, all);
    for (; *list; list++)
        lines += *list == '\n';
    assert_int_equal(lines, 3000 + 1 + 2 * 60 + 60);
}

static void
a_path_within_another_is_walked_once(void **state)
{
    TREE(t);
    struct tree_walk how = { 0 };

    (void)state;
    tree_write(&t, "a/b/c", "x");
    tree_write(&t, "a/d", "x");
    how.paths[0] = tree_path(&t, "a/b//");
    how.paths[1] = tree_path(&t, "a");
    how.paths[2] = tree_path(&t, "./a/b/c");
    how.paths[3] = how.paths[1];
    assert_int_equal(tree_open(&t, &how), 0);
    assert_string_equal(tree_list(&t), "a\na/b\na/b/c\na/d\n");
}

static void
folders_above_a_path_come_once_and_are_marked(void **state)
{
    TREE(t);
    struct tree_walk how = { 0 };
    struct entry en;
    unsigned above = 0, other = 0;

    (void)state;
    tree_write(&t, "a/b/one", "x");
    tree_write(&t, "a/b/not", "x");
    tree_write(&t, "a/two/file", "x");
    how.paths[0] = tree_path(&t, "a/two");
    how.paths[1] = tree_path(&t, "a/b/one");
    assert_int_equal(tree_open(&t, &how), 0);
    assert_string_equal(tree_list(&t), "a/b/one\na/two\na/two/file\n");
    assert_int_equal(tree_open(&t, &how), 0);
    while (source_next(t.source, &en, &t.e) == 1) {
        above += (en.flags & ENTRY_ABOVE) != 0;
        other += !(en.flags & ENTRY_ABOVE);
        assert_true(!(en.flags & ENTRY_ABOVE) || en.type == ENTRY_DIR);
        assert_int_equal(source_describe(t.source, &en, &t.e), 1);
    }
    assert_int_equal(above, 4); /* tmp, the tree's folder, a, a/b */
    assert_int_equal(other, 3);
}

/* The root folder has no entry of its own. Rules hold relative to it. */
static void
the_root_folder_can_be_a_path(void **state)
{
    TREE(t);
    struct tree_walk how = { .paths = { "/", t.dir }, .exclude = { "/[!x]*" } };

    (void)state;
    tree_write(&t, "x", "x");
    assert_int_equal(tree_open(&t, &how), 0);
    struct entry en;
    assert_int_equal(source_next(t.source, &en, &t.e), 1);
    assert_true(slice_equal(en.path, SLICE("tmp")));
    assert_int_equal(en.flags, ENTRY_ABOVE);
    assert_int_equal(tree_open(&t, &how), 0);
    assert_string_equal(tree_list(&t), "x\n");
}

static void
a_configured_link_is_followed(void **state)
{
    TREE(t);
    struct tree_walk how = { 0 };

    (void)state;
    tree_write(&t, "release-7/file", "x");
    tree_write(&t, "release-7/sub/inner", "x");
    assert_int_equal(symlink("release-7", tree_path(&t, "current")), 0);
    how.paths[0] = tree_path(&t, "current");
    assert_int_equal(tree_open(&t, &how), 0);
    assert_string_equal(tree_list(&t),
                        "current\ncurrent/file\ncurrent/sub\ncurrent/sub/inner\n");
    how.paths[0] = tree_path(&t, "current/sub");
    assert_int_equal(tree_open(&t, &how), 0);
    assert_string_equal(tree_list(&t), "current/sub\ncurrent/sub/inner\n");
}

static void
a_missing_path_is_an_error_unless_allowed(void **state)
{
    TREE(t);
    struct tree_walk how = { 0 };

    (void)state;
    tree_write(&t, "there", "x");
    how.paths[0] = tree_path(&t, "there");
    how.paths[1] = tree_path(&t, "missing");
    assert_int_equal(tree_open(&t, &how), -1);
    assert_int_equal(t.e.kind, ERR_SOURCE);
    assert_non_null(strstr(t.e.text, "missing"));
    how.allow_empty = true;
    assert_int_equal(tree_open(&t, &how), 0);
    assert_string_equal(tree_list(&t), "there\n");
}

static void
a_relative_path_is_an_error(void **state)
{
    TREE(t);

    (void)state;
    assert_int_equal(tree_open(&t, &(struct tree_walk){ .paths = { "tmp" } }), -1);
    assert_int_equal(t.e.kind, ERR_USAGE);
    assert_int_equal(tree_open(&t, &(struct tree_walk){ .paths = { "/a/../b" } }), -1);
    assert_int_equal(t.e.kind, ERR_USAGE);
}

static void
sockets_are_skipped_and_told(void **state)
{
    TREE(t);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    snprintf(a.sun_path, sizeof a.sun_path, "%s/s", t.dir);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    close(fd);
    tree_write(&t, "z", "x");
    tree_open_all(&t);
    assert_string_equal(tree_list(&t), "z\n");
    assert_int_equal(t.issues[SOURCE_SOCKET], 1);
}

static void
what_vanishes_is_told_and_the_walk_goes_on(void **state)
{
    TREE(t);
    struct entry en;

    (void)state;
    tree_write(&t, "a", "x");
    tree_write(&t, "b", "x");
    tree_write(&t, "c/d", "x");
    tree_write(&t, "z", "x");
    tree_open_all(&t);
    tree_find(&t, "/a", &en);
    assert_int_equal(unlink(tree_path(&t, "a")), 0);
    assert_int_equal(source_describe(t.source, &en, &t.e), 0);
    assert_int_equal(source_read_begin(t.source, &en, &t.e), 0);
    assert_int_equal(t.issues[SOURCE_VANISHED], 2);
    assert_int_equal(unlink(tree_path(&t, "b")), 0);
    tree_find(&t, "/c", &en);
    assert_int_equal(t.issues[SOURCE_VANISHED], 3);
    assert_non_null(strstr(t.issue_path, "/b"));
    assert_int_equal(rename(tree_path(&t, "c"), tree_path(&t, "moved")), 0);
    assert_string_equal(tree_list(&t), "z\n");
    assert_int_equal(t.issues[SOURCE_VANISHED], 4);
    assert_int_equal(t.issues[SOURCE_UNREADABLE], 0);
}

static void
an_unreadable_folder_is_kept_and_told(void **state)
{
    TREE(t);

    (void)state;
    tree_write(&t, "closed/secret", "x");
    tree_write(&t, "z", "x");
    assert_int_equal(chmod(tree_path(&t, "closed"), 0), 0);
    bool root = geteuid() == 0;
    assert_true(!root || seteuid(65534) == 0);
    tree_open_all(&t);
    assert_string_equal(tree_list(&t), "closed\nz\n");
    assert_true(!root || seteuid(0) == 0);
    assert_int_equal(chmod(tree_path(&t, "closed"), 0755), 0);
    assert_int_equal(t.issues[SOURCE_UNREADABLE], 1);
    assert_non_null(strstr(t.issue_path, "closed"));
    assert_string_equal(t.issue_why, strerror(EACCES));
}

/* Deeper than PATH_MAX and than descriptors are allowed. */
static void
depth_needs_neither_long_paths_nor_many_descriptors(void **state)
{
    TREE(t);
    struct rlimit before, few;
    size_t lines = 0;

    (void)state;
    tree_dig(&t, "deep", 3000);
    tree_write(&t, "deep/after", "x");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 100;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    tree_open_all(&t);
    const char *list = tree_list(&t);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (const char *p = list; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 3001);
    assert_non_null(strstr(list, "\ndeep/deep"));
    assert_int_equal(unlink(tree_path(&t, "deep/after")), 0);
    int fd = open(t.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    tree_fill_in(fd, "deep");
    close(fd);
}

/* On the way back up, ".." of a moved folder is not where the walk came from. */
static void
a_folder_moved_away_leads_nowhere_else(void **state)
{
    TREE(t);
    struct entry en;

    (void)state;
    tree_folder(&t, "other");
    tree_write(&t, "other/zz", "not below deep");
    tree_write(&t, "top/before", "x");
    tree_write(&t, "top/zz", "x");
    int fd = open(tree_path(&t, "top"), O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct tree top = t;
    snprintf(top.dir, sizeof top.dir, "%s", tree_path(&t, "top"));
    tree_dig(&top, "deep", 200);
    tree_open_all(&t);
    do
        assert_int_equal(source_next(t.source, &en, &t.e), 1);
    while (en.path.len < 5 * 190);
    assert_int_equal(rename(tree_path(&t, "top/deep"), tree_path(&t, "other/deep")), 0);
    const char *list = tree_list(&t);
    assert_non_null(strstr(list, "top/zz\n"));
    assert_null(strstr(list, "deep/zz"));
    assert_int_equal(rename(tree_path(&t, "other/deep"), tree_path(&t, "top/deep")), 0);
    tree_fill_in(fd, "deep");
    close(fd);
}

static void
a_path_that_is_too_long_is_told(void **state)
{
    TREE(t);
    char name[251];
    struct entry en;

    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    tree_dig(&t, name, 270);
    tree_open_all(&t);
    while (source_next(t.source, &en, &t.e) == 1)
        assert_true(en.path.len <= ENTRY_PATH_MAX);
    assert_int_equal(t.issues[SOURCE_TOO_LONG], 1);
    int fd = open(t.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    tree_fill_in(fd, name);
    close(fd);
}

/* The folder that is mounted on is kept, what is mounted there is not, but
 * when it is configured as well. */
static void
one_file_system_ends_at_mounts(void **state)
{
    (void)state;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        skip();
    TREE(t);
    struct tree_walk how = { .paths = { t.dir }, .one_file_system = true };
    tree_folder(&t, "mount");
    assert_int_equal(mount("tmpfs", tree_path(&t, "mount"), "tmpfs", 0, NULL), 0);
    tree_write(&t, "mount/inner/file", "x");
    tree_write(&t, "z", "x");
    assert_int_equal(tree_open(&t, &how), 0);
    AUTOFREE char *outer = mem_strdup(source_identity(t.source));
    assert_string_equal(tree_list(&t), "mount\nz\n");
    how.paths[1] = tree_path(&t, "mount/inner");
    assert_int_equal(tree_open(&t, &how), 0);
    assert_string_equal(tree_list(&t), "mount\nmount/inner\nmount/inner/file\nz\n");
    how.paths[1] = NULL;
    how.one_file_system = false;
    assert_int_equal(tree_open(&t, &how), 0);
    assert_string_equal(tree_list(&t), "mount\nmount/inner\nmount/inner/file\nz\n");
    how.paths[0] = tree_path(&t, "mount");
    assert_int_equal(tree_open(&t, &how), 0);
    assert_string_not_equal(source_identity(t.source), outer);
    source_close(TAKE(t.source));
    assert_int_equal(umount(tree_path(&t, "mount")), 0);
    assert_int_equal(mount("proc", tree_path(&t, "mount"), "proc", 0, NULL), 0);
    how.paths[0] = t.dir;
    assert_int_equal(tree_open(&t, &how), 0);
    assert_string_equal(tree_list(&t), "mount\nz\n"); /* the kernel's own are no data */
    source_close(TAKE(t.source));
    assert_int_equal(umount(tree_path(&t, "mount")), 0);
}

static void
names_of_one_inode_share_a_link_group(void **state)
{
    TREE(t);
    struct entry en;
    uint64_t group;

    (void)state;
    tree_write(&t, "a", "x");
    tree_write(&t, "lone", "x");
    assert_int_equal(link(tree_path(&t, "a"), tree_path(&t, "b")), 0);
    tree_open_all(&t);
    tree_find(&t, "/a", &en);
    group = en.link_group;
    assert_true(group != 0);
    tree_find(&t, "/b", &en);
    assert_true(en.link_group == group);
    tree_find(&t, "/lone", &en);
    assert_true(en.link_group == 0);
    tree_open_all(&t);
    tree_find(&t, "/a", &en);
    assert_true(en.link_group == group);
}

static void
a_description_has_names_target_and_attributes(void **state)
{
    (void)state;
    if (!tree_keeps_attributes())
        skip();
    TREE(t);
    struct entry en;
    struct slice name, value;

    tree_write(&t, "f", "x");
    tree_write(&t, "plain", "x");
    assert_int_equal(symlink("to/\xff where", tree_path(&t, "l")), 0);
    assert_int_equal(setxattr(tree_path(&t, "f"), "user.z", "26", 2, 0), 0);
    assert_int_equal(setxattr(tree_path(&t, "f"), "user.a", "", 0, 0), 0);
    tree_open_all(&t);
    tree_find(&t, "/f", &en);
    assert_int_equal(source_describe(t.source, &en, &t.e), 1);
    assert_true(geteuid() != 0 || slice_equal(en.user, SLICE("root")));
    struct reader r = reader_of(en.xattrs);
    assert_true(entry_xattr_next(&r, &name, &value));
    assert_true(slice_equal(name, SLICE("user.a")) && value.len == 0);
    assert_true(entry_xattr_next(&r, &name, &value));
    assert_true(slice_equal(name, SLICE("user.z")) && slice_equal(value, SLICE("26")));
    assert_false(entry_xattr_next(&r, &name, &value));
    tree_find(&t, "/l", &en);
    assert_int_equal(source_describe(t.source, &en, &t.e), 1);
    assert_true(slice_equal(en.target, SLICE("to/\xff where")));
    tree_find(&t, "/plain", &en);
    assert_int_equal(source_describe(t.source, &en, &t.e), 1);
    assert_int_equal(en.xattrs.len, 0);
    assert_int_equal(en.target.len, 0);
}

static void
a_hole_is_told_as_a_hole_and_zeros_as_bytes(void **state)
{
    TREE(t);
    AUTOBUF struct buf got = BUF(8 << 20);
    static uint8_t zeros[1 << 20];
    struct entry en;
    uint64_t holes;
    bool changed;

    (void)state;
    tree_write(&t, "dense", "");
    tree_write(&t, "holes", "");
    int fd = open(tree_path(&t, "dense"), O_WRONLY | O_CLOEXEC);
    assert_int_equal(fs_pwrite_all(fd, slice_of(zeros, sizeof zeros), 0, &t.e), 0);
    close(fd);
    fd = open(tree_path(&t, "holes"), O_WRONLY | O_CLOEXEC);
    assert_int_equal(fs_pwrite_all(fd, SLICE("middle"), 1 << 20, &t.e), 0);
    assert_int_equal(ftruncate(fd, 3 << 20), 0);
    close(fd);
    tree_open_all(&t);
    tree_find(&t, "/dense", &en);
    tree_read(&t, &en, &got, &holes, &changed);
    assert_int_equal(got.len, sizeof zeros);
    assert_int_equal(holes, 0);
    tree_find(&t, "/holes", &en);
    tree_read(&t, &en, &got, &holes, &changed);
    assert_int_equal(en.size, 3 << 20);
    assert_int_equal(got.len, 3 << 20);
    assert_true(holes >= (3 << 20) - 65536);
    assert_memory_equal(got.ptr + (1 << 20), "middle", 6);
    assert_false(changed);
}

static void
a_change_while_reading_is_seen(void **state)
{
    TREE(t);
    struct entry en;
    uint8_t block[100];
    size_t got;
    uint64_t hole;
    bool changed;

    (void)state;
    tree_write(&t, "log", "one line\n");
    tree_open_all(&t);
    tree_find(&t, "/log", &en);
    tree_write(&t, "log", "one line\nand more\n");
    assert_int_equal(source_read_begin(t.source, &en, &t.e), 1);
    assert_int_equal(en.size, 18); /* read anew */
    assert_int_equal(source_read(t.source, block, 9, &got, &hole, &t.e), 0);
    tree_write(&t, "log", "one line\nand more\nand more\n");
    assert_int_equal(source_read(t.source, block, 100, &got, &hole, &t.e), 0);
    assert_int_equal(got, 18); /* to where it ends now */
    assert_int_equal(source_read(t.source, block, 100, &got, &hole, &t.e), 0);
    assert_int_equal(got + hole, 0);
    assert_int_equal(source_read_end(t.source, &changed, &t.e), 0);
    assert_true(changed);
}

/* Opening a fifo would wait for a writer for ever. */
static void
a_file_replaced_by_a_fifo_has_vanished(void **state)
{
    TREE(t);
    struct entry en;

    (void)state;
    tree_write(&t, "f", "x");
    tree_open_all(&t);
    tree_find(&t, "/f", &en);
    assert_int_equal(unlink(tree_path(&t, "f")), 0);
    assert_int_equal(mkfifo(tree_path(&t, "f"), 0600), 0);
    assert_int_equal(source_read_begin(t.source, &en, &t.e), 0);
    assert_int_equal(t.issues[SOURCE_VANISHED], 1);
}

static void
a_file_replaced_by_a_link_is_not_followed(void **state)
{
    TREE(t);
    struct entry en;

    (void)state;
    tree_write(&t, "f", "x");
    tree_open_all(&t);
    tree_find(&t, "/f", &en);
    assert_int_equal(unlink(tree_path(&t, "f")), 0);
    assert_int_equal(symlink("/etc/passwd", tree_path(&t, "f")), 0);
    assert_int_equal(source_read_begin(t.source, &en, &t.e), 0);
    assert_int_equal(t.issues[SOURCE_VANISHED], 1);
}

/* Else a description of the old file would be kept with the new one's times,
 * and nobody would ever look again. */
static void
a_file_replaced_after_its_description_is_described_anew(void **state)
{
    (void)state;
    if (!tree_keeps_attributes())
        skip();
    TREE(t);
    struct entry en;

    tree_write(&t, "f", "x");
    assert_int_equal(setxattr(tree_path(&t, "f"), "user.a", "1", 1, 0), 0);
    tree_open_all(&t);
    tree_find(&t, "/f", &en);
    assert_int_equal(source_describe(t.source, &en, &t.e), 1);
    assert_true(en.xattrs.len > 0);
    tree_write(&t, "new", "y");
    assert_int_equal(rename(tree_path(&t, "new"), tree_path(&t, "f")), 0);
    assert_int_equal(source_read_begin(t.source, &en, &t.e), 1);
    assert_int_equal(en.xattrs.len, 0);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_come_in_the_order_of_the_manifest),
        cmocka_unit_test(a_folder_of_any_size_is_listed_in_order),
        cmocka_unit_test(a_path_within_another_is_walked_once),
        cmocka_unit_test(folders_above_a_path_come_once_and_are_marked),
        cmocka_unit_test(the_root_folder_can_be_a_path),
        cmocka_unit_test(a_configured_link_is_followed),
        cmocka_unit_test(a_missing_path_is_an_error_unless_allowed),
        cmocka_unit_test(a_relative_path_is_an_error),
        cmocka_unit_test(sockets_are_skipped_and_told),
        cmocka_unit_test(what_vanishes_is_told_and_the_walk_goes_on),
        cmocka_unit_test(an_unreadable_folder_is_kept_and_told),
        cmocka_unit_test(depth_needs_neither_long_paths_nor_many_descriptors),
        cmocka_unit_test(a_folder_moved_away_leads_nowhere_else),
        cmocka_unit_test(a_path_that_is_too_long_is_told),
        cmocka_unit_test(one_file_system_ends_at_mounts),
        cmocka_unit_test(names_of_one_inode_share_a_link_group),
        cmocka_unit_test(a_description_has_names_target_and_attributes),
        cmocka_unit_test(a_hole_is_told_as_a_hole_and_zeros_as_bytes),
        cmocka_unit_test(a_change_while_reading_is_seen),
        cmocka_unit_test(a_file_replaced_by_a_fifo_has_vanished),
        cmocka_unit_test(a_file_replaced_by_a_link_is_not_followed),
        cmocka_unit_test(a_file_replaced_after_its_description_is_described_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
