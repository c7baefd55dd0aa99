#include "base/fs.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"

#include "impl.h"

#include <dirent.h>
#include <stdio.h>
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

/* Who has an object and who waits for it, as the queue tells, of the targets that
 * are configured now; `rows` are all, also of others. */
struct holders {
    struct fleet *fleet;
    bool have[FLEET_TARGETS_MAX], wait[FLEET_TARGETS_MAX];
    unsigned rows, waiting;
};

static void
note_holder(void *arg, const char *target, enum queue_end how)
{
    struct holders *x = arg;

    x->rows++;
    for (size_t i = 0; i < x->fleet->count; i++) {
        if (strcmp(x->fleet->targets[i].name, target) != 0)
            continue;
        x->have[i] |= how == QUEUE_DELIVERED;
        x->wait[i] |= how == QUEUE_WAITS;
        x->waiting += how == QUEUE_WAITS;
    }
}

static bool
find_holders(struct fleet *f, const char *key, struct holders *out)
{
    struct err e = { 0 };

    *out = (struct holders){ .fleet = f };
    if (state_queue_holders(f->state, key, note_holder, out, &e) < 0) {
        log_debug("%s", err_text(&e));
        return false;
    }
    for (size_t i = 0; i < f->count; i++)
        out->have[i] &= !out->wait[i];
    return true;
}

bool
fleet_queued(struct fleet *f, const char *key)
{
    struct holders x;

    return !find_holders(f, key, &x) || x.waiting > 0;
}

bool
spool_last_wants(struct fleet *f, const char *key)
{
    struct holders x;

    return find_holders(f, key, &x) && x.waiting == 1;
}

bool
fleet_holds(struct fleet *f, const char *key)
{
    AUTOFREE char *path = spool_path(f, key);
    struct holders x;
    /* A file without a row is on its way to nobody: killed before it was queued. */
    bool held = access(path, R_OK) == 0 && find_holders(f, key, &x) && x.rows > 0;

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

/* Do so many targets have `key` that the spool need not keep it? What nobody was
 * to get is a leftover. */
static bool
releasable(struct fleet *f, const char *key, bool quorum_is_enough)
{
    struct holders x;

    if (!find_holders(f, key, &x))
        return false;
    if (x.rows == 0)
        return true;
    for (size_t i = 0; i < f->count && x.waiting == 0; i++)
        if (x.have[i])
            return true;
    return quorum_is_enough && fleet_quorum_met(f, x.have, NULL);
}

void
spool_release(struct fleet *f, const char *key, bool quorum_is_enough)
{
    AUTOFREE char *path = spool_path(f, key);
    struct err e = { 0 };
    bool there = access(path, F_OK) == 0;

    if (there && !releasable(f, key, quorum_is_enough))
        return;
    if (there)
        drop(f, path);
    if (state_queue_release(f->state, key, &e) < 0)
        log_debug("%s", err_text(&e));
}

int
spool_ended(struct fleet *f, int64_t id, const char *key, enum queue_end how,
            struct err *e)
{
    AUTOFREE char *path = spool_path(f, key);
    bool there = access(path, F_OK) == 0;

    if (state_begin(f->state, e) < 0)
        return -1;
    int rc = state_queue_end(f->state, id, how, e);
    bool over = rc == 0 && (!there || releasable(f, key, false));
    if (over)
        rc = state_queue_release(f->state, key, e);
    if (rc < 0) {
        state_abort(f->state);
        return -1;
    }
    if (state_commit(f->state, e) < 0)
        return -1;
    if (over && there) /* a file that nobody waits for is removed by the next scan */
        drop(f, path);
    return 0;
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
    char last[STORAGE_KEY_MAX + 1] = "";
    struct err e = { 0 };
    int rc;

    f->spooled = 0;
    each_file(f, scan_one);
    do { /* what was said of objects that are no longer here proves nothing */
        AUTOBUF struct buf key = BUF(sizeof last);
        rc = state_queue_ended(f->state, last, &key, &e);
        if (rc == 1) {
            snprintf(last, sizeof last, "%s", buf_cstr(&key));
            spool_release(f, last, false);
        }
    } while (rc == 1);
    if (rc < 0)
        log_debug("%s", err_text(&e));
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
