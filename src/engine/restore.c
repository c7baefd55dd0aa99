#include "engine/restore.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"

#include "window.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PATHS_MAX 1000

/* A path that was asked for; `strip` bytes of what lies below go. */
struct selection {
    struct slice path;
    size_t strip;
    bool found;
};

/* What waits until a window's files have their names. */
struct batch {
    struct wfiles files;
    struct wfile **left; /* folders the walk has left, inner first */
    size_t left_count;
    struct wfile **links; /* further names of link groups of the window */
    size_t link_count;
};

struct run {
    struct repo *repo;
    const struct restore_options *options;
    struct restore_result *result;
    struct restore_progress progress;
    struct manifest_reader *manifest;
    struct place *place;
    struct window window;
    struct selection *selections;
    size_t selection_count;
    struct wfile **dirs; /* open folders, outermost first: entries kept as files are */
    size_t dir_count, dir_cap;
    struct wfile **left; /* folders the walk has left, to be finished with the window */
    size_t left_count, left_cap;
    struct wfile **top;  /* the folder whose content goes into the destination */
    size_t top_count, top_cap;
    struct wfile **links; /* further names of a link group in this window */
    size_t link_count, link_cap;
    struct batch batch;    /* being published, by a thread of its own */
    pthread_t publisher;
    bool publishing;
    struct err publish_error; /* the thread's, until it is joined */
    struct wfile *current; /* the file whose extents are being added */
    uint8_t *buffer;       /* of CHUNK_RAW_MAX bytes, for what lies there already */
    int64_t next_tick_ms;
    uint8_t *pack_seen;    /* with plan: a bit per pack */
};

static void
tick(struct run *run)
{
    int64_t now = clock_mono_ms();

    if (!run->options->tick || now < run->next_tick_ms)
        return;
    run->next_tick_ms = now + 200;
    run->options->tick(run->options->arg, &run->progress);
}

/* Entries to be kept beyond the walk's next step borrow a wfile's storage. */
static struct wfile *
keep(struct run *run, struct wfile ***list, size_t *count, size_t *cap,
     const struct entry *en)
{
    struct wfile *f = window_add(&run->window, en, en->path);

    run->window.file_count--; /* it is ours, not the window's */
    *list = mem_grow(*list, cap, *count + 1, sizeof **list);
    (*list)[(*count)++] = f;
    return f;
}

static void
drop(struct wfile *f)
{
    pthread_mutex_destroy(&f->lock);
    mem_free(f->bytes);
    mem_free(f);
}

static bool
own_affair(const struct err *e)
{
    return e->kind == ERR_EXISTS || e->kind == ERR_DENIED || e->kind == ERR_NOT_FOUND;
}

/* Reports what concerns one entry only; -1 when the run must end. */
static int
blocked(struct run *run, struct slice path, struct err *e)
{
    if (!own_affair(e))
        return -1;
    window_issue(&run->window, RESTORE_BLOCKED, path, err_text(e));
    *e = (struct err){ 0 };
    return 0;
}

static int
make_links(struct run *run, struct batch *b, struct err *e)
{
    for (size_t i = 0; i < b->link_count; i++) {
        struct wfile *f = b->links[i];
        int linked = place_link(run->place, f->entry.link_group, f->entry.path, e);
        if (linked < 0 && blocked(run, f->told_path, e) < 0)
            return -1;
        if (linked == 0)
            window_issue(&run->window, RESTORE_DAMAGED, f->told_path,
                         "the file it is another name of could not be restored");
    }
    return 0;
}

/* Set while a folder above the source's paths is finished: its attributes are a
 * courtesy, since such folders are seldom the person's own. */
static _Thread_local bool courtesy;

static int
finish_dirs(struct run *run, struct batch *b, struct err *e)
{
    for (size_t i = 0; i < b->left_count; i++) {
        struct wfile *f = b->left[i];
        courtesy = f->entry.flags & ENTRY_ABOVE;
        int rc = place_dir_finish(run->place, &f->entry, e);
        courtesy = false;
        if (rc < 0 && blocked(run, f->told_path, e) < 0)
            return -1;
    }
    return 0;
}

static void
batch_release(struct batch *b)
{
    for (size_t i = 0; i < b->left_count; i++)
        drop(b->left[i]);
    for (size_t i = 0; i < b->link_count; i++)
        drop(b->links[i]);
    mem_free(b->left);
    mem_free(b->links);
    *b = (struct batch){ .left = NULL };
}

