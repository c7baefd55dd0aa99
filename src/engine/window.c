#include "window.h"
#include "base/cancel.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/pages.h"
#include "engine/memory.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPAN_MAX ((uint64_t)4 << 20)
#define GAP_MAX ((uint64_t)256 << 10) /* bytes read in vain to save a request */
#define THREADS_MAX 16
#define LARGE_MIN ((uint64_t)1 << 20) /* bytes; its pages are worth two calls */
#define THREADS_NEAR 4                /* when none are asked for */
#define THREADS_FAR 16                /* 4 MiB each under way: 500 MB/s at 80 ms */

void
window_issue(struct window *w, enum restore_issue kind, struct slice path,
             const char *why)
{
    pthread_mutex_lock(&w->lock);
    *(kind == RESTORE_DAMAGED   ? &w->result->damaged
      : kind == RESTORE_NOT_SET ? &w->result->not_set
      : kind == RESTORE_KEPT    ? &w->result->kept
                                : &w->result->blocked) += 1;
    if (w->options->issue)
        w->options->issue(w->options->arg, kind, path, why);
    pthread_mutex_unlock(&w->lock);
}

/* An error that is an entry's own affair; others end the run. */
static bool
is_own(const struct err *e)
{
    return e->kind == ERR_EXISTS || e->kind == ERR_DENIED || e->kind == ERR_NOT_FOUND;
}

int
window_blocked(struct window *w, struct slice path, struct err *e)
{
    if (!is_own(e))
        return -1;
    window_issue(w, RESTORE_BLOCKED, path, err_text(e));
    *e = (struct err){ 0 };
    return 0;
}

struct load *
load_new(void)
{
    return mem_zalloc(sizeof(struct load));
}

bool
load_full(const struct load *l)
{
    return l->bytes >= WINDOW_BYTES || l->file_count >= WINDOW_FILES;
}

struct wfile *
wfile_new(const struct entry *en, struct slice told)
{
    const struct slice *from[] = { &en->path, &en->user, &en->group, &en->xattrs, &told };
    struct wfile *f = mem_zalloc(sizeof *f);
    struct slice *to[] = { &f->entry.path, &f->entry.user, &f->entry.group,
                           &f->entry.xattrs, &f->told_path };
    size_t len = 0, at = 0;

    f->entry = *en;
    for (size_t i = 0; i < COUNT_OF(from); i++)
        len += from[i]->len;
    f->bytes = mem_alloc(len);
    for (size_t i = 0; i < COUNT_OF(from); i++) {
        if (from[i]->len)
            memcpy(f->bytes + at, from[i]->ptr, from[i]->len);
        *to[i] = slice_of(f->bytes + at, from[i]->len);
        at += from[i]->len;
    }
    f->fd = f->existing = f->written = -1;
    pthread_mutex_init(&f->lock, NULL);
    return f;
}

void
wfile_free(struct window *w, struct wfile *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    if (f->existing >= 0)
        close(f->existing);
    if (f->written >= 0)
        close(f->written);
    if (f->begun && !f->finished && !f->failed && w->place)
        place_discard(w->place, f->entry.path, f->hidden);
    pthread_mutex_destroy(&f->lock);
    mem_free(f->bytes);
    mem_free(f);
}

void
wfile_drop_pages(struct wfile *f)
{
    pthread_mutex_lock(&f->lock);
    int fd = f->fd >= 0 ? f->fd : f->written;
    if (fd >= 0)
        pages_drop(fd, 0, f->entry.size);
    pthread_mutex_unlock(&f->lock);
}

/* Finds a chunk. Small files lie side by side in one. */
static int
find_chunk(struct window *w, const struct load *l, const struct extent *x,
           struct location *loc, struct err *e)
{
    const struct want *last = l->want_count ? &l->wants[l->want_count - 1] : NULL;

    if (last && chunk_id_equal(&last->id, &x->id)) {
        *loc = last->at;
        return 1;
    }
    return repo_find(w->repo, &x->id, loc, e);
}

