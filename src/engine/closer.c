#include "closer.h"
#include "base/queue.h"

#include <pthread.h>

#define WAITING_MAX 2 /* packs; each keeps a window of the scribe's */

struct full_pack {
    struct pack_writer *writer;
    uint32_t number;
    bool last;
};

struct closer {
    struct repo *repo;
    struct queue *full; /* NULL: there is no thread */
    pthread_t thread;
    bool joined;
    pthread_mutex_t lock;
    struct err error; /* the first one; with the lock */
};

static int
close_pack(struct closer *c, struct full_pack p, struct err *e)
{
    struct pack_done done = { 0 };

    return pack_finish(p.writer, p.last, &done, e) < 0
             ? -1
             : repo_store_pack(c->repo, &done, p.number, e);
}

static bool
failed(struct closer *c, struct err *e)
{
    pthread_mutex_lock(&c->lock);
    bool bad = c->error.kind != ERR_NONE;
    if (bad && e)
        *e = c->error;
    pthread_mutex_unlock(&c->lock);
    return bad;
}

static void *
closer_main(void *arg)
{
    struct closer *c = arg;
    void *x;

    while (queue_take(c->full, &x)) {
        struct full_pack *p = x;
        struct err e = { 0 };
        if (failed(c, NULL)) {
            pack_abort(p->writer);
        } else if (close_pack(c, *p, &e) < 0) {
            pthread_mutex_lock(&c->lock);
            c->error = e;
            pthread_mutex_unlock(&c->lock);
        }
        mem_free(p);
    }
    return NULL;
}

struct closer *
closer_new(struct repo *r, bool threaded)
{
    struct closer *c = mem_zalloc(sizeof *c);

    c->repo = r;
    pthread_mutex_init(&c->lock, NULL);
    if (!threaded)
        return c;
    c->full = queue_new(WAITING_MAX);
    if (pthread_create(&c->thread, NULL, closer_main, c) != 0) {
        queue_free(c->full);
        c->full = NULL;
    }
    return c;
}

static void
join(struct closer *c)
{
    if (!c->full || c->joined)
        return;
    queue_close(c->full);
    pthread_join(c->thread, NULL);
    c->joined = true;
}

void
closer_free(struct closer *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    if (c->error.kind == ERR_NONE)
        c->error = (struct err){ .kind = ERR_CANCELLED };
    pthread_mutex_unlock(&c->lock);
    join(c);
    queue_free(c->full);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

int
closer_take(struct closer *c, struct pack_writer *w, uint32_t number, bool last,
            struct err *e)
{
    struct full_pack p = { w, number, last };

    if (!c->full)
        return close_pack(c, p, e);
    if (failed(c, e)) {
        pack_abort(w);
        return -1;
    }
    struct full_pack *own = mem_alloc(sizeof *own);
    *own = p;
    (void)queue_put(c->full, own); /* nobody cancels it */
    return 0;
}

int
closer_wait(struct closer *c, struct err *e)
{
    join(c);
    return failed(c, e) ? -1 : 0;
}
