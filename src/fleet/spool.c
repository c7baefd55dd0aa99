#include "base/fs.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"

#include "impl.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "pack/4f/4f02…" lies in the spool as "pack_4f_4f02…". */
char *
spool_path(const struct fleet *f, const char *key)
{
    char *path = fs_join(f->spool_dir, key);

    for (char *p = path + strlen(path) - strlen(key); *p; p++)
        if (*p == '/')
            *p = '_';
    return path;
}

/* The key that a file of the spool stands for; free it. */
static char *
key_of(const char *name)
{
    char *key = mem_strdup(name);

    for (char *p = key; *p; p++)
        if (*p == '_')
            *p = '/';
    return key;
}

char *
fleet_spool_tmp(struct fleet *f)
{
    uint64_t r;
    char tag[17];

    random_bytes(NULL, &r, sizeof r);
    text_hex(tag, &r, sizeof r);
    return mem_printf("%s/.tmp-%s", f->spool_dir, tag);
}

bool
fleet_holds(struct fleet *f, const char *key)
{
    AUTOFREE char *path = spool_path(f, key);
    unsigned waiting = 0;
    struct err ignored = { 0 };
    /* A file without a row is on its way to nobody: killed before it was queued. */
    bool held = access(path, R_OK) == 0
             && state_queue_waiting(f->state, key, &waiting, &ignored) == 0
             && waiting > 0;

    for (size_t i = 0; i < f->count && !held; i++) {
        struct object_info info;
        struct err none = { 0 };
        held = target_is_up(f, &f->targets[i])
            && storage_head(f->targets[i].store, key, &info, &none) == 0;
    }
    return held;
}

static void
drop(struct fleet *f, const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0 || unlink(path) < 0)
        return;
    pthread_mutex_lock(&f->lock);
    f->spooled -= f->spooled < (uint64_t)st.st_size ? f->spooled : (uint64_t)st.st_size;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

/* Do so many targets have `key` that the spool need not keep it? */
static bool
releasable(struct fleet *f, const char *key, bool quorum_is_enough)
{
    unsigned waiting = 0;
    struct err e = { 0 };

    if (state_queue_waiting(f->state, key, &waiting, &e) < 0)
        return false;
    return waiting == 0
        || (quorum_is_enough && f->count >= waiting && f->count - waiting >= f->quorum);
}

void
spool_release(struct fleet *f, const char *key, bool quorum_is_enough)
{
    AUTOFREE char *path = spool_path(f, key);

    if (releasable(f, key, quorum_is_enough))
        drop(f, path);
}

/* Calls fn for each file of the spool, with its name. */
static void
each_file(struct fleet *f, void (*fn)(struct fleet *f, const char *name))
{
    DIR *dir = opendir(f->spool_dir);
    struct dirent *d;

    while (dir && (d = readdir(dir)) != NULL)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            fn(f, d->d_name);
    if (dir)
        closedir(dir);
}

static void
scan_one(struct fleet *f, const char *name)
{
    AUTOFREE char *path = fs_join(f->spool_dir, name);
    AUTOFREE char *key = key_of(name);
    struct stat st;

    if (name[0] == '.' || releasable(f, key, false))
        unlink(path); /* a run that was killed left it */
    else if (stat(path, &st) == 0)
        f->spooled += (uint64_t)st.st_size;
}

void
spool_scan(struct fleet *f)
{
    f->spooled = 0;
    each_file(f, scan_one);
}

static void
tidy_one(struct fleet *f, const char *name)
{
    AUTOFREE char *key = key_of(name);

    if (name[0] != '.')
        spool_release(f, key, true);
}

void
spool_tidy(struct fleet *f)
{
    each_file(f, tidy_one);
}