int
window_want(struct window *w, struct load *l, struct wfile *f, uint64_t at,
            const struct extent *x, struct err *e)
{
    struct location loc;

    if (chunk_id_is_hole(&x->id) || x->len == 0)
        return 0;
    int rc = find_chunk(w, l, x, &loc, e);
    if (rc < 0)
        return -1;
    bool good = rc == 1 && (uint64_t)x->offset + x->len <= loc.raw
             && chunk_class_of(loc.kind) == CLASS_DATA;
    pthread_mutex_lock(&f->lock);
    bool wanted = good && !f->failed, told = f->failed;
    f->failed |= !good;
    f->left += wanted;
    pthread_mutex_unlock(&f->lock);
    if (!good && !told)
        window_issue(w, RESTORE_DAMAGED, f->told_path, "a chunk of it is in no index");
    if (!wanted)
        return 0;
    l->wants = mem_grow(l->wants, &l->want_cap, l->want_count + 1, sizeof *l->wants);
    l->wants[l->want_count++] = (struct want){ loc, x->id,     f,
                                               at,  x->offset, (uint32_t)x->len };
    l->bytes += x->len;
    return 0;
}

void
load_free(struct window *w, struct load *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->file_count; i++)
        wfile_free(w, l->files[i]);
    for (size_t i = 0; i < l->link_count; i++)
        wfile_free(w, l->links[i]);
    for (size_t i = 0; i < l->left_count; i++)
        wfile_free(w, l->left[i]);
    mem_free(l->files);
    mem_free(l->wants);
    mem_free(l->links);
    mem_free(l->left);
    mem_free(l);
}

static int
by_place(const void *a, const void *b)
{
    const struct want *x = a, *y = b;

    if (x->at.pack != y->at.pack)
        return x->at.pack < y->at.pack ? -1 : 1;
    if (x->at.offset != y->at.offset)
        return x->at.offset < y->at.offset ? -1 : 1;
    return (x->chunk_offset > y->chunk_offset) - (x->chunk_offset < y->chunk_offset);
}

/* Makes the hidden file; `whole`: it gets all its bytes at once. With its lock. */
static int
begin(struct window *w, struct wfile *f, bool whole, struct err *e)
{
    if (!w->place || f->begun)
        return 0;
    if (place_file_begin(w->place, &f->entry, !whole, f->hidden, &f->fd, e) < 0)
        return -1;
    f->begun = true;
    return 0;
}

static void
give_up(struct window *w, struct wfile *f, enum restore_issue kind, const char *why)
{
    if (!f->failed)
        window_issue(w, kind, f->told_path, why);
    f->failed = true;
}

/* Metadata and close, once everything is written. With the file's lock. */
static int
finish(struct window *w, struct wfile *f, struct err *e)
{
    int rc = begin(w, f, false, e);

    if (rc == 0 && w->place) {
        int fd = f->fd;
        f->fd = -1;
        if (f->entry.size >= LARGE_MIN)
            f->written = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        rc = place_file_finish(w->place, &f->entry, fd, e);
    }
    if (rc == 0)
        f->finished = true;
    return rc;
}

/* Writes one piece, or counts it; finishes the file with its last one. */
static int
deliver(struct window *w, const struct want *x, const uint8_t *plain, const char *why,
        struct err *e)
{
    struct wfile *f = x->file;
    int rc = 0;

    pthread_mutex_lock(&f->lock);
    if (!plain)
        give_up(w, f, RESTORE_DAMAGED, why);
    if (!f->failed && w->place) {
        rc = begin(w, f, x->len == f->entry.size, e);
        if (rc == 0)
            rc = fs_pwrite_all(f->fd, slice_of(plain + x->chunk_offset, x->len),
                               x->file_offset, e);
    }
    f->left--;
    if (rc == 0 && !f->failed && f->left == 0 && f->complete)
        rc = finish(w, f, e);
    if (rc < 0 && is_own(e)) {
        give_up(w, f, RESTORE_BLOCKED, err_text(e));
        *e = (struct err){ 0 };
        rc = 0;
    }
    pthread_mutex_unlock(&f->lock);
    if (rc == 0)
        atomic_fetch_add(&w->progress->bytes, x->len);
    return rc;
}

/* One thread's tools. */
struct fetcher {
    struct window *window;
    struct chunk_tools tools;
    struct buf span;
    uint8_t *plain;
    pthread_t thread;
};