/* Final names, then links to them, then the folders' own times. */
static void *
publish_main(void *arg)
{
    struct run *run = arg;
    struct batch *b = &run->batch;
    struct err *e = &run->publish_error;

    if (window_publish(&run->window, &b->files, e) == 0 && make_links(run, b, e) == 0)
        (void)!finish_dirs(run, b, e);
    batch_release(b);
    return NULL;
}

static int
await_publisher(struct run *run, struct err *e)
{
    if (run->publishing)
        pthread_join(run->publisher, NULL);
    run->publishing = false;
    if (run->publish_error.kind == ERR_NONE)
        return 0;
    *e = run->publish_error;
    return -1;
}

/* Runs the window. Its names are given while the next one is being fetched:
 * the sync waits for the disk, not for us. */
static int
flush(struct run *run, struct err *e)
{
    struct batch next = { .left = run->left, .left_count = run->left_count,
                          .links = run->links, .link_count = run->link_count };
    int rc = window_run(&run->window, &next.files, e);

    run->left = run->links = NULL;
    run->left_count = run->left_cap = run->link_count = run->link_cap = 0;
    if (await_publisher(run, e) < 0 || rc < 0) {
        struct err ignored = { 0 };
        for (size_t i = 0; i < next.files.count; i++)
            next.files.items[i]->finished = false;
        (void)!window_publish(&run->window, &next.files, &ignored);
        batch_release(&next);
        return -1;
    }
    run->batch = next;
    run->publishing = pthread_create(&run->publisher, NULL, publish_main, run) == 0;
    if (!run->publishing)
        publish_main(run);
    return 0;
}

/* Leaves the folders that do not hold `path`; they are finished, inner first,
 * when the window with their last files has been written. */
static void
leave_dirs(struct run *run, struct slice path)
{
    while (run->dir_count > 0) {
        struct wfile *top = run->dirs[run->dir_count - 1];
        if (entry_below(path, top->entry.path))
            return;
        run->dir_count--;
        run->left = mem_grow(run->left, &run->left_cap, run->left_count + 1,
                             sizeof *run->left);
        run->left[run->left_count++] = top;
    }
}

static int
enter_dir(struct run *run, const struct entry *en, struct err *e)
{
    if (run->dir_count > 0
        && slice_equal(run->dirs[run->dir_count - 1]->entry.path, en->path))
        return 0;
    if (place_dir(run->place, en, e) < 0)
        return blocked(run, en->path, e);
    keep(run, &run->dirs, &run->dir_count, &run->dir_cap, en);
    return 0;
}

/* What lies at the place of a file, if it is one of the same size. */
static int
open_existing(struct run *run, const struct entry *en, struct stat *st)
{
    struct err ignored = { 0 };
    int fd = -1;

    if (place_stat(run->place, en->path, st, &ignored) != 1 || !S_ISREG(st->st_mode)
        || (uint64_t)st->st_size != en->size || en->size == 0)
        return -1;
    return place_open_existing(run->place, en->path, &fd, &ignored) < 0 ? -1 : fd;
}

/* Are the bytes at `at` of the file what the extent names? */
static bool
piece_is_right(struct run *run, int fd, const struct entry *en, uint64_t at,
               const struct extent *x)
{
    struct err ignored = { 0 };
    struct chunk_id id;
    uint8_t content[CONTENT_ID_LEN];

    if (x->len > CHUNK_RAW_MAX || x->offset != 0)
        return false;
    if (fs_pread_all(fd, run->buffer, x->len, at, &ignored) < 0)
        return false;
    if (at == 0 && x->len == en->size) {
        keys_content_id(repo_keys(run->repo), slice_of(run->buffer, x->len), content);
        if (memcmp(content, en->content_id, sizeof content) == 0)
            return true;
    }
    keys_chunk_id(repo_keys(run->repo), KIND_FILE, slice_of(run->buffer, x->len), &id);
    return chunk_id_equal(&id, &x->id);
}

struct compare {
    struct run *run;
    const struct entry *entry;
    int fd;
    bool same;
};

