/* A PostgreSQL server's folder: tablespaces go to places of their own. */
#include "recover_impl.h"

#include "base/fs.h"
#include "base/log.h"
#include "source/facts.h"

#include "recover_point.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SPACE "tablespace/" /* of a fact's name, before the number */

/* One fact after the other that tells of a tablespace. */
static bool
next_space(struct slice *facts, const char **number, const char **was)
{
    const char *name;

    while (facts_next(facts, &name, was)) {
        if (strncmp(name, SPACE, strlen(SPACE)) != 0)
            continue;
        *number = name + strlen(SPACE);
        size_t digits = strspn(*number, "0123456789"); /* it becomes part of a path */
        if (digits > 0 && !(*number)[digits])
            return true;
    }
    return false;
}

/* Is it "A=B" with this A? Then B. */
static const char *
mapped_to(const char *map, const char *a)
{
    size_t len = strlen(a);

    return strncmp(map, a, len) == 0 && map[len] == '=' ? map + len + 1 : NULL;
}

/* The folder of the tablespaces that were not told where to go. */
static char *
beside(const struct recover_options *o)
{
    AUTOFREE char *to = fs_absolute(o->restore.to);

    return mem_printf("%s-tablespaces", to);
}

/* Where a tablespace goes; absolute, and freed by the caller. */
static char *
place_of(const struct recover_options *o, const char *number, const char *was)
{
    AUTOFREE char *otherwise = beside(o);
    const char *where = NULL;

    for (size_t i = 0; o->tablespaces && o->tablespaces[i] && !where; i++) {
        where = mapped_to(o->tablespaces[i], number);
        if (!where)
            where = mapped_to(o->tablespaces[i], was);
    }
    return where ? fs_absolute(where) : fs_join(otherwise, number);
}

static int
check_map(const struct recover_options *o, const char *map, struct err *e)
{
    struct slice facts = buf_slice(&o->restore.snapshot->facts);
    const char *number, *was, *to = NULL;

    while (!to && next_space(&facts, &number, &was)) {
        to = mapped_to(map, number);
        if (!to)
            to = mapped_to(map, was);
    }
    return to && to[0] ? 0
                       : err_set(e, ERR_USAGE, 0,
                                 "the snapshot has no tablespace for %s: name it by its "
                                 "number or by where it was, as in 16385=/srv/space",
                                 map);
}

/* Nothing is written before all places are known to be good. */
static int
check(const struct recover_options *o, bool begun, struct err *e)
{
    struct slice facts = buf_slice(&o->restore.snapshot->facts);
    const char *number, *was;

    for (size_t i = 0; o->tablespaces && o->tablespaces[i]; i++)
        if (check_map(o, o->tablespaces[i], e) < 0)
            return -1;
    if (o->no_prepare)
        return err_set(e, ERR_USAGE, 0, "--no-prepare is for a MariaDB server");
    while (!begun && next_space(&facts, &number, &was)) {
        AUTOFREE char *place = place_of(o, number, was);
        if (recover_check_empty(place, e) < 0)
            return -1;
    }
    return 0;
}

static int
restore_space(struct repo *r, const struct recover_options *o, const char *number,
              const char *was, const struct stat *owner, struct restore_result *sum,
              struct err *e)
{
    AUTOFREE char *place = place_of(o, number, was);
    AUTOFREE char *above = beside(o);
    AUTOFREE char *path = mem_printf("pg_tblspc/%s/", number);
    AUTOFREE char *name = mem_printf("pg_tblspc/%s", number);
    AUTOFREE char *link = fs_join(o->restore.to, name);
    const char *const paths[] = { path, NULL };
    struct restore_options ro = o->restore;
    struct restore_result one;

    ro.paths = paths;
    ro.to = place;
    if (entry_below(slice_str(place), slice_str(above))
        && (fs_mkdirs(above, 0700, e) < 0 || recover_give_away(above, owner, e) < 0))
        return -1;
    if (engine_restore(r, &ro, &one, e) < 0)
        return -1;
    recover_add(sum, &one);
    if (recover_give_away(place, owner, e) < 0)
        return -1;
    if (symlink(place, link) < 0 && errno != EEXIST)
        return err_sys(e, errno, "linking %s to %s", link, place);
    if (geteuid() == 0 && lchown(link, owner->st_uid, owner->st_gid) < 0)
        return err_sys(e, errno, "setting the owner of %s", link);
    log_note("tablespace %s, which was at %s, is at %s", number, was, place);
    return 0;
}

static int
write_point(const struct recover_options *o, const struct stat *owner, struct err *e)
{
    static const char *const files[] = { "postgresql.auto.conf", "recovery.signal" };

    if (recover_write_point(o->restore.to, &o->point, e) < 0)
        return -1;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        AUTOFREE char *path = fs_join(o->restore.to, files[i]);
        if (geteuid() == 0 && access(path, F_OK) == 0
            && lchown(path, owner->st_uid, owner->st_gid) < 0)
            return err_sys(e, errno, "setting the owner of %s", path);
    }
    return 0;
}

static int
finish(struct repo *r, const struct recover_options *o, const struct stat *owner,
       struct restore_result *sum, struct err *e)
{
    struct slice facts = buf_slice(&o->restore.snapshot->facts);
    const char *number, *was;

    while (next_space(&facts, &number, &was))
        if (restore_space(r, o, number, was, owner, sum, e) < 0)
            return -1;
    return write_point(o, owner, e);
}

static const char *const *
later(const struct recover_options *o)
{
    static const char *const all[] = { "/pg_tblspc/*", "/global/pg_control",
                                       RECOVER_SIGNALS, NULL };
    static const char *const as_it_was[] = { "/pg_tblspc/*", "/global/pg_control", NULL };

    return o->point.to == TO_SNAPSHOT ? as_it_was : all;
}

const struct recovery recovery_postgres = {
    .kind = "postgres",
    .later = later,
    .last = "global/pg_control",
    .owner = "PG_VERSION",
    .check = check,
    .finish = finish,
};
