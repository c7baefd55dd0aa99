#include "state/sorter.h"
#include "base/fs.h"

#include "sql.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct sorter {
    struct sql sql;
};

/* Nothing of it is to outlive a fault, so nothing is kept beside it or synced. */
static const char setup[] =
    "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE;"
    "PRAGMA cache_size=-4096;"
    "CREATE TABLE record(key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID; BEGIN";

int
sorter_new(const char *dir, struct sorter **out, struct err *e)
{
    CLEANUP(sorter_free_p) struct sorter *s = mem_zalloc(sizeof *s);
    AUTOFREE char *path = fs_join(dir, "sorter-XXXXXX");
    AUTOCLOSE int fd = mkostemp(path, O_CLOEXEC);

    if (fd < 0)
        return err_sys(e, errno, "creating a temporary file in %s", dir);
    int rc = sql_open(&s->sql, path, setup, e);
    unlink(path);
    if (rc < 0)
        return err_in(e, "sorting in %s", dir);
    *out = TAKE(s);
    return 0;
}

void
sorter_free(struct sorter *s)
{
    if (!s)
        return;
    sql_close(&s->sql);
    mem_free(s);
}

int
sorter_put(struct sorter *s, struct slice key, struct slice value, struct err *e)
{
    int rc = sql_run(&s->sql, "INSERT INTO record VALUES(?,?)", "bb", e, key, value);

    if (rc < 0 && sqlite3_errcode(s->sql.db) == SQLITE_CONSTRAINT)
        e->kind = ERR_EXISTS;
    return rc;
}

int
sorter_each(struct sorter *s, sorter_fn *fn, void *arg, struct err *e)
{
    sqlite3_stmt *st = sql_query(&s->sql, "SELECT key,value FROM record ORDER BY key", "",
                                 e);
    int rc = st ? sql_step(&s->sql, st, e) : -1;

    while (rc == 1)
        rc = fn(arg, sql_blob(st, 0), sql_blob(st, 1), e) < 0 ? -1
                                                              : sql_step(&s->sql, st, e);
    sql_end(st);
    return rc;
}