static int
compare_extent(void *arg, uint64_t at, const struct extent *x, struct err *e)
{
    struct compare *c = arg;
    struct extent whole = *x;

    (void)e;
    if (!c->same)
        return 0;
    if (chunk_id_is_hole(&x->id)) { /* zeros either way; a hole is not demanded */
        for (uint64_t done = 0; done < x->len && c->same; done += CHUNK_RAW_MAX) {
            size_t n = x->len - done < CHUNK_RAW_MAX ? (size_t)(x->len - done)
                                                     : CHUNK_RAW_MAX;
            struct err ignored = { 0 };
            c->same = fs_pread_all(c->fd, c->run->buffer, n, at + done, &ignored) == 0;
            for (size_t i = 0; i < n && c->same; i++)
                c->same = c->run->buffer[i] == 0;
        }
        return 0;
    }
    if (at == 0 && x->len == c->entry->size)
        whole.offset = 0; /* a small file lies somewhere in its bundle */
    c->same = piece_is_right(c->run, c->fd, c->entry, at, &whole);
    return 0;
}

/* Is what lies there already the file, bytes and metadata? 1, 0, -1. */
static int
is_restored(struct run *run, const struct entry *en, int fd, const struct stat *st,
            struct err *e)
{
    struct compare c = { run, en, fd, true };
    bool owner = run->options->owner == OWNER_SKIP || geteuid() != 0
              || (st->st_uid == en->uid && st->st_gid == en->gid);

    if (st->st_mtim.tv_sec != en->mtime_s || (uint32_t)st->st_mtim.tv_nsec != en->mtime_ns
        || (st->st_mode & 07777) != en->mode || !owner || en->xattrs.len > 0)
        return 0;
    if (extent_each(en, repo_load_node, run->repo, compare_extent, &c, e) < 0)
        return -1;
    return c.same;
}

static int
add_extent(void *arg, uint64_t at, const struct extent *x, struct err *e)
{
    struct run *run = arg;
    struct wfile *f = run->current;

    if (cancel_check(e) < 0)
        return -1;
    tick(run);
    if (f->existing >= 0 && !chunk_id_is_hole(&x->id)
        && piece_is_right(run, f->existing, &f->entry, at, x)) {
        pthread_mutex_lock(&f->lock);
        int rc = 0;
        if (!f->begun) {
            rc = place_file_begin(run->place, &f->entry, f->hidden, &f->fd, e);
            f->begun = rc == 0;
        }
        if (rc == 0)
            rc = fs_pwrite_all(f->fd, slice_of(run->buffer, x->len), at, e);
        pthread_mutex_unlock(&f->lock);
        run->result->reused += x->len;
        return rc;
    }
    if (window_want(&run->window, f, at, x, e) < 0)
        return -1;
    return window_full(&run->window) ? flush(run, e) : 0;
}

/* A further name of a file: linked now, with the window, or not at all (then
 * it is restored as a file). 1 taken care of, 0, -1. */
static int
try_link(struct run *run, const struct entry *en, struct err *e)
{
    int rc;

    if (!en->link_group || !run->place)
        return 0;
    rc = place_link(run->place, en->link_group, en->path, e);
    if (rc < 0)
        return blocked(run, en->path, e) < 0 ? -1 : 1;
    if (rc == 0 && run->publishing) { /* its first name may be on its way */
        if (await_publisher(run, e) < 0)
            return -1;
        rc = place_link(run->place, en->link_group, en->path, e);
        if (rc < 0)
            return blocked(run, en->path, e) < 0 ? -1 : 1;
    }
    if (rc == 1)
        return 1;
    for (size_t i = 0; i < run->window.file_count; i++)
        if (run->window.files[i]->entry.link_group == en->link_group) {
            keep(run, &run->links, &run->link_count, &run->link_cap, en);
            return 1;
        }
    return 0;
}

static int
restore_file(struct run *run, const struct entry *en, struct slice told, struct err *e)
{
    int existing = -1;
    struct stat st;

    int linked = try_link(run, en, e);
    if (linked != 0)
        return linked < 0 ? -1 : 0;
    if (run->place) {
        existing = open_existing(run, en, &st);
        int same = existing < 0 ? 0 : is_restored(run, en, existing, &st, e);
        if (same != 0) {
            close(existing);
            if (same < 0)
                return -1;
            run->result->reused += en->size;
            run->result->files++;
            return en->link_group ? place_link_note(run->place, en->link_group, en->path,
                                                    e) : 0;
        }
    }
    struct wfile *f = window_add(&run->window, en, told);
    f->existing = existing;
    f->note_link = en->link_group != 0;
    run->current = f;
    if (extent_each(en, repo_load_node, run->repo, add_extent, run, e) < 0) {
        if (e->kind != ERR_CORRUPT && e->kind != ERR_NOT_FOUND)
            return -1;
        window_issue(&run->window, RESTORE_DAMAGED, told, err_text(e));
        f->failed = true;
        *e = (struct err){ 0 };
    }
    f->complete = true;
    return window_full(&run->window) ? flush(run, e) : 0;
}

