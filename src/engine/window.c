#include "window.h"
#include "base/cancel.h"
#include "base/fs.h"
#include "base/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPAN_MAX ((uint64_t)4 << 20)
#define GAP_MAX ((uint64_t)256 << 10) /* bytes read in vain to save a request */
#define THREADS_MAX 16

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

struct wfile *
window_add(struct window *w, const struct entry *en, struct slice told)
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
    f->fd = f->existing = -1;
    pthread_mutex_init(&f->lock, NULL);
    w->files = mem_grow(w->files, &w->file_cap, w->file_count + 1,
                        sizeof(struct wfile *));
    return w->files[w->file_count++] = f;
}

static void
wfile_free(struct window *w, struct wfile *f)
{
    if (f->fd >= 0)
        close(f->fd);
    if (f->existing >= 0)
        close(f->existing);
    if (f->begun && !f->finished && !f->failed && w->place)
        place_discard(w->place, f->entry.path, f->hidden);
    pthread_mutex_destroy(&f->lock);
    mem_free(f->bytes);
    mem_free(f);
}

void
window_release(struct window *w)
{
    for (size_t i = 0; i < w->file_count; i++)
        wfile_free(w, w->files[i]);
    mem_free(w->files);
    mem_free(w->wants);
    w->files = NULL;
    w->wants = NULL;
    w->file_count = w->want_count = 0;
}

bool
window_full(const struct window *w)
{
    return w->bytes >= WINDOW_BYTES || w->file_count >= WINDOW_FILES;
}

int
window_want(struct window *w, struct wfile *f, uint64_t at, const struct extent *x,
            struct err *e)
{
    struct location loc;

    if (chunk_id_is_hole(&x->id) || x->len == 0 || f->failed)
        return 0;
    int rc = repo_find(w->repo, &x->id, &loc, e);
    if (rc < 0)
        return -1;
    if (rc == 0 || (uint64_t)x->offset + x->len > loc.raw
        || chunk_class_of(loc.kind) != CLASS_DATA) {
        f->failed = true;
        window_issue(w, RESTORE_DAMAGED, f->told_path, "a chunk of it is in no index");
        return 0;
    }
    w->wants = mem_grow(w->wants, &w->want_cap, w->want_count + 1, sizeof *w->wants);
    w->wants[w->want_count++] = (struct want){ loc, x->id,     f,
                                               at,  x->offset, (uint32_t)x->len };
    f->left++;
    w->bytes += x->len;
    return 0;
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

/* Makes the hidden file. With the file's lock. */
static int
begin(struct window *w, struct wfile *f, struct err *e)
{
    if (!w->place || f->begun)
        return 0;
    if (place_file_begin(w->place, &f->entry, f->hidden, &f->fd, e) < 0)
        return -1;
    f->begun = true;
    return 0;
}

/* An error that is this file's own affair; others end the run. */
static bool
is_own(const struct err *e)
{
    return e->kind == ERR_EXISTS || e->kind == ERR_DENIED || e->kind == ERR_NOT_FOUND;
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
    int rc = begin(w, f, e);

    if (rc == 0 && w->place) {
        int fd = f->fd;
        f->fd = -1;
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
        rc = begin(w, f, e);
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
span_end(const struct window *w, size_t first)
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
    const struct location *a = &w->wants[first].at;
    const struct location *z = &w->wants[end - 1].at;
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
        const struct want *x = &w->wants[i];
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
        size_t end = first < w->want_count ? span_end(w, first) : first;
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

static void
fetch_all(struct window *w)
{
    struct fetcher fetchers[THREADS_MAX];
    unsigned n = w->options->threads < THREADS_MAX ? w->options->threads : THREADS_MAX;
    unsigned started = 0;

    w->next_span = 0;
    for (unsigned i = 0; i < (n ? n : 1); i++) {
        struct fetcher *t = &fetchers[i];
        *t = (struct fetcher){ .window = w, .span = BUF(SPAN_MAX + CHUNK_STORED_MAX) };
        chunk_tools_init(&t->tools, 1);
        t->plain = mem_alloc(CHUNK_RAW_MAX);
        if (pthread_create(&t->thread, NULL, fetch_main, t) != 0) {
            fetch_main(t);
            t->thread = pthread_self();
        }
        started++;
    }
    for (unsigned i = 0; i < started; i++) {
        if (!pthread_equal(fetchers[i].thread, pthread_self()))
            pthread_join(fetchers[i].thread, NULL);
        chunk_tools_release(&fetchers[i].tools);
        buf_release(&fetchers[i].span);
        mem_free(fetchers[i].plain);
    }
}

/* Files without a single chunk to fetch: empty ones and pure holes. */
static int
finish_rest(struct window *w, struct err *e)
{
    for (size_t i = 0; i < w->file_count; i++) {
        struct wfile *f = w->files[i];
        if (f->finished || f->failed || !f->complete || f->left > 0)
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

static int
publish_one(struct window *w, struct wfile *f, bool keep, struct err *e)
{
    if (!f->finished)
        return 0;
    __atomic_fetch_add(&w->result->files, 1, __ATOMIC_RELAXED);
    if (!w->place)
        return 0;
    if (place_publish(w->place, f->entry.path, f->hidden, keep, e) < 0) {
        if (!is_own(e))
            return -1;
        give_up(w, f, RESTORE_BLOCKED, err_text(e));
        *e = (struct err){ 0 };
        return 0;
    }
    return f->note_link ? place_link_note(w->place, f->entry.link_group, f->entry.path, e)
                        : 0;
}

/* One sync for all, then the names. */
int
window_publish(struct window *w, struct wfiles *done, struct err *e)
{
    bool keep = w->options->overwrite == OVERWRITE_NEVER;
    bool any = false;
    int rc = 0;

    for (size_t i = 0; i < done->count; i++)
        any |= done->items[i]->finished;
    if (w->place && any)
        rc = place_sync(w->place, e);
    for (size_t i = 0; i < done->count; i++) {
        struct wfile *f = done->items[i];
        if (rc == 0)
            rc = publish_one(w, f, keep, e);
        else
            f->finished = false; /* its hidden file goes */
        wfile_free(w, f);
    }
    mem_free(done->items);
    *done = (struct wfiles){ NULL, 0 };
    return rc;
}

int
window_run(struct window *w, struct wfiles *done, struct err *e)
{
    size_t carried = 0;

    if (w->want_count > 1)
        qsort(w->wants, w->want_count, sizeof *w->wants, by_place);
    fetch_all(w);
    if (w->error.kind != ERR_NONE) {
        *e = w->error;
        return -1;
    }
    if (finish_rest(w, e) < 0)
        return -1;
    done->items = mem_alloc(w->file_count * sizeof(struct wfile *));
    done->count = 0;
    for (size_t i = 0; i < w->file_count; i++) {
        if (w->files[i]->complete)
            done->items[done->count++] = w->files[i];
        else
            w->files[carried++] = w->files[i];
    }
    w->file_count = carried;
    w->want_count = 0;
    w->bytes = 0;
    return 0;
}
