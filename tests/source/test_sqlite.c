/* A database is copied whole and consistent, whoever writes to it meanwhile. */
#include "base/cancel.h"
#include "source/source.h"
#include "support/fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROWS 2000
#define SMALL_PAGES "PRAGMA page_size=512;" /* so that the copy takes several steps */

struct run {
    struct folder folder;
    char *path;
    struct conf_source conf;
    struct source *source;
    struct entry en;
    struct buf content;
    struct err e;
};

static void
run_init(struct run *r)
{
    static char name[] = "app";

    *r = (struct run){ .content = BUF(64 << 20) };
    folder_make(&r->folder);
    r->path = folder_path(&r->folder, "app.db");
    r->conf = (struct conf_source){ .name = name,
                                    .kind = SOURCE_SQLITE,
                                    .sqlite = { .path = r->path, .count_rows = true } };
}

static void
run_release(struct run *r)
{
    source_close(r->source);
    buf_release(&r->content);
    mem_free(r->path);
    folder_remove(&r->folder);
}

#define RUN(name)                         \
    CLEANUP(run_release) struct run name; \
    run_init(&name)

static void
exec(sqlite3 *db, const char *script)
{
    if (sqlite3_exec(db, script, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", script, sqlite3_errmsg(db));
}

static sqlite3 *
open_db(const char *path)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 30000);
    return db;
}