/* Is something in the way that must be kept? */
static bool
keeps_existing(struct run *run, const struct entry *en, struct slice told)
{
    struct stat st;
    struct err ignored = { 0 };

    if (!run->place || en->type == ENTRY_DIR
        || run->options->overwrite != OVERWRITE_NEVER
        || place_stat(run->place, en->path, &st, &ignored) != 1)
        return false;
    window_issue(&run->window, RESTORE_KEPT, told, "exists already");
    return true;
}

/* OVERWRITE_IF_CHANGED takes size and mtime for it. */
static bool
looks_unchanged(struct run *run, const struct entry *en)
{
    struct stat st;
    struct err ignored = { 0 };

    return run->place && en->type == ENTRY_FILE
        && run->options->overwrite == OVERWRITE_IF_CHANGED
        && place_stat(run->place, en->path, &st, &ignored) == 1 && S_ISREG(st.st_mode)
        && (uint64_t)st.st_size == en->size && st.st_mtim.tv_sec == en->mtime_s
        && (uint32_t)st.st_mtim.tv_nsec == en->mtime_ns;
}

static int
restore_special(struct run *run, const struct entry *en, struct err *e)
{
    int linked = try_link(run, en, e);

    if (linked != 0)
        return linked < 0 ? -1 : 0;
    if (place_special(run->place, en, e) < 0)
        return blocked(run, en->path, e);
    return en->link_group ? place_link_note(run->place, en->link_group, en->path, e) : 0;
}

static int
restore_entry(struct run *run, struct entry *en, size_t strip, struct err *e)
{
    struct slice told = en->path;

    if (cancel_check(e) < 0)
        return -1;
    tick(run);
    run->result->entries++;
    atomic_fetch_add(&run->progress.entries, 1);
    if (strip >= en->path.len) { /* the folder that becomes the destination itself */
        en->path.len = 0;
        if (run->place && en->type == ENTRY_DIR && run->top_count == 0)
            keep(run, &run->top, &run->top_count, &run->top_cap, en);
        return 0;
    }
    en->path = slice_sub(en->path, strip, en->path.len - strip);
    if (run->place)
        leave_dirs(run, en->path);
    if (keeps_existing(run, en, told) || looks_unchanged(run, en))
        return 0;
    if (en->type == ENTRY_FILE)
        return restore_file(run, en, told, e);
    if (!run->place)
        return 0;
    if (en->type == ENTRY_DIR)
        return enter_dir(run, en, e);
    return restore_special(run, en, e);
}

/* Include and exclude patterns, on the path or its last part. */
static bool
matches_one(const char *const *patterns, const char *path)
{
    const char *slash = strrchr(path, '/');

    for (; patterns && *patterns; patterns++) {
        const char *p = **patterns == '/' ? *patterns + 1 : *patterns;
        if (text_match(p, path) || (!strchr(p, '/') && slash && text_match(p, slash + 1)))
            return true;
    }
    return false;
}

/* 1 wanted, 0 not, 2 not and nothing below it either. */
static int
wanted(const struct restore_options *o, const struct entry *en)
{
    AUTOFREE char *path = NULL;

    if (!o->include && !o->exclude)
        return 1;
    path = mem_printf("%.*s", (int)en->path.len, (const char *)en->path.ptr);
    if (matches_one(o->exclude, path))
        return en->type == ENTRY_DIR ? 2 : 0;
    if (!o->include || !*o->include || en->type == ENTRY_DIR)
        return 1;
    return matches_one(o->include, path);
}

typedef int entry_fn(struct run *run, struct entry *en, size_t strip, struct err *e);

