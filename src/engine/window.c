#include "window.h"
#include "base/cancel.h"
#include "base/log.h"
#include "engine/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define SPAN_MAX ((uint64_t)4 << 20)
#define GAP_MAX ((uint64_t)256 << 10) /* bytes read in vain to save a request */
#define THREADS_MAX 16
#define THREADS_NEAR 4 /* when none are asked for */
#define THREADS_FAR 14 /* 4 MiB each under way, below 128 MiB in all: 400 MB/s at 80 ms */

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
        if (load_deliver(w, x, good ? t->plain : NULL, good ? NULL : err_text(&bad), e)
            < 0)
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
    for (unsigned i = 0; i < w->started; i++)
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

static void
start_fetchers(struct window *w)
{
    for (; w->started < w->fetcher_count; w->started++) {
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

/* Nothing of the load is under way, and nothing more will be. With the lock. */
static bool
is_over(const struct window *w, const struct load *l)
{
    return l->busy == 0 && (l->next_span == l->want_count || w->error.kind != ERR_NONE);
}

struct load *
window_finish(struct window *w, struct err *e)
{
    pthread_mutex_lock(&w->lock);
    struct load *l = w->loads;
    while (!is_over(w, l))
        if (w->started == 0) /* no thread was to be had */
            fetch_next(&w->fetchers[0], l);
        else
            pthread_cond_wait(&w->changed, &w->lock);
    w->loads = TAKE(l->next);
    *e = w->error;
    pthread_mutex_unlock(&w->lock);
    if (e->kind == ERR_NONE && load_finish_rest(w, l, e) < 0)
        window_give_up(w, e);
    return l;
}
