#include "restore.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#define NOBODY 65534

/* user::rw- user:1000:rw- group::r-- mask::rw- other::---, as the kernel has it */
static const uint8_t acl[] = {
    2, 0,    0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,   6,
    0, 0xe8, 3,   0,   0,   4,   0,  4, 0,   255, 255, 255, 255, 16,  0,
    6, 0,    255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255,
};
/* cap_net_bind_service=ep */
static const uint8_t capability[] = { 1, 0, 0, 2, 0, 4, 0, 0, 0, 0,
                                      0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };

static void
set_time(const struct tree *t, const char *name, int64_t s, long ns)
{
    struct timespec at[2] = { { 0, UTIME_OMIT }, { s, ns } };

    assert_int_equal(utimensat(AT_FDCWD, tree_path(t, name), at, AT_SYMLINK_NOFOLLOW), 0);
}

static void
set_attribute(const struct tree *t, const char *name, const char *key, const void *value,
              size_t len)
{
    assert_int_equal(lsetxattr(tree_path(t, name), key, value, len, 0), 0);
}

static struct entry
file_entry(const char *path, uint32_t mode)
{
    return (struct entry){ .path = slice_str(path),
                           .type = ENTRY_FILE,
                           .mode = mode,
                           .uid = geteuid(),
                           .gid = getegid(),
                           .mtime_s = 1000000000 };
}

static struct entry
folder_entry(const char *path)
{
    struct entry en = file_entry(path, 0755);

    en.type = ENTRY_DIR;
    return en;
}

static bool
is_there(const struct tree *t, const char *name)
{
    struct stat st;

    return lstat(tree_path(t, name), &st) == 0;
}