/* The folders above a selection, for their metadata. */
static int
walk_above(struct run *run, struct selection *s, entry_fn *fn, struct err *e)
{
    struct entry en;

    for (size_t i = s->strip ? s->strip : 1; i < s->path.len; i++) {
        if (s->path.ptr[i] != '/' || i < s->strip)
            continue;
        struct slice above = slice_sub(s->path, 0, i);
        if (manifest_seek(run->manifest, above, e) < 0)
            return -1;
        int rc = manifest_next(run->manifest, &en, e);
        if (rc < 0)
            return -1;
        if (rc == 1 && slice_equal(en.path, above) && fn(run, &en, 0, e) < 0)
            return -1;
    }
    return 0;
}

static int
walk_one(struct run *run, struct selection *s, entry_fn *fn, struct err *e)
{
    struct entry en;
    int rc;

    if (s->strip == 0 && walk_above(run, s, fn, e) < 0)
        return -1;
    if (manifest_seek(run->manifest, s->path, e) < 0)
        return -1;
    while ((rc = manifest_next(run->manifest, &en, e)) == 1) {
        if (!entry_below(en.path, s->path))
            return 0;
        s->found = true;
        int want = wanted(run->options, &en);
        if (want == 2 && manifest_skip(run->manifest, en.path, e) < 0)
            return -1;
        if (want == 1 && fn(run, &en, s->strip, e) < 0)
            return -1;
    }
    return rc;
}

static int
walk(struct run *run, entry_fn *fn, struct err *e)
{
    for (size_t i = 0; i < run->selection_count; i++) {
        struct selection *s = &run->selections[i];
        s->found = false;
        if (walk_one(run, s, fn, e) < 0)
            return -1;
        if (!s->found && s->path.len > 0)
            return err_set(e, ERR_NOT_FOUND, 0, "/%s is not in this snapshot",
                           text_of_name(s->path));
    }
    return 0;
}

/* Planning: what there is to read, and whether it fits. */

static int
plan_extent(void *arg, uint64_t at, const struct extent *x, struct err *e)
{
    struct run *run = arg;
    struct location loc;

    (void)at;
    if (chunk_id_is_hole(&x->id))
        return 0;
    run->result->bytes += x->len;
    if (!run->options->plan)
        return 0;
    int rc = index_find(repo_index(run->repo), &x->id, NULL, NULL, &loc, e);
    if (rc == 1 && !(run->pack_seen[loc.pack / 8] >> loc.pack % 8 & 1)) {
        run->pack_seen[loc.pack / 8] |= (uint8_t)(1u << loc.pack % 8);
        run->result->packs++;
    }
    return rc < 0 ? -1 : 0;
}

static int
plan_entry(struct run *run, struct entry *en, size_t strip, struct err *e)
{
    struct err damaged = { 0 };

    (void)strip;
    run->result->entries++;
    if (cancel_check(e) < 0)
        return -1;
    if (en->type != ENTRY_FILE)
        return 0;
    if (run->options->plan)
        run->result->files++;
    if (extent_each(en, repo_load_node, run->repo, plan_extent, run, &damaged) < 0
        && damaged.kind != ERR_CORRUPT && damaged.kind != ERR_NOT_FOUND) {
        *e = damaged;
        return -1;
    }
    return 0;
}

static int
check_space(struct run *run, struct err *e)
{
    uint64_t bytes = 0, inodes = 0;

    if (place_space(run->place, &bytes, &inodes, e) < 0)
        return -1;
    if (run->result->bytes > bytes)
        return err_set(e, ERR_FULL, 0, "%s: %s are needed and %s are free",
                       run->options->to, text_of_size(run->result->bytes),
                       text_of_size(bytes));
    if (inodes > 0 && run->result->entries > inodes)
        return err_set(e, ERR_FULL, 0, "%s: %llu files are to be made and the file system "
                       "has room for %llu", run->options->to,
                       (unsigned long long)run->result->entries,
                       (unsigned long long)inodes);
    return 0;
}

static int
by_path(const void *a, const void *b)
{
    const struct selection *x = a, *y = b;

    return entry_order(x->path, y->path);
}