/* The wants [first, end) that one request serves. */
static size_t
span_end(const struct load *w, size_t first)
{
    const struct location *a = &w->wants[first].at;
    uint64_t end = (uint64_t)a->offset + a->stored;
    size_t i = first + 1;

    for (; i < w->want_count; i++) {
        const struct location *b = &w->wants[i].at;
        uint64_t b_end = (uint64_t)b->offset + b->stored;
        if (b->pack != a->pack || b->offset > end + GAP_MAX
            || b_end - a->offset > SPAN_MAX)
            break;
        end = b_end > end ? b_end : end;
    }
    return i;
}

/* Opens one chunk, from the span when that is good, else from any target. */
static bool
open_chunk(struct fetcher *t, const struct want *x, const struct location *span,
           bool have_span, struct err *e)
{
    struct window *w = t->window;
    struct err first = { 0 };

    if (have_span) {
        struct slice sealed = slice_sub(buf_slice(&t->span), x->at.offset - span->offset,
                                        x->at.stored);
        if (repo_open_chunk(w->repo, &t->tools, &x->id, &x->at, sealed, t->plain, &first)
            == 0)
            return true;
        if (first.kind == ERR_DENIED || index_error(&first)) {
            *e = first;
            return false;
        }
    }
    return repo_load_anywhere(w->repo, &t->tools, w->options->from, &x->id, &x->at,
                              t->plain, e)
        == 0;
}

static int
fetch_span(struct fetcher *t, const struct load *l, size_t first, size_t end,
           struct err *e)
{
    struct window *w = t->window;
    const struct want *wants = l->wants;
    const struct location *a = &wants[first].at;
    const struct location *z = &wants[end - 1].at;
    char key[PACK_KEY_LEN + 1];
    uint8_t name[32];
    uint64_t size;
    struct err bad = { 0 };
    const struct want *opened = NULL;
    bool good = false;

    buf_clear(&t->span);
    int known = index_pack(repo_index(w->repo), a->pack, name, &size, e);
    if (known < 0)
        return -1;
    bool have = known == 1;
    if (have) {
        pack_key(key, name);
        struct range range = { .key = key,
                               .offset = a->offset,
                               .len = (uint64_t)z->offset + z->stored - a->offset };
        have = fleet_get(repo_fleet(w->repo), w->options->from, &range, NULL, NULL,
                         &t->span, &bad)
            == 0;
    }
    for (size_t i = first; i < end; i++) {
        const struct want *x = &wants[i];
        if (!opened || x->at.offset != opened->at.offset) {
            bad = (struct err){ 0 };
            good = open_chunk(t, x, a, have, &bad);
            opened = x;
            if (!good
                && (bad.kind == ERR_CANCELLED || bad.kind == ERR_DENIED
                    || bad.kind == ERR_UNAVAIL || bad.kind == ERR_THROTTLED
                    || index_error(&bad))) {
                *e = bad;
                return -1;
            }
        }
        if (deliver(w, x, good ? t->plain : NULL, good ? NULL : err_text(&bad), e) < 0)
            return -1;
    }
    return 0;
}