static void
ordinary_and_odd_files_come_back_exactly(void **state)
{
    TREE(t);
    TREE(to);
    struct issues i;
    char name[256];
    int fd;

    (void)state;
    memset(name, 'n', 255);
    name[255] = 0;
    tree_write(&t, name, "a long name");
    tree_write(&t, "new\nline", "x");
    tree_write(&t, "\xff\xfe not utf-8", "x");
    tree_write(&t, "empty", "");
    tree_write(&t, "folder/old", "x");
    tree_write(&t, "folder/far", "x");
    tree_write(&t, "folder/before", "x");
    tree_write(&t, "folder/one", "linked");
    tree_folder(&t, "folder/sub");
    assert_int_equal(link(tree_path(&t, "folder/one"), tree_path(&t, "two")), 0);
    assert_int_equal(link(tree_path(&t, "folder/one"), tree_path(&t, "folder/sub/3")), 0);
    tree_write(&t, "dense", "");
    assert_int_equal(truncate(tree_path(&t, "empty"), 0), 0);
    fd = open(tree_path(&t, "sparse"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(fs_pwrite_all(fd, SLICE("middle"), 1 << 20, &t.e), 0);
    assert_int_equal(ftruncate(fd, 3 << 20), 0);
    close(fd);
    assert_int_equal(symlink("to nowhere \xff", tree_path(&t, "link")), 0);
    set_time(&t, "link", 12345, 6);
    assert_int_equal(mkfifo(tree_path(&t, "fifo"), 0640), 0);
    set_time(&t, "folder/old", 1, 999999999);
    set_time(&t, "folder/before", -86400 * 365, 123456789);
    set_time(&t, "folder/far", 4000000000, 1);
    assert_int_equal(chmod(tree_path(&t, "folder/far"), 0444), 0);
    assert_int_equal(chmod(tree_path(&t, "folder"), 01777), 0);
    assert_int_equal(chmod(tree_path(&t, "folder/sub"), 02750), 0);
    set_time(&t, "folder/sub", 7, 7);
    set_time(&t, "folder", 8, 8);

    CLEANUP(place_close_p) struct place *p = place_for(&to, &i, OWNER_AUTO);
    restore_all(&t, p);
    assert_int_equal(i.count, geteuid() != 0); /* /tmp is another's */
    assert_same(&t, &to);
}

static void
attributes_owners_and_devices_come_back_exactly(void **state)
{
    (void)state;
    if (geteuid() != 0 || !tree_keeps_attributes())
        skip();
    TREE(t);
    TREE(to);
    struct issues i;

    tree_write(&t, "f", "x");
    tree_write(&t, "cap", "x");
    tree_write(&t, "acl", "x");
    tree_write(&t, "setuid", "x");
    tree_folder(&t, "folder/inner");
    tree_write(&t, "folder/inner/file", "x");
    assert_int_equal(symlink("f", tree_path(&t, "link")), 0);
    assert_int_equal(lchown(tree_path(&t, "link"), 1234, 4321), 0);
    assert_int_equal(chown(tree_path(&t, "setuid"), 1234, 4321), 0);
    assert_int_equal(chown(tree_path(&t, "cap"), 1234, 4321), 0);
    assert_int_equal(chmod(tree_path(&t, "setuid"), 06755), 0);
    set_attribute(&t, "f", "user.b", "2", 1);
    set_attribute(&t, "f", "user.a", "", 0);
    set_attribute(&t, "f", "trusted.t", "t", 1);
    set_attribute(&t, "link", "trusted.l", "of the link", 11);
    set_attribute(&t, "cap", "security.capability", capability, sizeof capability);
    set_attribute(&t, "acl", "system.posix_acl_access", acl, sizeof acl);
    set_attribute(&t, "folder", "system.posix_acl_default", acl, sizeof acl);
    set_attribute(&t, "folder", "user.f", "folder", 6);
    if (mknod(tree_path(&t, "null"), S_IFCHR | 0666, makedev(1, 3)) == 0) {
        assert_int_equal(mknod(tree_path(&t, "loop"), S_IFBLK | 0660, makedev(7, 70000)),
                         0);
        set_attribute(&t, "null", "trusted.n", "device", 6);
    }
    CLEANUP(place_close_p) struct place *p = place_for(&to, &i, OWNER_AUTO);
    restore_all(&t, p);
    assert_int_equal(i.count, 0);
    assert_same(&t, &to);
    restore_all(&t, p); /* again, over what is there */
    assert_int_equal(i.count, 0);
    assert_same(&t, &to);
}

static void
a_path_of_any_depth_comes_back(void **state)
{
    TREE(t);
    TREE(to);
    struct issues i;
    int fd;

    (void)state;
    tree_dig(&t, "deep", 3000);
    CLEANUP(place_close_p) struct place *p = place_for(&to, &i, OWNER_AUTO);
    restore_all(&t, p);
    assert_same(&t, &to);
    fd = open(t.dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    tree_fill_in(fd, "deep");
    close(fd);
    fd = open(tree_path(&to, t.dir), O_PATH | O_DIRECTORY | O_CLOEXEC);
    tree_fill_in(fd, "deep");
    close(fd);
}

static void
hard_links_are_one_inode_again(void **state)
{
    TREE(to);
    struct issues i;
    struct err e = { 0 };
    struct stat a, b;
    struct entry en = file_entry("a", 0644);

    (void)state;
    CLEANUP(place_close_p) struct place *p = place_for(&to, &i, OWNER_AUTO);
    assert_int_equal(place_link(p, 7, SLICE("b"), &e), 0); /* not known yet */
    assert_int_equal(put_file(p, &en, "", false, &e), 0);
    assert_int_equal(place_link_note(p, 7, en.path, &e), 0);
    assert_int_equal(place_link(p, 8, SLICE("b"), &e), 0);
    tree_write(&to, "in the way", "x");
    assert_int_equal(place_link(p, 7, SLICE("b"), &e), 1);
    assert_int_equal(place_link(p, 7, SLICE("b"), &e), 1);
    assert_int_equal(place_link(p, 7, SLICE("in the way"), &e), 1);
    assert_int_equal(place_links_end(p, &e), 0);
    assert_int_equal(lstat(tree_path(&to, "a"), &a), 0);
    assert_int_equal(lstat(tree_path(&to, "in the way"), &b), 0);
    assert_true(a.st_ino == b.st_ino);
    assert_int_equal(a.st_nlink, 3); /* nothing hidden is left */
    tree_open_all(&to);
    assert_string_equal(tree_list(&to), "a\nb\nin the way\n");
}

static void
a_path_that_leads_out_is_refused(void **state)
{
    static const char *const bad[] = { "../x", "a/../../x", "/etc/x", "..", "a//b", "" };
    TREE(to);
    struct issues i;

    (void)state;
    CLEANUP(place_close_p) struct place *p = place_for(&to, &i, OWNER_AUTO);
    for (size_t k = 0; k < COUNT_OF(bad); k++) {
        struct entry en = file_entry(bad[k], 0644);
        struct err e = { 0 };
        char hidden[32];
        int fd;
        assert_int_equal(place_file_begin(p, &en, true, hidden, &fd, &e), -1);
        assert_int_equal(e.kind, ERR_CORRUPT);
        assert_int_equal(place_dir(p, &en, &e), -1);
        assert_int_equal(place_special(p, &en, &e), -1);
    }
}

static void
links_in_the_destination_are_not_followed(void **state)
{
    TREE(to);
    TREE(outside);
    struct issues i;
    struct err e = { 0 };
    struct stat st;
    struct entry file = file_entry("a/b", 0644), folder = folder_entry("a");
    struct entry below = folder_entry("a/sub"), over = file_entry("l", 0600);
    char hidden[32];
    int fd;

    (void)state;
    tree_write(&outside, "victim", "untouched");
    tree_folder(&outside, "sub");
    assert_int_equal(symlink(outside.dir, tree_path(&to, "a")), 0);
    assert_int_equal(symlink(tree_path(&outside, "victim"), tree_path(&to, "l")), 0);
    CLEANUP(place_close_p) struct place *p = place_for(&to, &i, OWNER_AUTO);
    assert_int_equal(place_dir(p, &folder, &e), -1);
    assert_int_equal(e.kind, ERR_EXISTS);
    assert_int_equal(place_dir_finish(p, &folder, &e), -1);
    assert_int_equal(e.kind, ERR_EXISTS);
    assert_int_equal(place_file_begin(p, &file, true, hidden, &fd, &e), -1);
    assert_int_equal(e.kind, ERR_EXISTS);
    assert_int_equal(place_dir(p, &below, &e), -1);
    assert_int_equal(place_dir_finish(p, &below, &e), -1);
    assert_int_equal(place_stat(p, SLICE("a/victim"), &st, &e), -1);
    assert_int_equal(place_open_existing(p, SLICE("l"), &fd, &e), -1);
    assert_int_equal(put_file(p, &over, "mine", false, &e), 0); /* replaces the link */
    tree_open_all(&outside);
    assert_string_equal(tree_list(&outside), "sub\nvictim\n");
    assert_int_equal(lstat(tree_path(&outside, "victim"), &st), 0);
    assert_int_equal(st.st_size, 9);
    assert_int_equal(lstat(tree_path(&to, "l"), &st), 0);
    assert_true(S_ISREG(st.st_mode));
}

/* Somebody swaps a folder for a link between two of our calls. */
static void
a_link_planted_meanwhile_leads_nowhere(void **state)
{
    TREE(to);
    TREE(outside);
    struct issues i;
    struct err e = { 0 };
    struct entry a = folder_entry("a"), b = folder_entry("a/b");
    struct entry file = file_entry("a/b/f", 0644), late = file_entry("a/late", 0644);

    (void)state;
    tree_folder(&outside, "b");
    CLEANUP(place_close_p) struct place *p = place_for(&to, &i, OWNER_AUTO);
    assert_int_equal(place_dir(p, &a, &e), 0);
    assert_int_equal(place_dir(p, &b, &e), 0);
    assert_int_equal(rename(tree_path(&to, "a"), tree_path(&to, "moved")), 0);
    assert_int_equal(symlink(outside.dir, tree_path(&to, "a")), 0);
    (void)!put_file(p, &file, "x", false, &e);
    (void)!put_file(p, &late, "x", false, &e);
    assert_int_equal(place_dir_finish(p, &a, &e), -1);
    tree_open_all(&outside);
    assert_string_equal(tree_list(&outside), "b\n");
}

static void
publishing_replaces_keeps_or_refuses(void **state)
{
    TREE(to);
    struct issues i;
    struct err e = { 0 };
    struct stat st;
    struct entry en = file_entry("f", 0644), folder = file_entry("folder", 0644);

    (void)state;
    tree_folder(&to, "folder");
    CLEANUP(place_close_p) struct place *p = place_for(&to, &i, OWNER_AUTO);
    assert_int_equal(put_file(p, &en, "one", true, &e), 0);
    assert_int_equal(put_file(p, &en, "the second", true, &e), 0);
    assert_int_equal(place_stat(p, en.path, &st, &e), 1);
    assert_int_equal(st.st_size, 3);
    assert_int_equal(put_file(p, &en, "the third", false, &e), 0);
    assert_int_equal(place_stat(p, en.path, &st, &e), 1);
    assert_int_equal(st.st_size, 9);
    assert_int_equal(put_file(p, &folder, "x", false, &e), -1);
    assert_int_equal(e.kind, ERR_EXISTS);
    assert_non_null(strstr(e.text, "folder"));
    tree_open_all(&to);
    assert_string_equal(tree_list(&to), "f\nfolder\n");
}

static void
a_discarded_file_leaves_nothing(void **state)
{
    TREE(to);
    struct issues i;
    struct err e = { 0 };
    struct entry en = file_entry("f", 0644);
    struct stat st;
    char hidden[32];
    int fd;

    (void)state;
    en.size = 1 << 30;
    CLEANUP(place_close_p) struct place *p = place_for(&to, &i, OWNER_AUTO);
    assert_int_equal(place_file_begin(p, &en, true, hidden, &fd, &e), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 1 << 30);
    assert_int_equal(st.st_mode & 07777, 0600); /* secret until it is finished */
    close(fd);
    place_discard(p, en.path, hidden);
    tree_open_all(&to);
    assert_string_equal(tree_list(&to), "");
}

static void
looking_finds_what_is_there(void **state)
{
    TREE(to);
    struct issues i;
    struct err e = { 0 };
    struct stat st;
    uint64_t bytes = 0, inodes = 0;
    int fd;

    (void)state;
    tree_write(&to, "a/f", "x");
    CLEANUP(place_close_p) struct place *p = place_for(&to, &i, OWNER_AUTO);
    assert_int_equal(place_stat(p, SLICE("a/f"), &st, &e), 1);
    assert_int_equal(place_stat(p, SLICE("a/g"), &st, &e), 0);
    assert_int_equal(place_stat(p, SLICE("b/c/g"), &st, &e), 0);
    assert_int_equal(e.kind, ERR_NONE);
    assert_int_equal(place_open_existing(p, SLICE("a/f"), &fd, &e), 0);
    close(fd);
    assert_int_equal(place_open_existing(p, SLICE("a/g"), &fd, &e), -1);
    assert_int_equal(e.kind, ERR_NOT_FOUND);
    assert_int_equal(place_open_existing(p, SLICE("a"), &fd, &e), -1);
    assert_int_equal(e.kind, ERR_EXISTS);
    assert_int_equal(place_space(p, &bytes, &inodes, &e), 0);
    assert_true(bytes > 0 && inodes > 0);
}

static void
a_folder_that_was_there_is_used_and_loses_what_it_had(void **state)
{
    (void)state;
    if (!tree_keeps_attributes())
        skip();
    TREE(to);
    struct issues i;
    struct err e = { 0 };
    struct stat st;
    struct entry en = folder_entry("d"), inside = file_entry("d/new", 0640);

    tree_write(&to, "d/kept", "x");
    set_attribute(&to, "d", "user.extra", "x", 1);
    set_attribute(&to, "d", "system.posix_acl_default", acl, sizeof acl);
    assert_int_equal(chmod(tree_path(&to, "d"), 0555), 0);
    CLEANUP(place_close_p) struct place *p = place_for(&to, &i, OWNER_AUTO);
    assert_int_equal(place_dir(p, &en, &e), 0);
    assert_int_equal(put_file(p, &inside, "x", false, &e), 0);
    assert_int_equal(place_dir_finish(p, &en, &e), 0);
    assert_int_equal(listxattr(tree_path(&to, "d"), NULL, 0), 0);
    assert_int_equal(listxattr(tree_path(&to, "d/new"), NULL, 0), 0);
    assert_int_equal(lstat(tree_path(&to, "d/new"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(lstat(tree_path(&to, "d"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(st.st_mtim.tv_sec, 1000000000);
    assert_true(is_there(&to, "d/kept"));
}

static void
what_needs_root_is_told_and_left_out(void **state)
{
    TREE(to);
    struct issues i;
    struct err e = { 0 };
    struct stat st;
    struct entry own, other, device;
    AUTOBUF struct buf xattrs = BUF(100);

    (void)state;
    bool root = geteuid() == 0;
    assert_int_equal(chmod(to.dir, 0777), 0);
    assert_true(!root || seteuid(NOBODY) == 0);
    own = file_entry("own", 0444);
    entry_xattr_put(&xattrs, SLICE("user.a"), SLICE("on a file not to be written"));
    own.xattrs = buf_slice(&xattrs);
    other = file_entry("other", 04755);
    other.uid = 4242;
    device = file_entry("device", 0600);
    device.type = ENTRY_CHAR;
    device.rdev = makedev(1, 3);
    struct place *p = place_for(&to, &i, OWNER_AUTO);
    assert_int_equal(put_file(p, &own, "x", false, &e), 0);
    assert_int_equal(i.count, 0);
    assert_int_equal(put_file(p, &other, "x", false, &e), 0);
    assert_int_equal(i.count, 2); /* the owner, and setuid for another */
    assert_int_equal(place_special(p, &device, &e), 0);
    assert_int_equal(i.count, 3);
    assert_true(!is_there(&to, "device"));
    place_close(p);
    p = place_for(&to, &i, OWNER_NUMERIC);
    assert_int_equal(put_file(p, &other, "x", false, &e), 0);
    assert_int_equal(i.count, 2);
    place_close(p);
    assert_true(!root || seteuid(0) == 0);
    assert_int_equal(lstat(tree_path(&to, "other"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
}

/* A program that was setuid for somebody must not become setuid root. */
static void
setuid_is_not_given_to_another_owner(void **state)
{
    TREE(to);
    struct issues i;
    struct err e = { 0 };
    struct stat st;
    struct entry en = file_entry("f", 04755);

    (void)state;
    en.uid = geteuid() + 1;
    CLEANUP(place_close_p) struct place *p = place_for(&to, &i, OWNER_SKIP);
    assert_int_equal(put_file(p, &en, "x", false, &e), 0);
    assert_int_equal(lstat(tree_path(&to, "f"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(st.st_uid, geteuid());
    assert_int_equal(i.count, 1);
}

static void
owners_go_by_name_where_it_exists(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    TREE(to);
    struct issues i;
    struct err e = { 0 };
    struct stat st;
    struct entry en = file_entry("f", 0644);

    en.uid = en.gid = 4242;
    en.user = SLICE("daemon");
    en.group = SLICE("no such group");
    struct place *p = place_for(&to, &i, OWNER_AUTO);
    assert_int_equal(put_file(p, &en, "x", false, &e), 0);
    assert_int_equal(lstat(tree_path(&to, "f"), &st), 0);
    assert_int_equal(st.st_uid, 1);
    assert_int_equal(st.st_gid, 4242);
    place_close(p);
    p = place_for(&to, &i, OWNER_NUMERIC);
    assert_int_equal(put_file(p, &en, "x", false, &e), 0);
    assert_int_equal(lstat(tree_path(&to, "f"), &st), 0);
    assert_int_equal(st.st_uid, 4242);
    place_close(p);
}

enum { THREADS = 4, FOLDERS = 60, FILES = 20 };

struct worker {
    struct place *place;
    unsigned number;
    pthread_t thread;
};

static void *
work(void *arg)
{
    struct worker *w = arg;
    struct err e = { 0 };
    char path[64];

    for (unsigned i = 0; i < FOLDERS * FILES; i++) {
        snprintf(path, sizeof path, "d%u/sub/%u-%u", i % FOLDERS, w->number, i);
        struct entry en = file_entry(path, 0644);
        if (put_file(w->place, &en, "x", false, &e) < 0)
            return w;
    }
    return NULL;
}

/* More folders than are kept open, so that threads open and close them. */
static void
threads_share_the_folders(void **state)
{
    TREE(to);
    struct issues i;
    struct err e = { 0 };
    struct worker w[THREADS];
    char path[64];
    unsigned lines = 0;

    (void)state;
    CLEANUP(place_close_p) struct place *p = place_for(&to, &i, OWNER_AUTO);
    for (unsigned d = 0; d < FOLDERS; d++) {
        snprintf(path, sizeof path, "d%u/sub", d);
        struct entry inner = folder_entry(path), outer = inner;
        outer.path.len -= 4;
        assert_int_equal(place_dir(p, &outer, &e), 0);
        assert_int_equal(place_dir(p, &inner, &e), 0);
    }
    for (unsigned k = 0; k < THREADS; k++) {
        w[k] = (struct worker){ .place = p, .number = k };
        assert_int_equal(pthread_create(&w[k].thread, NULL, work, &w[k]), 0);
    }
    for (unsigned k = 0; k < THREADS; k++) {
        void *failed;
        assert_int_equal(pthread_join(w[k].thread, &failed), 0);
        assert_null(failed);
    }
    tree_open_all(&to);
    for (const char *list = tree_list(&to); *list; list++)
        lines += *list == '\n';
    assert_int_equal(lines, 2 * FOLDERS + THREADS * FOLDERS * FILES);
    assert_int_equal(i.count, 0);
}

static int
run_all(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_and_odd_files_come_back_exactly),
        cmocka_unit_test(attributes_owners_and_devices_come_back_exactly),
        cmocka_unit_test(a_path_of_any_depth_comes_back),
        cmocka_unit_test(hard_links_are_one_inode_again),
        cmocka_unit_test(a_path_that_leads_out_is_refused),
        cmocka_unit_test(links_in_the_destination_are_not_followed),
        cmocka_unit_test(a_link_planted_meanwhile_leads_nowhere),
        cmocka_unit_test(publishing_replaces_keeps_or_refuses),
        cmocka_unit_test(a_discarded_file_leaves_nothing),
        cmocka_unit_test(looking_finds_what_is_there),
        cmocka_unit_test(a_folder_that_was_there_is_used_and_loses_what_it_had),
        cmocka_unit_test(what_needs_root_is_told_and_left_out),
        cmocka_unit_test(setuid_is_not_given_to_another_owner),
        cmocka_unit_test(owners_go_by_name_where_it_exists),
        cmocka_unit_test(threads_share_the_folders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Makes openat2() fail as on an old kernel. */
static bool
forbid_openat2(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { COUNT_OF(code), code };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

int
main(void)
{
    int failed = run_all();

    if (forbid_openat2())
        failed += run_all();
    return failed;
}