/* "/srv/a" -> what lies at srv/a; "/srv/a/" -> its content, without srv/a. */
static int
select_paths(struct run *run, struct err *e)
{
    size_t n = 0, kept = 0;

    while (run->options->paths && run->options->paths[n])
        n++;
    if (n > PATHS_MAX)
        return err_set(e, ERR_USAGE, 0, "more than %d paths", PATHS_MAX);
    run->selections = mem_zalloc((n + 1) * sizeof *run->selections);
    for (size_t i = 0; i < n; i++) {
        struct selection *s = &run->selections[i];
        struct slice p = slice_str(run->options->paths[i]);
        bool content = p.len > 1 && p.ptr[p.len - 1] == '/';
        while (p.len > 0 && p.ptr[0] == '/')
            p = slice_sub(p, 1, p.len - 1);
        while (p.len > 0 && p.ptr[p.len - 1] == '/')
            p.len--;
        if (p.len > 0 && !entry_path_valid(p))
            return err_set(e, ERR_USAGE, 0, "\"%s\" is not a path in a snapshot",
                           run->options->paths[i]);
        *s = (struct selection){ p, content ? p.len + 1 : 0, false };
    }
    run->selection_count = n ? n : 1;
    qsort(run->selections, n, sizeof *run->selections, by_path);
    for (size_t i = 0; i < run->selection_count; i++)
        if (kept == 0 || !entry_below(run->selections[i].path,
                                      run->selections[kept - 1].path))
            run->selections[kept++] = run->selections[i];
    run->selection_count = kept;
    return 0;
}

static void
on_place_issue(void *arg, struct slice path, const char *what, const char *why)
{
    struct run *run = arg;
    AUTOFREE char *text = mem_printf("%s: %s", what, why);

    if (courtesy)
        return;
    window_issue(&run->window, RESTORE_NOT_SET, path, text);
}

/* Files of a window may be open at once. */
static void
raise_limit(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max < 65536 ? l.rlim_max : 65536;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

static int
restore_all(struct run *run, struct err *e)
{
    if (walk(run, restore_entry, e) < 0)
        return -1;
    if (run->place)
        leave_dirs(run, SLICE("\1")); /* nothing is below it: all are left */
    if (flush(run, e) < 0 || await_publisher(run, e) < 0)
        return -1;
    if (run->place && place_links_end(run->place, e) < 0)
        return -1;
    if (run->top_count > 0 && place_dir_finish(run->place, &run->top[0]->entry, e) < 0)
        return blocked(run, run->top[0]->told_path, e);
    return 0;
}

static int
run_restore(struct run *run, struct err *e)
{
    struct place_options po = { run->options->owner, on_place_issue, run };

    raise_limit();
    if (select_paths(run, e) < 0 || walk(run, plan_entry, e) < 0)
        return -1;
    run->progress.bytes_total = run->result->bytes;
    if (run->options->plan)
        return 0;
    run->result->entries = 0;
    if (run->options->to) {
        if (place_open(run->options->to, &po, &run->place, e) < 0
            || check_space(run, e) < 0)
            return -1;
        run->window.place = run->place;
    }
    return restore_all(run, e);
}

int
engine_restore(struct repo *r, const struct restore_options *o,
               struct restore_result *result, struct err *e)
{
    struct run run = { .repo = r, .options = o, .result = result };
    int64_t begun = clock_mono_ms();

    *result = (struct restore_result){ 0 };
    run.manifest = manifest_reader_new(&o->snapshot->root, repo_load_node, r);
    run.buffer = mem_alloc(CHUNK_RAW_MAX);
    run.pack_seen = mem_zalloc(index_packs(repo_index(r)) / 8 + 1);
    run.window = (struct window){ .repo = r, .options = o, .result = result,
                                  .progress = &run.progress };
    pthread_mutex_init(&run.window.lock, NULL);
    int rc = run_restore(&run, e);
    struct err later = { 0 };
    if (await_publisher(&run, &later) < 0 && rc == 0) {
        *e = later;
        rc = -1;
    }
    window_release(&run.window);
    for (size_t i = 0; i < run.dir_count; i++)
        drop(run.dirs[i]);
    for (size_t i = 0; i < run.left_count; i++)
        drop(run.left[i]);
    for (size_t i = 0; i < run.link_count; i++)
        drop(run.links[i]);
    for (size_t i = 0; i < run.top_count; i++)
        drop(run.top[i]);
    mem_free(run.top);
    mem_free(run.dirs);
    mem_free(run.left);
    mem_free(run.links);
    mem_free(run.selections);
    mem_free(run.buffer);
    mem_free(run.pack_seen);
    manifest_reader_free(run.manifest);
    place_close(run.place);
    pthread_mutex_destroy(&run.window.lock);
    result->elapsed_ms = clock_mono_ms() - begun;
    return rc;
}
