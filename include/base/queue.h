/*
 * queue: hands items from thread to thread, at most `max` waiting between.
 *
 * An item belongs to the thread that holds it: after queue_put() the putter
 * must not touch it. A full queue makes its putters wait, which is how a slow
 * stage slows the one before it instead of filling memory.
 */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include "base/mem.h"

#include <stdbool.h>

struct queue;

struct queue *queue_new(size_t max);
void queue_free(struct queue *q);

bool queue_put(struct queue *q, void *item);   /* false: cancelled, it is still yours */
bool queue_take(struct queue *q, void **item); /* false: cancelled, or closed and empty */
bool queue_try_take(struct queue *q, void **item); /* false too when nothing is there */
/* What is left after a cancel, for the one who cleans up. */
bool queue_salvage(struct queue *q, void **item);
void queue_close(struct queue *q);  /* no more puts; takers get what is left */
void queue_cancel(struct queue *q); /* wakes everyone; later calls return false */

DEFINE_CLEANUP(struct queue, queue_free)

#endif
