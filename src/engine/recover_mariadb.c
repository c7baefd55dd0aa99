/* A MariaDB server's folder: its files become one moment by mariadb-backup. */
#include "recover_impl.h"

#include "base/fs.h"
#include "base/log.h"
#include "source/facts.h"
#include "source/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <unistd.h>

static int
check(const struct recover_options *o, bool begun, struct err *e)
{
    (void)begun;
    if (o->tablespaces)
        return err_set(e, ERR_USAGE, 0, "--tablespace is for a PostgreSQL server");
    if (o->point.to != TO_SNAPSHOT || o->point.no_archive)
        return err_set(e, ERR_USAGE, 0,
                       "a point in time, and --no-archive, are for a PostgreSQL server");
    if (o->no_prepare)
        return 0;
    return prepare_check(facts_get(buf_slice(&o->restore.snapshot->facts), "version"), e);
}

/* What the tool made anew belongs to whom it ran as. */
static int
give_all_away(const char *path, const struct stat *owner, struct err *e)
{
    char *const paths[] = { (char *)(uintptr_t)path, NULL };
    FTS *walk = geteuid() == 0 ? fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL) : NULL;
    int rc = 0;

    if (!walk)
        return geteuid() == 0 ? err_sys(e, errno, "looking into %s", path) : 0;
    for (const FTSENT *x; rc == 0 && (x = fts_read(walk));) {
        if (x->fts_info == FTS_DP)
            continue;
        if (x->fts_info == FTS_ERR || x->fts_info == FTS_DNR || x->fts_info == FTS_NS)
            rc = err_sys(e, x->fts_errno, "looking at %s", x->fts_path);
        else if ((x->fts_statp->st_uid != owner->st_uid
                  || x->fts_statp->st_gid != owner->st_gid)
                 && lchown(x->fts_path, owner->st_uid, owner->st_gid) < 0)
            rc = err_sys(e, errno, "setting the owner of %s", x->fts_path);
    }
    fts_close(walk);
    return rc;
}

static int
prepare(struct repo *r, const struct recover_options *o, const struct stat *owner,
        struct restore_result *sum, struct err *e)
{
    const char *to = o->restore.to;

    (void)r;
    if (recover_incomplete(sum)) /* it would make the best of what is left */
        return 0;
    if (o->no_prepare) {
        log_note("run `mariadb-backup --prepare --target-dir=%s` before a server is "
                 "started on it",
                 to);
        return 0;
    }
    log_note("%s is prepared by mariadb-backup", to);
    if (prepare_run(to, e) < 0 || give_all_away(to, owner, e) < 0)
        return -1;
    AUTOCLOSE int dir = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 || syncfs(dir) < 0 ? err_sys(e, errno, "syncing %s", to) : 0;
}

static const char *const *
later(const struct recover_options *o)
{
    static const char *const all[] = { "/mysql/db.frm", NULL };

    (void)o;
    return all;
}

const struct recovery recovery_mariadb = {
    .kind = "mariadb",
    .later = later,
    .last = "mysql/db.frm", /* of a table of privileges that every server opens first */
    .owner = "aria_log_control",
    .check = check,
    .finish = prepare,
    .anew = true,
};
