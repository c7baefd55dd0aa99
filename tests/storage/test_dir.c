/* What only a folder does; the rest is the contract of all storages. */
#include "storage/dir.h"

#include "base/fs.h"
#include "storage/open.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];

static int
make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/drtool-dir-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int
remove_root(void **state)
{
    struct err e;

    (void)state;
    return fs_remove_tree(root, &e);
}

static int
put(struct storage *s, const char *key, unsigned flags, struct err *e)
{
    struct body b = body_of(SLICE("0123456789"));

    return storage_put(s, key, &b, flags, e);
}

static void
make_file(const char *name)
{
    AUTOFREE char *path = fs_join(root, name);
    AUTOCLOSE int fd = open(path, O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
}

static int
note_key(void *arg, const struct object_info *o, struct err *e)
{
    (void)e;
    buf_printf(arg, "%s\n", o->key);
    return 0;
}

/* Files left by a killed put, and those of the disk's owner. */
static void
what_is_no_object_is_never_listed(void **state)
{
    CLEANUP(storage_close_p) struct storage *s = storage_dir(root);
    AUTOBUF struct buf out = BUF(1000);
    AUTOFREE char *sub = fs_join(root, "lost+found"), *link = fs_join(root, "loop");
    struct err e = { 0 };

    (void)state;
    assert_int_equal(put(s, "pack/1", 0, &e), 0);
    make_file(".tmp-0123456789abcdef");
    make_file("pack/.tmp-0123456789abcdef");
    make_file("Thumbs.db");
    make_file("with blank");
    assert_int_equal(mkdir(sub, 0000), 0);
    assert_int_equal(symlink(".", link), 0); /* ends where keys end */
    assert_int_equal(storage_list(s, "pack", note_key, &out, &e), 0);
    assert_string_equal(buf_cstr(&out), "pack/1\n");
    unlink(link);
    buf_clear(&out);
    assert_int_equal(storage_list(s, "", note_key, &out, &e), 0);
    assert_string_equal(buf_cstr(&out), "pack/1\n");
}

/* A sealed file below root, as a body. */
static struct body
sealed_file(const char *name)
{
    AUTOFREE char *path = fs_join(root, name);
    struct body b = body_of(SLICE("0123456789"));
    struct err e = { 0 };

    assert_int_equal(fs_replace(path, b.data, 0600, &e), 0);
    b.fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(b.fd >= 0);
    b.sealed = true;
    return b;
}

static struct stat
look_at(const char *name)
{
    AUTOFREE char *path = fs_join(root, name);
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st;
}

static void
a_sealed_file_is_linked_once(void **state)
{
    AUTOFREE char *to = fs_join(root, "a"), *other = fs_join(root, "b");
    struct body b = sealed_file("sealed");
    AUTOCLOSE int fd = b.fd;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(mkdir(to, 0700), 0);
    assert_int_equal(mkdir(other, 0700), 0);
    CLEANUP(storage_close_p) struct storage *s = storage_dir(to);
    CLEANUP(storage_close_p) struct storage *s2 = storage_dir(other);
    assert_int_equal(storage_put(s, "pack/1", &b, PUT_IF_ABSENT, &e), 0);
    assert_int_equal(storage_put(s2, "pack/1", &b, 0, &e), 0);
    assert_int_equal(look_at("a/pack/1").st_ino, look_at("sealed").st_ino);
    assert_int_equal(look_at("a/pack/1").st_nlink, 2);
    assert_int_equal(look_at("a/pack/1").st_mode & 0777, 0640);
    assert_int_equal(look_at("b/pack/1").st_nlink, 1);
    assert_int_equal(look_at("b/pack/1").st_size, 10);
}

/* What is not sealed, or is not what was announced, or would miss the rights that
 * its folder gives, is copied. */
static void
other_files_are_copied(void **state)
{
    AUTOFREE char *to = fs_join(root, "a"), *shared = fs_join(root, "a/shared");
    struct body b = sealed_file("sealed");
    AUTOCLOSE int fd = b.fd;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(mkdir(to, 0700), 0);
    assert_int_equal(mkdir(shared, 0700), 0);
    assert_int_equal(chmod(shared, 02770), 0);
    CLEANUP(storage_close_p) struct storage *s = storage_dir(to);
    assert_int_equal(storage_put(s, "shared/1", &b, 0, &e), 0);
    assert_int_equal(look_at("a/shared/1").st_nlink, 1);
    b.sealed = false;
    assert_int_equal(storage_put(s, "1", &b, 0, &e), 0);
    assert_int_equal(look_at("a/1").st_nlink, 1);
    b.sealed = true;
    b.size = 9; /* the file has more */
    assert_int_equal(storage_put(s, "2", &b, 0, &e), -1);
    assert_int_equal(e.kind, ERR_CORRUPT);
}

/* An unmounted disk must not be taken for an empty one, nor be filled. */
static void
a_missing_folder_is_unavailable_and_not_made(void **state)
{
    AUTOFREE char *path = fs_join(root, "not/mounted");
    CLEANUP(storage_close_p) struct storage *s = storage_dir(path);
    AUTOBUF struct buf out = BUF(100);
    const char *const key = "a";
    struct range r = { .key = key };
    struct object_info o;
    int64_t now_s;

    (void)state;
    for (int call = 0; call < 6; call++) {
        struct err e = { 0 };
        int rc = call == 0 ? put(s, key, 0, &e)
               : call == 1 ? storage_get(s, &r, &out, &e)
               : call == 2 ? storage_head(s, key, &o, &e)
               : call == 3 ? storage_list(s, "", note_key, &out, &e)
               : call == 4 ? storage_remove(s, &key, 1, &e)
                           : storage_now(s, &now_s, &e);
        assert_int_equal(rc, -1);
        assert_int_equal(e.kind, ERR_UNAVAIL);
        assert_non_null(strstr(e.text, "mount its disk, or create the folder"));
    }
    assert_int_equal(access(path, F_OK), -1);
}

static void
a_failed_put_leaves_no_file_behind(void **state)
{
    CLEANUP(storage_close_p) struct storage *s = storage_dir(root);
    struct body b = body_of(SLICE("0123456789"));
    struct err e = { 0 };
    int files = 0;

    (void)state;
    b.sha256[0] ^= 1;
    assert_int_equal(storage_put(s, "a", &b, 0, &e), -1);
    assert_int_equal(put(s, "b", 0, &e), 0);
    assert_int_equal(put(s, "b", PUT_IF_ABSENT, &e), -1);
    DIR *d = opendir(root);
    assert_non_null(d);
    while (readdir(d))
        files++;
    closedir(d);
    assert_int_equal(files, 3); /* ".", "..", "b" */
}

static int
check_whole(void *arg, const struct object_info *o, struct err *e)
{
    (void)e;
    ++*(int *)arg;
    assert_int_equal(o->size, (uint64_t)8 << 20);
    return 0;
}

static void
put_until_killed(void)
{
    struct storage *s = storage_dir(root);
    AUTOFREE uint8_t *data = mem_zalloc((size_t)8 << 20);
    struct body b = body_of(slice_of(data, (size_t)8 << 20));
    char key[32];
    struct err e;

    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "pack/%02d/%02d", i % 10, i);
        if (storage_put(s, key, &b, 0, &e) < 0)
            _exit(1);
    }
}