static int64_t
number(sqlite3 *db, const char *query)
{
    sqlite3_stmt *st = NULL;

    assert_int_equal(sqlite3_prepare_v2(db, query, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

/* A total, and rows that add up to it. */
static void
make_ledger(const char *path, const char *setup)
{
    sqlite3 *db = open_db(path);

    exec(db, setup);
    exec(db, "CREATE TABLE total(n INT); INSERT INTO total VALUES(0);"
             "CREATE TABLE entry(id INTEGER PRIMARY KEY, n INT, fill BLOB)");
    exec(db, "BEGIN");
    for (int i = 0; i < ROWS; i++)
        exec(db, "INSERT INTO entry(n,fill) VALUES(1,randomblob(1000));"
                 "UPDATE total SET n=n+1");
    exec(db, "COMMIT");
    sqlite3_close(db);
}

/* Writes transactions without end; `count` of them. */
static pid_t
start_writer(const char *path, atomic_uint *count)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    sqlite3 *db = open_db(path);
    exec(db, "PRAGMA synchronous=OFF");
    for (;;) {
        exec(db, "BEGIN IMMEDIATE;"
                 "UPDATE entry SET fill=randomblob(1000) WHERE id=1+abs(random()%2000);"
                 "INSERT INTO entry(n,fill) VALUES(7,randomblob(10));"
                 "UPDATE total SET n=n+7; COMMIT");
        atomic_fetch_add(count, 1);
    }
}

static void
stop(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int
begin(struct run *r)
{
    struct source_options o = { .tmp_dir = r->folder.path };

    source_close(TAKE(r->source));
    if (source_open(&r->conf, &o, &r->source, &r->e) < 0)
        return -1;
    return source_next(r->source, &r->en, &r->e);
}

/* Reads the copy into the file `name` of the folder. */
static char *
take_copy(struct run *r, const char *name)
{
    uint8_t block[100000];
    size_t got;
    uint64_t hole;
    bool changed;

    assert_ok(begin(r), &r->e);
    assert_int_equal(source_describe(r->source, &r->en, &r->e), 1);
    assert_int_equal(source_read_begin(r->source, &r->en, &r->e), 1);
    buf_clear(&r->content);
    do {
        assert_ok(source_read(r->source, block, sizeof block, &got, &hole, &r->e), &r->e);
        assert_int_equal(hole, 0);
        buf_put(&r->content, block, got);
    } while (got > 0);
    assert_ok(source_read_end(r->source, &changed, &r->e), &r->e);
    assert_false(changed);
    assert_int_equal(r->content.len, r->en.size);
    assert_int_equal(source_next(r->source, &r->en, &r->e), 0);
    folder_write(&r->folder, name, buf_slice(&r->content));
    return folder_path(&r->folder, name);
}

static void
check_ledger(const char *path)
{
    sqlite3 *db = open_db(path);

    assert_int_equal(number(db, "SELECT count(*) FROM pragma_integrity_check"
                                " WHERE integrity_check='ok'"),
                     1);
    assert_int_equal(number(db, "SELECT n FROM total"),
                     number(db, "SELECT sum(n) FROM entry"));
    sqlite3_close(db);
}

static void
copy_beside_a_writer(const char *setup)
{
    RUN(r);
    atomic_uint *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    make_ledger(r.path, setup);
    pid_t writer = start_writer(r.path, count);
    while (*count == 0)
        usleep(1000);
    for (int i = 0; i < 5; i++) {
        unsigned before = *count;
        AUTOFREE char *copy = take_copy(&r, "copy.db");
        check_ledger(copy);
        while (*count < before + 2) /* it goes on */
            usleep(1000);
    }
    stop(writer);
    munmap(count, 4096);
}

static void
a_copy_beside_a_writer_with_a_log_is_one_moment(void **state)
{
    (void)state;
    copy_beside_a_writer("PRAGMA journal_mode=WAL");
}

/* It never pauses, so in the end it is held up. */
static void
a_copy_beside_a_writer_without_a_log_is_one_moment(void **state)
{
    (void)state;
    copy_beside_a_writer(SMALL_PAGES "PRAGMA journal_mode=DELETE");
}

static void
the_entry_is_the_database_with_its_owner(void **state)
{
    struct stat st;
    RUN(r);

    (void)state;
    make_ledger(r.path, "PRAGMA journal_mode=WAL");
    assert_int_equal(chmod(r.path, 0640), 0);
    assert_int_equal(stat(r.path, &st), 0);
    assert_int_equal(begin(&r), 1);
    assert_true(slice_equal(r.en.path, SLICE("app.db")));
    assert_int_equal(r.en.type, ENTRY_FILE);
    assert_int_equal(r.en.mode, 0640);
    assert_int_equal(r.en.uid, st.st_uid);
    assert_int_equal(r.en.mtime_s, st.st_mtim.tv_sec);
    assert_string_equal(source_identity(r.source), r.path);
    assert_int_equal(source_traits(r.source), SOURCE_WHOLE | SOURCE_PAGED);
}

static void
its_facts_are_told(void **state)
{
    RUN(r);
    RUN(plain);

    (void)state;
    make_ledger(r.path, "PRAGMA journal_mode=WAL; CREATE TABLE \"odd \"\"name\"(x)");
    assert_int_equal(begin(&r), 1);
    struct slice facts = source_facts(r.source);
    AUTOFREE char *bytes = mem_printf("%llu", (unsigned long long)r.en.size);
    assert_string_equal(facts_get(facts, "bytes"), bytes);
    assert_string_equal(facts_get(facts, "relations"), "3");
    assert_string_equal(facts_get(facts, "rows/entry"), "2000");
    assert_string_equal(facts_get(facts, "rows/odd \"name"), "0");
    assert_null(facts_get(facts, "rows/none"));
    make_ledger(plain.path, "PRAGMA journal_mode=WAL");
    plain.conf.sqlite.count_rows = false;
    assert_int_equal(begin(&plain), 1);
    assert_null(facts_get(source_facts(plain.source), "rows/entry"));
}

/* Its bytes would all have good hashes. */
static void
a_damaged_database_is_no_source(void **state)
{
    static const uint8_t noise[4096] = { 1, 2, 3 };
    RUN(r);

    (void)state;
    make_ledger(r.path, "PRAGMA journal_mode=DELETE");
    AUTOCLOSE int fd = open(r.path, O_WRONLY | O_CLOEXEC);
    for (off_t page = 20; page < 30; page++)
        assert_int_equal(pwrite(fd, noise, sizeof noise, page * 4096), sizeof noise);
    assert_int_equal(begin(&r), -1);
    assert_int_equal(r.e.kind, ERR_SOURCE);
    assert_non_null(strstr(r.e.text, "is damaged: quick_check: "));
}

static void
what_is_no_database_is_told(void **state)
{
    RUN(r);

    (void)state;
    assert_int_equal(begin(&r), -1);
    assert_int_equal(r.e.kind, ERR_SOURCE);
    assert_non_null(strstr(r.e.text, "No such file"));
    folder_write(&r.folder, "app.db", SLICE(""));
    assert_int_equal(begin(&r), -1);
    assert_int_equal(r.e.kind, ERR_SOURCE);
    assert_non_null(strstr(r.e.text, "is empty"));
    r.conf.allow_empty = true;
    r.e = (struct err){ 0 };
    assert_int_equal(begin(&r), 1);
    folder_write(&r.folder, "app.db",
                 SLICE("this is a text, and a long one: 0123456789"));
    assert_int_equal(begin(&r), -1);
    assert_int_equal(r.e.kind, ERR_SOURCE);
    assert_non_null(strstr(r.e.text, "file is not a database"));
    assert_int_equal(unlink(r.path), 0);
    assert_int_equal(mkdir(r.path, 0755), 0);
    r.e = (struct err){ 0 };
    assert_int_equal(begin(&r), -1);
    assert_non_null(strstr(r.e.text, "is no file"));
}

static void
nothing_is_left_of_the_copy(void **state)
{
    RUN(r);

    (void)state;
    make_ledger(r.path, "PRAGMA journal_mode=WAL");
    folder_write(&r.folder, "copy-app/left by a kill", SLICE("x"));
    AUTOFREE char *copy = take_copy(&r, "copy.db");
    AUTOFREE char *dir = folder_path(&r.folder, "copy-app");
    assert_int_equal(access(dir, F_OK), -1);
}

/* Somebody holds the database in a transaction of hours. The last test: a request to
 * end is not taken back. */
static void
waiting_for_a_lock_can_be_cancelled(void **state)
{
    RUN(r);

    (void)state;
    make_ledger(r.path, "PRAGMA journal_mode=DELETE");
    sqlite3 *db = open_db(r.path);
    exec(db, "BEGIN EXCLUSIVE");
    cancel_request();
    assert_int_equal(begin(&r), -1);
    assert_int_equal(r.e.kind, ERR_CANCELLED);
    sqlite3_close(db);
}

int
main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_beside_a_writer_with_a_log_is_one_moment),
        cmocka_unit_test(a_copy_beside_a_writer_without_a_log_is_one_moment),
        cmocka_unit_test(the_entry_is_the_database_with_its_owner),
        cmocka_unit_test(its_facts_are_told),
        cmocka_unit_test(a_damaged_database_is_no_source),
        cmocka_unit_test(what_is_no_database_is_told),
        cmocka_unit_test(nothing_is_left_of_the_copy),
        cmocka_unit_test(waiting_for_a_lock_can_be_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