void
window_give_up(struct window *w, const struct err *why)
{
    pthread_mutex_lock(&w->lock);
    if (w->error.kind == ERR_NONE)
        w->error = *why;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

/* The first load with something left to be asked for; NULL: none, or none is wanted
 * any more. With the lock, as is the next. */
static struct load *
open_load(const struct window *w)
{
    struct load *l = w->error.kind == ERR_NONE ? w->loads : NULL;

    while (l && l->next_span == l->want_count)
        l = l->next;
    return l;
}

/* Fetches the next span of the load, with the lock released meanwhile. */
static void
fetch_next(struct fetcher *t, struct load *l)
{
    struct window *w = t->window;
    size_t first = l->next_span, end = span_end(l, first);
    struct err e = { 0 };

    l->next_span = end;
    l->busy++;
    pthread_mutex_unlock(&w->lock);
    if (cancel_check(&e) < 0 || fetch_span(t, l, first, end, &e) < 0)
        window_give_up(w, &e);
    pthread_mutex_lock(&w->lock);
    l->busy--;
    pthread_cond_broadcast(&w->changed);
}

static void *
fetch_main(void *arg)
{
    struct fetcher *t = arg;
    struct window *w = t->window;

    pthread_mutex_lock(&w->lock);
    while (!w->ending) {
        struct load *l = open_load(w);
        if (l)
            fetch_next(t, l);
        else
            pthread_cond_wait(&w->changed, &w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

#define BUFFERS_SIZE (SPAN_MAX + CHUNK_STORED_MAX + CHUNK_RAW_MAX)

/* Near a target the threads are there for their CPUs, far away for what is under way. */
static unsigned
thread_count(const struct window *w)
{
    struct fleet *f = repo_fleet(w->repo);
    unsigned n = w->options->threads;

    for (size_t i = 0; i < fleet_count(f) && n == 0; i++)
        if (!(storage_traits(fleet_target(f, i)->store) & STORAGE_LOCAL))
            n = THREADS_FAR;
    if (n == 0)
        n = THREADS_NEAR;
    unsigned most = memory_units(w->options->memory, BUFFERS_SIZE, THREADS_MAX);
    most = most < THREADS_MAX ? most : THREADS_MAX;
    return n < most ? n : most;
}

void
window_init(struct window *w)
{
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    w->fetcher_count = thread_count(w);
    w->fetchers = mem_zalloc(w->fetcher_count * sizeof *w->fetchers);
    for (unsigned i = 0; i < w->fetcher_count; i++) {
        struct fetcher *t = &w->fetchers[i];
        t->window = w;
        t->span = BUF(SPAN_MAX + CHUNK_STORED_MAX); /* BUFFERS_SIZE, all in all */
        chunk_tools_init(&t->tools, 1);
        t->plain = mem_alloc(CHUNK_RAW_MAX);
    }
}

void
window_release(struct window *w)
{
    pthread_mutex_lock(&w->lock);
    assert(!w->loads);
    w->ending = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 1; i < w->started; i++)
        pthread_join(w->fetchers[i].thread, NULL);
    for (unsigned i = 0; i < w->fetcher_count; i++) {
        chunk_tools_release(&w->fetchers[i].tools);
        buf_release(&w->fetchers[i].span);
        mem_free(w->fetchers[i].plain);
    }
    mem_free(w->fetchers);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->lock);
}

/* Without threads to be had, who waits for a load fetches alone. */
static void
start_fetchers(struct window *w)
{
    for (w->started = 1; w->started < w->fetcher_count; w->started++) {
        struct fetcher *t = &w->fetchers[w->started];
        if (pthread_create(&t->thread, NULL, fetch_main, t) != 0)
            return;
    }
}

void
window_begin(struct window *w, struct load *l)
{
    struct load **end = &w->loads;

    if (w->started == 0)
        start_fetchers(w);
    if (l->want_count > 1)
        qsort(l->wants, l->want_count, sizeof *l->wants, by_place);
    pthread_mutex_lock(&w->lock);
    while (*end)
        end = &(*end)->next;
    *end = l;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

/* Files without a single chunk to fetch: empty ones and pure holes. */
static int
finish_rest(struct window *w, struct load *l, struct err *e)
{
    for (size_t i = 0; i < l->file_count; i++) {
        struct wfile *f = l->files[i];
        if (f->finished || f->failed || f->left > 0)
            continue;
        if (finish(w, f, e) < 0) {
            if (!is_own(e))
                return -1;
            give_up(w, f, RESTORE_BLOCKED, err_text(e));
            *e = (struct err){ 0 };
        }
    }
    return 0;
}

/* Nothing of the load is under way, and nothing more will be. With the lock. */
static bool
is_over(const struct window *w, const struct load *l)
{
    return l->busy == 0 && (l->next_span == l->want_count || w->error.kind != ERR_NONE);
}

int
window_finish(struct window *w, struct load *l, struct err *e)
{
    pthread_mutex_lock(&w->lock);
    assert(w->loads == l);
    while (!is_over(w, l)) {
        struct load *open = open_load(w);
        if (open)
            fetch_next(&w->fetchers[0], open);
        else
            pthread_cond_wait(&w->changed, &w->lock);
    }
    w->loads = l->next;
    l->next = NULL;
    bool bad = w->error.kind != ERR_NONE;
    if (bad)
        *e = w->error;
    pthread_mutex_unlock(&w->lock);
    return bad ? -1 : finish_rest(w, l, e);
}