static void
a_killed_put_leaves_whole_objects_or_none(void **state)
{
    CLEANUP(storage_close_p) struct storage *s = storage_dir(root);
    struct err e = { 0 };
    int count = 0, status;

    (void)state;
    for (int i = 0; i < 5; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            put_until_killed();
            _exit(0);
        }
        usleep((useconds_t)(15000 + i * 17000));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(storage_list(s, "", check_whole, &count, &e), 0);
    }
}

/* Root may do everything, so this needs another user. */
static void
a_folder_without_rights_is_denied(void **state)
{
    AUTOBUF struct buf out = BUF(100);
    int status;

    (void)state;
    assert_int_equal(chmod(root, 0555), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct err e = { 0 };
        if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
            _exit(1);
        struct storage *s = storage_dir(root);
        int64_t now_s = 0;
        if (put(s, "a", 0, &e) == 0 || e.kind != ERR_DENIED)
            _exit(2);
        if (storage_now(s, &now_s, &e) < 0 || now_s == 0)
            _exit(3); /* what may only be read can be restored from */
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void
a_full_disk_is_full(void **state)
{
    CLEANUP(storage_close_p) struct storage *s = storage_dir("/dev");
    struct err e = { 0 };
    struct range r = { .key = "full" };
    AUTOBUF struct buf out = BUF(100);

    (void)state;
    /* a device is no object, whatever its name */
    assert_int_equal(storage_get(s, &r, &out, &e), -1);
    assert_int_equal(e.kind, ERR_NOT_FOUND);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) { /* a file may not grow beyond this: the nearest to a full disk */
        struct rlimit small = { 4, 4 };
        struct storage *t = storage_dir(root);
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &small);
        _exit(put(t, "a", 0, &e) < 0 && e.kind == ERR_FULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void
a_target_is_opened_by_its_url_and_made_only_when_asked(void **state)
{
    AUTOFREE char *url = mem_printf("file://%s/new%%20disk/shop/", root);
    AUTOFREE char *path = fs_join(root, "new disk/shop/a");
    char name[] = "nas";
    struct conf_target t = { .name = name, .url = url };
    CLEANUP(storage_close_p) struct storage *s = NULL;
    struct err e = { 0 };

    (void)state;
    assert_int_equal(storage_create(&t, &e), 0);
    assert_int_equal(storage_create(&t, &e), 0);
    assert_int_equal(storage_open(&t, NULL, &s, &e), 0);
    assert_int_equal(put(s, "a", 0, &e), 0);
    assert_int_equal(access(path, F_OK), 0);
}

static void
a_url_that_is_no_target_is_told(void **state)
{
    static const char *const bad[] = { "ftp://h/x", "/mnt/nas", "file://mnt/nas",
                                       "file://", "s3://b:90/x" };
    char name[] = "nas";

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        AUTOFREE char *url = mem_strdup(bad[i]);
        struct conf_target t = { .name = name, .url = url };
        struct storage *s = NULL;
        struct err e = { 0 };
        assert_int_equal(storage_open(&t, NULL, &s, &e), -1);
        assert_int_equal(e.kind, ERR_USAGE);
        assert_non_null(strstr(err_text(&e), "target nas"));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_no_object_is_never_listed, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(a_sealed_file_is_linked_once, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(other_files_are_copied, make_root, remove_root),
        cmocka_unit_test_setup_teardown(a_missing_folder_is_unavailable_and_not_made,
                                        make_root, remove_root),
        cmocka_unit_test_setup_teardown(a_failed_put_leaves_no_file_behind, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(a_killed_put_leaves_whole_objects_or_none,
                                        make_root, remove_root),
        cmocka_unit_test_setup_teardown(a_folder_without_rights_is_denied, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(a_full_disk_is_full, make_root, remove_root),
        cmocka_unit_test_setup_teardown(
            a_target_is_opened_by_its_url_and_made_only_when_asked, make_root,
            remove_root),
        cmocka_unit_test(a_url_that_is_no_target_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
