#include "engine/restore.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/text.h"

#include "restore_impl.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void
tick(struct run *run)
{
    int64_t now = clock_mono_ms();

    if (!run->options->tick || now < run->next_tick_ms)
        return;
    run->next_tick_ms = now + 200;
    run->options->tick(run->options->arg, &run->progress);
}

/* Hands the load over to the next stage. */
static int
hand_over(struct run *run, struct err *e)
{
    struct load *full = run->load;

    full->goes_on = run->current;
    run->load = load_new();
    return stages_take(run->stages, full, e);
}

static void
push(struct wfile ***list, size_t *count, size_t *cap, struct wfile *f)
{
    *list = mem_grow(*list, cap, *count + 1, sizeof **list);
    (*list)[(*count)++] = f;
}

/* Leaves the folders that do not hold `path`; they are finished, inner first,
 * when their last files have their names. */
static void
leave_dirs(struct run *run, struct slice path)
{
    while (run->dir_count > 0) {
        struct wfile *top = run->dirs[run->dir_count - 1];
        if (entry_below(path, top->entry.path))
            return;
        run->dir_count--;
        push(&run->load->left, &run->load->left_count, &run->load->left_cap, top);
    }
}

static int
enter_dir(struct run *run, const struct entry *en, struct err *e)
{
    if (run->dir_count > 0
        && slice_equal(run->dirs[run->dir_count - 1]->entry.path, en->path))
        return 0;
    if (place_dir(run->place, en, e) < 0)
        return load_blocked(&run->window, en->path, e);
    push(&run->dirs, &run->dir_count, &run->dir_cap, wfile_new(en, en->path));
    return 0;
}

/* What need not be fetched is done, too. */
static void
pass_by(struct run *run, uint64_t bytes)
{
    atomic_fetch_add(&run->progress.bytes, bytes);
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
        && existing_piece_fits(run, f->existing, &f->entry, at, x)) {
        pthread_mutex_lock(&f->lock);
        int rc = 0;
        if (!f->begun) {
            rc = place_file_begin(run->place, &f->entry, true, f->hidden, &f->fd, e);
            f->begun = rc == 0;
        }
        if (rc == 0)
            rc = fs_pwrite_all(f->fd, slice_of(run->buffer, x->len), at, e);
        pthread_mutex_unlock(&f->lock);
        run->result->reused += x->len;
        pass_by(run, x->len);
        return rc;
    }
    if (load_want(&run->window, run->load, f, at, x, e) < 0)
        return -1;
    return load_full(run->load) ? hand_over(run, e) : 0;
}

/* Does the first name of the group come with a load that has no names yet? */
static bool
is_under_way(struct run *run, uint64_t group)
{
    for (size_t i = 0; i < run->group_count; i++)
        if (run->groups[i].group == group)
            return run->groups[i].load >= stages_named(run->stages);
    return false;
}

/* The load being filled brings the first name of a group. */
static void
note_group(struct run *run, uint64_t group)
{
    uint64_t named = stages_named(run->stages);
    size_t kept = 0;

    for (size_t i = 0; i < run->group_count; i++)
        if (run->groups[i].load >= named)
            run->groups[kept++] = run->groups[i];
    run->groups = mem_grow(run->groups, &run->group_cap, kept + 1, sizeof *run->groups);
    run->groups[kept] = (struct group_under_way){ group, stages_taken(run->stages) };
    run->group_count = kept + 1;
}

/* A further name of a file: linked now, with the load, or not at all (then it is
 * restored as a file). 1 taken care of, 0, -1. */
static int
try_link(struct run *run, const struct entry *en, struct err *e)
{
    if (!en->link_group || !run->place)
        return 0;
    if (is_under_way(run, en->link_group)) {
        push(&run->load->links, &run->load->link_count, &run->load->link_cap,
             wfile_new(en, en->path));
        return 1;
    }
    int rc = place_link(run->place, en->link_group, en->path, e);
    return rc >= 0 ? rc : load_blocked(&run->window, en->path, e) < 0 ? -1 : 1;
}

