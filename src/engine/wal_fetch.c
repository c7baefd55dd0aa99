/*
 * Bringing files of the log back: the one that is asked for, and beside it those that
 * will be asked for next, so that a recovery does not wait for each of them in turn.
 */
#include "base/fs.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/wal.h"
#include "repo/log.h"
#include "source/wal.h"

#include "wal_file.h"
#include "wal_names.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define AHEAD_MAX 8
#define THREADS 4

/* A file that is fetched. */
struct fetch {
    struct repo *repo;
    const struct log_list *list;
    char pos[LOG_POS_MAX + 1];
    const char *file; /* its name */
    uint64_t system;
    const char *to;
    int found; /* as engine_wal_fetch() */
    struct err why;
};

static int
write_piece(void *arg, struct slice plain, struct err *e)
{
    return fs_write_all(*(const int *)arg, plain, e);
}

/* Does another object of that name hold another file? Then nobody knows which is
 * right. The record alone tells. */
static int
check_others(const struct fetch *x, const struct log_row *taken,
             const uint8_t content[32], struct err *e)
{
    for (size_t i = 0; i < x->list->count; i++) {
        const struct log_row *row = &x->list->rows[i];
        AUTOBUF struct buf object = BUF(LOG_OBJECT_MAX);
        struct log_info info;
        struct err bad = { 0 };
        if (row == taken || strcmp(row->name.pos, x->pos) != 0
            || log_get(x->repo, row->key, &object, &bad) < 0
            || log_look(x->repo, buf_slice(&object), &info, &bad) < 0)
            continue;
        if (memcmp(info.content, content, 32) != 0)
            return err_set(e, ERR_FORGED, 0,
                           "two different files are stored as %s: two servers have "
                           "written the same timeline",
                           x->file);
    }
    return 0;
}

/* Writes what an object holds, if it is the file that is wanted. */
static int
write_file(const struct fetch *x, struct slice object, int fd, struct log_info *info,
           struct err *e)
{
    struct chunk_tools tools;

    chunk_tools_init(&tools, 1);
    int rc = log_open(x->repo, object, &tools, info, write_piece, &fd, e);
    chunk_tools_release(&tools);
    if (rc < 0)
        return -1;
    return strcmp(info->file, x->file) == 0
                && strtoull(info->system, NULL, 10) == x->system
             ? 0
             : err_set(e, ERR_FORGED, 0, "it is %s of the system %s", info->file,
                       info->system);
}

/* One object of that name into the file, which appears whole or not at all: 1; 0 it is
 * no good, another may be; -1 none is to be taken. */
static int
take(const struct fetch *x, const struct log_row *row, struct err *e)
{
    AUTOBUF struct buf object = BUF(LOG_OBJECT_MAX);
    CLEANUP(tmpfile_abort) struct tmpfile tmp = TMPFILE_NONE;
    struct log_info info;

    if (log_get(x->repo, row->key, &object, e) < 0)
        return 0;
    if (tmpfile_open(&tmp, x->to, 0600, e) < 0)
        return -1;
    if (write_file(x, buf_slice(&object), tmp.fd, &info, e) < 0)
        return e->kind == ERR_IO || e->kind == ERR_FULL ? -1 : 0;
    return check_others(x, row, info.content, e) < 0 || tmpfile_commit(&tmp, e) < 0 ? -1
                                                                                    : 1;
}

/* Any good object of that name will do: they were made of the same file, or none is
 * taken. */
static void
fetch_one(struct fetch *x)
{
    for (size_t i = 0; i < x->list->count; i++) {
        const struct log_row *row = &x->list->rows[i];
        if (strcmp(row->name.pos, x->pos) != 0)
            continue;
        x->why = (struct err){ 0 };
        int rc = take(x, row, &x->why);
        x->found = rc > 0 ? 1 : -1;
        if (rc != 0)
            return;
        (void)err_in(&x->why, "%s", row->key);
        log_warn("%s", err_text(&x->why));
    }
}

/* All files of a call, fetched by several threads. */
struct fetching {
    struct fetch all[1 + AHEAD_MAX]; /* the first is the one that is asked for */
    char names[1 + AHEAD_MAX][WAL_NAME_MAX + 1];
    char *paths[1 + AHEAD_MAX];
    size_t count;
    atomic_size_t next;
};

static void *
fetch_main(void *arg)
{
    struct fetching *f = arg;

    for (size_t i; (i = atomic_fetch_add(&f->next, 1)) < f->count;)
        fetch_one(&f->all[i]);
    return NULL;
}

static void
fetch_all(struct fetching *f)
{
    pthread_t threads[THREADS - 1];
    size_t started = 0;

    while (started < THREADS - 1 && started + 1 < f->count
           && pthread_create(&threads[started], NULL, fetch_main, f) == 0)
        started++;
    fetch_main(f);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

static bool
listed(const struct log_list *l, const char *pos)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->rows[i].name.pos, pos) == 0)
            return true;
    return false;
}

/* A file that was fetched ahead only has to be moved, if it is what was put there. */
static bool
take_ready(const struct wal_fetch_options *o, const struct wal_name *n)
{
    AUTOFREE char *path = o->ahead ? fs_join(o->ahead, o->file) : NULL;
    struct wal_file f;
    struct err bad = { 0 };
    uint64_t system;

    if (!path || n->kind != WAL_SEGMENT || access(path, F_OK) < 0)
        return false;
    if (wal_file_open(&f, path, &bad) < 0) {
        unlink(path);
        return false;
    }
    bool ours = wal_system_of(".", &system, &bad) == 0 && f.system == system;
    wal_file_close(&f);
    if (!ours)
        unlink(path);
    return ours && rename(path, o->to) == 0;
}

