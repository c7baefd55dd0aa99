#include "recover_impl.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define MARK ".drtool-restoring" /* holds what is restored, and how far it came */
#define FINISHING " finishing"
#define MARK_MAX 1024

/* The one list of kinds that are recovered. */
static const struct recovery *const recoveries[] = { &recovery_postgres,
                                                     &recovery_mariadb };

static const struct recovery *
find(const struct snapshot *s)
{
    for (size_t i = 0; i < COUNT_OF(recoveries); i++)
        if (strcmp(s->kind, recoveries[i]->kind) == 0)
            return recoveries[i];
    return NULL;
}

bool
engine_recovers(const struct snapshot *s)
{
    return find(s) != NULL;
}

int
recover_check_empty(const char *path, struct err *e)
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

/* How far an earlier run came with this very snapshot there. */
enum stage { STAGE_NONE, STAGE_FILES, STAGE_FINISHING };

static enum stage
stage_of(const char *mark, const char *id)
{
    AUTOBUF struct buf text = BUF(MARK_MAX);
    AUTOFREE char *finishing = mem_printf("%s" FINISHING, id);
    struct err none = { 0 };

    if (fs_read(mark, MARK_MAX - 1, &text, &none) < 0)
        return STAGE_NONE;
    return slice_equal(buf_slice(&text), slice_str(id))        ? STAGE_FILES
         : slice_equal(buf_slice(&text), slice_str(finishing)) ? STAGE_FINISHING
                                                               : STAGE_NONE;
}

/* Removes all but the mark, which says that it is ours. */
static int
clear(const char *path, struct err *e)
{
    DIR *d = opendir(path);
    const struct dirent *x;
    int rc = 0;

    if (!d)
        return err_sys(e, errno, "looking into %s", path);
    while (rc == 0 && (x = readdir(d))) {
        AUTOFREE char *below = fs_join(path, x->d_name);
        if (strcmp(x->d_name, ".") != 0 && strcmp(x->d_name, "..") != 0
            && strcmp(x->d_name, MARK) != 0)
            rc = fs_remove_tree(below, e);
    }
    closedir(d);
    return rc;
}

void
recover_add(struct restore_result *sum, const struct restore_result *one)
{
    sum->entries += one->entries;
    sum->files += one->files;
    sum->bytes += one->bytes;
    sum->reused += one->reused;
    sum->damaged += one->damaged;
    sum->not_set += one->not_set;
    sum->kept += one->kept;
    sum->blocked += one->blocked;
}

int
recover_give_away(const char *path, const struct stat *owner, struct err *e)
{
    if (chmod(path, 0700) < 0
        || (geteuid() == 0 && lchown(path, owner->st_uid, owner->st_gid) < 0))
        return err_sys(e, errno, "setting the owner of %s", path);
    return 0;
}

/* All of it, the last file last. */
static int
restore_all(struct repo *r, const struct recover_options *o, const struct recovery *k,
            const char *mark, const char *id, struct restore_result *result,
            struct err *e)
{
    const char *const last[] = { k->last, NULL };
    struct restore_options ro = o->restore;
    AUTOFREE char *file = fs_join(ro.to, k->owner);
    AUTOFREE char *finishing = mem_printf("%s" FINISHING, id);
    struct restore_result one;
    struct stat owner;

    ro.exclude = k->later(o);
    if (engine_restore(r, &ro, result, e) < 0)
        return -1;
    if (stat(file, &owner) < 0)
        return recover_incomplete(result) ? 0 : err_sys(e, errno, "looking at %s", file);
    if (recover_give_away(ro.to, &owner, e) < 0
        || fs_replace(mark, slice_str(finishing), 0600, e) < 0
        || k->finish(r, o, &owner, result, e) < 0)
        return -1;
    if (recover_incomplete(result))
        return 0;
    ro.exclude = NULL;
    ro.paths = last;
    if (engine_restore(r, &ro, &one, e) < 0)
        return -1;
    recover_add(result, &one);
    return 0;
}

/* What is restored: an earlier run that was to come to another point left other
 * settings. Freed by the caller. */
static char *
name_of(const struct recover_options *o)
{
    const struct recover_point *p = &o->point;
    char id[65];

    text_hex(id, o->restore.snapshot->id, 32);
    return mem_printf("%s %d %.100s %.100s %d", id, (int)p->to, p->value ? p->value : "-",
                      p->timeline ? p->timeline : "-", p->no_archive);
}

int
engine_recover(struct repo *r, const struct recover_options *o,
               struct restore_result *result, struct err *e)
{
    const struct recovery *k = find(o->restore.snapshot);
    const char *to = o->restore.to;
    int64_t begun = clock_mono_ms();
    AUTOFREE char *mark = fs_join(to, MARK);
    AUTOFREE char *id = name_of(o);
    enum stage stage = stage_of(mark, id);
    if (k->check(o, stage != STAGE_NONE, e) < 0)
        return -1;
    if (stage == STAGE_NONE && recover_check_empty(to, e) < 0)
        return -1;
    if (stage == STAGE_FINISHING && k->anew && clear(to, e) < 0)
        return -1;
    if (fs_mkdirs(to, 0700, e) < 0 || fs_replace(mark, slice_str(id), 0600, e) < 0
        || restore_all(r, o, k, mark, id, result, e) < 0)
        return -1;
    result->elapsed_ms = clock_mono_ms() - begun;
    if (recover_incomplete(result))
        return 0;
    if (unlink(mark) < 0)
        return err_sys(e, errno, "removing %s", mark);
    return fs_sync_dir(to, e);
}
