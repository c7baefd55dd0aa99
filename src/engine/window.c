#include "window.h"
#include "base/cancel.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/pages.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPAN_MAX ((uint64_t)4 << 20)
#define GAP_MAX ((uint64_t)256 << 10) /* bytes read in vain to save a request */
#define THREADS_MAX 16
#define LARGE_MIN ((uint64_t)1 << 20) /* bytes; its pages are worth two calls */

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
fetch_span(struct fetcher *t, size_t first, size_t end, struct err *e)
{
    struct window *w = t->window;
    const struct want *wants = w->load->wants;
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

static void
stop(struct window *w, const struct err *e)
{
    pthread_mutex_lock(&w->lock);
    if (w->error.kind == ERR_NONE)
        w->error = *e;
    pthread_mutex_unlock(&w->lock);
}

static void *
fetch_main(void *arg)
{
    struct fetcher *t = arg;
    struct window *w = t->window;
    struct err e = { 0 };

    for (;;) {
        pthread_mutex_lock(&w->lock);
        size_t first = w->next_span;
        size_t end = first < w->load->want_count ? span_end(w->load, first) : first;
        w->next_span = end;
        bool stopped = w->error.kind != ERR_NONE;
        pthread_mutex_unlock(&w->lock);
        if (first == end || stopped)
            return NULL;
        if (cancel_check(&e) < 0 || fetch_span(t, first, end, &e) < 0) {
            stop(w, &e);
            return NULL;
        }
    }
}

void
window_init(struct window *w)
{
    unsigned n = w->options->threads < THREADS_MAX ? w->options->threads : THREADS_MAX;

    pthread_mutex_init(&w->lock, NULL);
    w->fetcher_count = n ? n : 1;
    w->fetchers = mem_zalloc(w->fetcher_count * sizeof *w->fetchers);
    for (unsigned i = 0; i < w->fetcher_count; i++) {
        struct fetcher *t = &w->fetchers[i];
        t->window = w;
        t->span = BUF(SPAN_MAX + CHUNK_STORED_MAX);
        chunk_tools_init(&t->tools, 1);
        t->plain = mem_alloc(CHUNK_RAW_MAX);
    }
}

void
window_release(struct window *w)
{
    for (unsigned i = 0; i < w->fetcher_count; i++) {
        chunk_tools_release(&w->fetchers[i].tools);
        buf_release(&w->fetchers[i].span);
        mem_free(w->fetchers[i].plain);
    }
    mem_free(w->fetchers);
    pthread_mutex_destroy(&w->lock);
}

/* The caller's thread is the first fetcher; without others it goes on alone. */
static void
fetch_all(struct window *w)
{
    unsigned started = 1;

    w->next_span = 0;
    while (started < w->fetcher_count
           && pthread_create(&w->fetchers[started].thread, NULL, fetch_main,
                             &w->fetchers[started])
                  == 0)
        started++;
    fetch_main(&w->fetchers[0]);
    for (unsigned i = 1; i < started; i++)
        pthread_join(w->fetchers[i].thread, NULL);
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

int
window_fetch(struct window *w, struct load *l, struct err *e)
{
    if (l->want_count > 1)
        qsort(l->wants, l->want_count, sizeof *l->wants, by_place);
    w->load = l;
    fetch_all(w);
    if (w->error.kind != ERR_NONE) {
        *e = w->error;
        return -1;
    }
    return finish_rest(w, l, e);
}