/* The following segments, as far as they are listed, which is up to fifteen. The first
 * call of a recovery brings none, so that it begins at once. */
static void
plan_ahead(struct fetching *f, const struct wal_fetch_options *o, struct wal_name n)
{
    const struct fetch *first = &f->all[0];

    if (!o->ahead || n.kind != WAL_SEGMENT || mkdir(o->ahead, 0700) == 0
        || errno != EEXIST)
        return;
    while (f->count < COUNT_OF(f->all) && (n.place & UINT32_MAX) < UINT32_MAX) {
        struct fetch *x = &f->all[f->count];
        n.place++;
        *x = *first;
        wal_name_text(&n, f->names[f->count]);
        wal_pos(&n, x->pos);
        AUTOFREE char *path = fs_join(o->ahead, f->names[f->count]);
        if (!listed(first->list, x->pos) || access(path, F_OK) == 0)
            return;
        x->file = f->names[f->count];
        x->to = f->paths[f->count++] = TAKE(path);
    }
}

/* Where a listing of one timeline has anything before or behind a file. */
struct sides {
    const char *pos;
    bool before, behind;
};

static int
note_side(void *arg, const struct object_info *o, struct err *e)
{
    struct sides *s = arg;
    struct log_name name;
    struct wal_name n;

    if (!log_name(&name, o->key) || !wal_of_pos(name.timeline, name.pos, &n)
        || n.kind != WAL_SEGMENT)
        return 0;
    int c = strcmp(name.pos, s->pos);
    s->before |= c < 0;
    s->behind |= c > 0;
    return err_set(e, ERR_CANCELLED, 0, "enough was seen"); /* the first one tells */
}

/* Files of the timeline before and behind it are stored: a server that took this one for
 * the end of the log would lose the rest. A timeline's files before its first one are
 * those of its parent, and asked for in vain. */
static bool
is_hole(struct repo *r, const char *stream, const struct wal_name *n, const char *pos)
{
    AUTOFREE char *prefix = mem_printf("log/%s/%08x/", stream, n->timeline);
    AUTOFREE char *after = mem_printf("%s%s/", prefix, pos);
    struct fleet *f = repo_fleet(r);
    struct sides s = { .pos = pos };

    for (size_t i = 0; i < fleet_count(f) && n->kind == WAL_SEGMENT; i++) {
        struct target *t = fleet_target(f, i);
        struct err none = { 0 };
        if (!target_is_up(f, t))
            continue;
        (void)!storage_list(t->store, prefix, note_side, &s, &none);
        none = (struct err){ 0 };
        (void)!storage_list_after(t->store, prefix, after, note_side, &s, &none);
    }
    return s.before && s.behind;
}

/* Nothing of that name was listed. */
static int
judge_absence(struct repo *r, const struct log_list *l, const char *stream,
              const struct wal_name *n, const struct fetch *x, bool all, struct err *e)
{
    unsigned asked = (unsigned)__builtin_popcount(l->asked);

    if (is_hole(r, stream, n, x->pos))
        return err_set(e, ERR_FORGED, 0,
                       "%s is missing, and files behind it are stored: recover to a "
                       "moment before it, or from a later backup",
                       x->file);
    if (all ? asked == fleet_count(repo_fleet(r)) : log_list_proves(r, l))
        return 0;
    *e = l->why;
    if (e->kind == ERR_NONE)
        err_set(e, ERR_UNAVAIL, 0, "too few targets answer");
    return err_in(e, "%s is on none of the targets that answer, and others may have it",
                  x->file);
}

/* Whose log it is, as a number. */
static int
find_system(const struct wal_fetch_options *o, uint64_t *out, struct err *e)
{
    if (!o->system)
        return wal_system_of(".", out, e) == 0
                 ? 0
                 : err_in(e, "run it in the server's data folder, or give --system");
    return text_uint(o->system, UINT64_MAX, out)
             ? 0
             : err_set(e, ERR_USAGE, 0, "%s is no system identifier", o->system);
}

int
engine_wal_fetch(struct repo *r, const struct wal_fetch_options *o, struct err *e)
{
    CLEANUP(log_list_release) struct log_list l = { 0 };
    struct fetching f = { .count = 1 };
    struct fetch *first = &f.all[0];
    struct wal_name n;
    char stream[17], system[24];

    *first = (struct fetch){ .repo = r, .list = &l, .file = o->file, .to = o->to };
    if (!wal_name_parse(o->file, &n))
        return err_set(e, ERR_USAGE, 0, "no file of a log is called %s", o->file);
    if (find_system(o, &first->system, e) < 0)
        return -1;
    snprintf(system, sizeof system, "%llu", (unsigned long long)first->system);
    log_stream(repo_keys(r), LOG_POSTGRES, system, stream);
    wal_pos(&n, first->pos);
    int len = n.kind == WAL_SEGMENT ? WAL_PLACE_DIGITS - 1 : LOG_POS_MAX;
    AUTOFREE char *prefix = mem_printf("log/%s/%08x/%.*s", stream, n.timeline, len,
                                       first->pos);
    if (log_list(r, prefix, &l, e) < 0)
        return -1;
    if (listed(&l, first->pos))
        plan_ahead(&f, o, n);
    fetch_all(&f);
    for (size_t i = 1; i < f.count; i++)
        mem_free(f.paths[i]);
    if (first->found == 0)
        return judge_absence(r, &l, stream, &n, first, o->ask_all, e);
    if (first->found < 0)
        *e = first->why;
    return first->found;
}

bool
engine_wal_ready(const struct wal_fetch_options *o)
{
    struct wal_name n;

    return wal_name_parse(o->file, &n) && take_ready(o, &n);
}
