#include "base/queue.h"

#include <assert.h>
#include <pthread.h>

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t max, first, count;
    bool closed, cancelled;
    void *items[];
};

struct queue *
queue_new(size_t max)
{
    struct queue *q = mem_zalloc(sizeof *q + max * sizeof q->items[0]);

    assert(max > 0);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->changed, NULL);
    q->max = max;
    return q;
}

void
queue_free(struct queue *q)
{
    if (!q)
        return;
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->changed);
    mem_free(q);
}

bool
queue_put(struct queue *q, void *item)
{
    pthread_mutex_lock(&q->lock);
    while (q->count == q->max && !q->cancelled)
        pthread_cond_wait(&q->changed, &q->lock);
    bool ok = !q->cancelled;
    if (ok) {
        assert(!q->closed);
        q->items[(q->first + q->count++) % q->max] = item;
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return ok;
}

static bool
take(struct queue *q, void **item, bool wait)
{
    pthread_mutex_lock(&q->lock);
    while (wait && q->count == 0 && !q->closed && !q->cancelled)
        pthread_cond_wait(&q->changed, &q->lock);
    bool ok = q->count > 0 && !q->cancelled;
    if (ok) {
        *item = q->items[q->first];
        q->first = (q->first + 1) % q->max;
        q->count--;
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return ok;
}

bool
queue_take(struct queue *q, void **item)
{
    return take(q, item, true);
}

bool
queue_try_take(struct queue *q, void **item)
{
    return take(q, item, false);
}

bool
queue_salvage(struct queue *q, void **item)
{
    pthread_mutex_lock(&q->lock);
    bool ok = q->count > 0;
    if (ok) {
        *item = q->items[q->first];
        q->first = (q->first + 1) % q->max;
        q->count--;
    }
    pthread_mutex_unlock(&q->lock);
    return ok;
}

void
queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

void
queue_cancel(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->cancelled = true;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}