static int
restore_file(struct run *run, const struct entry *en, struct slice told, struct err *e)
{
    int existing = -1;
    struct stat st;

    int linked = try_link(run, en, e);
    if (linked < 0)
        return -1;
    if (linked == 1) {
        pass_by(run, en->size);
        return 0;
    }
    if (run->place) {
        existing = existing_open(run, en, &st);
        int same = existing < 0 ? 0 : existing_is_whole(run, en, existing, &st, e);
        if (same != 0) {
            close(existing);
            if (same < 0)
                return -1;
            run->result->reused += en->size;
            pass_by(run, en->size);
            __atomic_fetch_add(&run->result->files, 1, __ATOMIC_RELAXED);
            return en->link_group
                     ? place_link_note(run->place, en->link_group, en->path, e)
                     : 0;
        }
    }
    struct wfile *f = run->current = wfile_new(en, told);
    f->existing = existing;
    f->note_link = en->link_group != 0;
    if (extent_each(en, repo_load_node, run->repo, add_extent, run, e) < 0) {
        if (e->kind != ERR_CORRUPT && e->kind != ERR_NOT_FOUND)
            return -1;
        load_issue(&run->window, RESTORE_DAMAGED, told, err_text(e));
        pthread_mutex_lock(&f->lock);
        f->failed = true;
        pthread_mutex_unlock(&f->lock);
        *e = (struct err){ 0 };
    }
    if (f->note_link)
        note_group(run, en->link_group);
    pthread_mutex_lock(&f->lock);
    f->complete = true;
    pthread_mutex_unlock(&f->lock);
    run->current = NULL;
    push(&run->load->files, &run->load->file_count, &run->load->file_cap, f);
    return load_full(run->load) ? hand_over(run, e) : 0;
}

/* Is something in the way that must be kept? */
static bool
keeps_existing(struct run *run, const struct entry *en, struct slice told)
{
    struct stat st;
    struct err ignored = { 0 };

    if (!run->place || en->type == ENTRY_DIR || run->options->overwrite != OVERWRITE_NEVER
        || place_stat(run->place, en->path, &st, &ignored) != 1)
        return false;
    load_issue(&run->window, RESTORE_KEPT, told, "exists already");
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
        return load_blocked(&run->window, en->path, e);
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
        if (run->place && en->type == ENTRY_DIR && !run->top)
            run->top = wfile_new(en, en->path);
        return 0;
    }
    en->path = slice_sub(en->path, strip, en->path.len - strip);
    if (run->place)
        leave_dirs(run, en->path);
    if (keeps_existing(run, en, told) || looks_unchanged(run, en)) {
        pass_by(run, en->type == ENTRY_FILE ? en->size : 0);
        return 0;
    }
    if (en->type == ENTRY_FILE)
        return restore_file(run, en, told, e);
    if (!run->place)
        return 0;
    if (en->type == ENTRY_DIR)
        return enter_dir(run, en, e);
    return restore_special(run, en, e);
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
    int rc = repo_find(run->repo, &x->id, &loc, e);
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
        __atomic_fetch_add(&run->result->files, 1, __ATOMIC_RELAXED);
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
        return err_set(e, ERR_FULL, 0,
                       "%s: %llu files are to be made and the file system "
                       "has room for %llu",
                       run->options->to, (unsigned long long)run->result->entries,
                       (unsigned long long)inodes);
    return 0;
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
    if (select_walk(run, restore_entry, e) < 0)
        return -1;
    if (run->place)
        leave_dirs(run, SLICE("\1")); /* nothing is below it: all are left */
    if (hand_over(run, e) < 0 || stages_finish(run->stages, e) < 0)
        return -1;
    if (run->place && place_links_end(run->place, e) < 0)
        return -1;
    if (run->top && place_dir_finish(run->place, &run->top->entry, e) < 0)
        return load_blocked(&run->window, run->top->told_path, e);
    return 0;
}

static void
place_issue(void *arg, struct slice path, const char *what, const char *why)
{
    struct run *run = arg;
    AUTOFREE char *text = mem_printf("%s: %s", what, why);

    if (!stages_courtesy())
        load_issue(&run->window, RESTORE_NOT_SET, path, text);
}

static int
run_restore(struct run *run, struct err *e)
{
    struct place_options po = { run->options->owner, place_issue, run };

    raise_limit();
    if (select_paths(run, e) < 0 || select_walk(run, plan_entry, e) < 0)
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
    run->load = load_new();
    return stages_start(&run->window, &run->stages, e) < 0 ? -1 : restore_all(run, e);
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
    run.window = (struct window){
        .repo = r, .options = o, .result = result, .progress = &run.progress
    };
    window_init(&run.window);
    int rc = run_restore(&run, e);
    stages_free(run.stages);
    run.next_tick_ms = 0;
    tick(&run);
    load_free(&run.window, run.load);
    wfile_free(&run.window, run.current);
    for (size_t i = 0; i < run.dir_count; i++)
        wfile_free(&run.window, run.dirs[i]);
    wfile_free(&run.window, run.top);
    window_release(&run.window);
    mem_free(run.dirs);
    mem_free(run.groups);
    select_release(&run);
    mem_free(run.buffer);
    mem_free(run.pack_seen);
    manifest_reader_free(run.manifest);
    place_close(run.place);
    result->elapsed_ms = clock_mono_ms() - begun;
    return rc;
}
