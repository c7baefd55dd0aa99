#include "scribe.h"
#include "base/fs.h"
#include "base/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#define WINDOWS \
    9 /* one for each pack that is open or being ended, and some on their way */
#define THREADS 2 /* a disk does more when it has the next write before it is done */

struct job {
    struct scribed *file;
    uint8_t *window;
    size_t len;
    uint64_t at;
};

struct pack_scribe {
    pthread_t threads[THREADS];
    unsigned started;
    uint8_t *memory[WINDOWS];
    struct job jobs[WINDOWS]; /* one for each window */
    struct queue *windows, *filled;
    pthread_mutex_t lock; /* of the files' `pending` and `error` */
    pthread_cond_t done;
};

static bool
is_tail(size_t len)
{
    return len % 4096 != 0;
}

static int
write_window(struct scribed *f, struct slice bytes, uint64_t at, struct err *e)
{
    if (is_tail(bytes.len) && f->direct) {
        int flags = fcntl(f->fd, F_GETFL);
        if (fcntl(f->fd, F_SETFL, flags & ~O_DIRECT) < 0)
            return err_sys(e, errno, "writing the spool");
        f->direct = false;
    }
    if (fs_pwrite_all(f->fd, bytes, at, e) < 0)
        return err_in(e, "writing the spool file %s", f->path);
    return 0;
}

static void *
scribe_main(void *arg)
{
    struct pack_scribe *s = arg;
    void *item;

    while (queue_take(s->filled, &item)) {
        struct job *j = item;
        struct scribed *f = j->file;
        struct err e = { 0 };
        pthread_mutex_lock(&s->lock);
        while (is_tail(j->len) && f->pending > 1) /* the file's flags are for all */
            pthread_cond_wait(&s->done, &s->lock);
        bool good = f->error.kind == ERR_NONE;
        pthread_mutex_unlock(&s->lock);
        if (good)
            (void)!write_window(f, slice_of(j->window, j->len), j->at, &e);
        (void)queue_put(s->windows, j->window); /* and the job with it */
        pthread_mutex_lock(&s->lock);
        if (e.kind != ERR_NONE)
            f->error = e;
        f->pending--;
        pthread_cond_broadcast(&s->done);
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

struct pack_scribe *
pack_scribe_new(void)
{
    struct pack_scribe *s = mem_zalloc(sizeof *s);

    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->done, NULL);
    s->windows = queue_new(WINDOWS);
    s->filled = queue_new(WINDOWS);
    for (size_t i = 0; i < WINDOWS; i++) {
        s->memory[i] = mem_pages(SCRIBE_WINDOW);
        (void)queue_put(s->windows, s->memory[i]);
    }
    while (s->started < THREADS
           && pthread_create(&s->threads[s->started], NULL, scribe_main, s) == 0)
        s->started++;
    if (s->started > 0)
        return s;
    pack_scribe_free(s);
    return NULL;
}

void
pack_scribe_free(struct pack_scribe *s)
{
    if (!s)
        return;
    queue_close(s->filled);
    for (unsigned i = 0; i < s->started; i++)
        pthread_join(s->threads[i], NULL);
    queue_free(s->windows);
    queue_free(s->filled);
    for (size_t i = 0; i < WINDOWS; i++)
        mem_free(s->memory[i]);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->done);
    mem_free(s);
}

uint8_t *
scribe_window(struct pack_scribe *s)
{
    void *window = NULL;

    if (!s)
        return mem_pages(SCRIBE_WINDOW);
    (void)queue_take(s->windows, &window);
    return window;
}

void
scribe_give_back(struct pack_scribe *s, uint8_t *window)
{
    if (!s)
        mem_free(window);
    else if (window)
        (void)queue_put(s->windows, window);
}

int
scribe_write(struct pack_scribe *s, struct scribed *f, uint8_t **window, size_t len,
             uint64_t at, struct err *e)
{
    size_t i = 0;

    if (!s)
        return write_window(f, slice_of(*window, len), at, e);
    while (s->memory[i] != *window)
        i++;
    struct job *j = &s->jobs[i];
    *j = (struct job){ f, *window, len, at };
    pthread_mutex_lock(&s->lock);
    f->pending++;
    bool bad = f->error.kind != ERR_NONE;
    if (bad)
        *e = f->error;
    pthread_mutex_unlock(&s->lock);
    (void)queue_put(s->filled, j);
    *window = scribe_window(s);
    return bad ? -1 : 0;
}

int
scribe_wait(struct pack_scribe *s, struct scribed *f, struct err *e)
{
    if (!s)
        return 0;
    pthread_mutex_lock(&s->lock);
    while (f->pending > 0)
        pthread_cond_wait(&s->done, &s->lock);
    bool bad = f->error.kind != ERR_NONE;
    if (bad)
        *e = f->error;
    pthread_mutex_unlock(&s->lock);
    return bad ? -1 : 0;
}
