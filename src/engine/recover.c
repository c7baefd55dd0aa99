#include "engine/recover.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/text.h"
#include "source/facts.h"

#include "recover_point.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPACE "tablespace/" /* of a fact's name, before the number */

bool
engine_recovers(const struct snapshot *s)
{
    return strcmp(s->kind, "postgres") == 0;
}

static int
check_empty(const char *path, struct err *e)
{
    DIR *d = opendir(path);
    const struct dirent *x;
    bool empty = true;

    if (!d && errno == ENOENT)
        return 0;
    if (!d)
        return err_sys(e, errno, "looking into %s", path);
    while (empty && (x = readdir(d)))
        empty = strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0;
    closedir(d);
    return empty ? 0
                 : err_set(e, ERR_EXISTS, 0,
                           "%s is not empty; a server's folder is restored into an "
                           "empty one only",
                           path);
}

/* Did an earlier run begin to restore this very snapshot there? It goes on then. */
static bool
was_begun(const char *mark, const char *id)
{
    AUTOBUF struct buf text = BUF(64);
    struct err none = { 0 };

    return fs_read(mark, 64, &text, &none) == 0
        && slice_equal(buf_slice(&text), slice_str(id));
}

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
    if (begun)
        return 0;
    if (check_empty(o->restore.to, e) < 0)
        return -1;
    while (next_space(&facts, &number, &was)) {
        AUTOFREE char *place = place_of(o, number, was);
        if (check_empty(place, e) < 0)
            return -1;
    }
    return 0;
}

static void
add_result(struct restore_result *sum, const struct restore_result *one)
{
    sum->entries += one->entries;
    sum->files += one->files;
    sum->bytes += one->bytes;
    sum->reused += one->reused;
    sum->damaged += one->damaged;
    sum->not_set += one->not_set;
    sum->kept += one->kept;
    sum->blocked += one->blocked;
    sum->elapsed_ms += one->elapsed_ms;
}

/* The folder itself is no entry: it belongs to whom its files belong to. */
static int
give_away(const char *path, const struct stat *owner, struct err *e)
{
    if (chmod(path, 0700) < 0
        || (geteuid() == 0 && lchown(path, owner->st_uid, owner->st_gid) < 0))
        return err_sys(e, errno, "setting the owner of %s", path);
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
        && (fs_mkdirs(above, 0700, e) < 0 || give_away(above, owner, e) < 0))
        return -1;
    if (engine_restore(r, &ro, &one, e) < 0)
        return -1;
    add_result(sum, &one);
    if (give_away(place, owner, e) < 0)
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
    for (size_t i = 0; i < COUNT_OF(files) && o->point.to != TO_SNAPSHOT; i++) {
        AUTOFREE char *path = fs_join(o->restore.to, files[i]);
        if (geteuid() == 0 && lchown(path, owner->st_uid, owner->st_gid) < 0)
            return err_sys(e, errno, "setting the owner of %s", path);
    }
    return 0;
}

/* All of it, the control file last: without that no server starts on the folder. */
static int
restore_all(struct repo *r, const struct recover_options *o,
            struct restore_result *result, struct err *e)
{
    static const char *const later[] = { "/pg_tblspc/*", "/global/pg_control", NULL };
    static const char *const replays[] = { "/pg_tblspc/*", "/global/pg_control",
                                           RECOVER_SIGNALS, NULL };
    static const char *const control[] = { "global/pg_control", NULL };
    struct slice facts = buf_slice(&o->restore.snapshot->facts);
    struct restore_options ro = o->restore;
    AUTOFREE char *version = fs_join(ro.to, "PG_VERSION");
    const char *number, *was;
    struct restore_result last;
    struct stat owner;

    ro.exclude = o->point.to == TO_SNAPSHOT ? later : replays;
    if (engine_restore(r, &ro, result, e) < 0)
        return -1;
    if (stat(version, &owner) < 0)
        return err_sys(e, errno, "looking at %s", version);
    if (give_away(ro.to, &owner, e) < 0)
        return -1;
    while (next_space(&facts, &number, &was))
        if (restore_space(r, o, number, was, &owner, result, e) < 0)
            return -1;
    if (result->damaged + result->blocked > 0)
        return 0;
    if (write_point(o, &owner, e) < 0)
        return -1;
    ro.exclude = NULL;
    ro.paths = control;
    if (engine_restore(r, &ro, &last, e) < 0)
        return -1;
    add_result(result, &last);
    return 0;
}

int
engine_recover(struct repo *r, const struct recover_options *o,
               struct restore_result *result, struct err *e)
{
    AUTOFREE char *mark = fs_join(o->restore.to, ".drtool-restoring");
    char id[65];

    text_hex(id, o->restore.snapshot->id, 32);
    if (check(o, was_begun(mark, id), e) < 0 || fs_mkdirs(o->restore.to, 0700, e) < 0
        || fs_replace(mark, slice_str(id), 0600, e) < 0
        || restore_all(r, o, result, e) < 0)
        return -1;
    if (result->damaged + result->blocked > 0)
        return 0;
    if (unlink(mark) < 0)
        return err_sys(e, errno, "removing %s", mark);
    return fs_sync_dir(o->restore.to, e);
}
