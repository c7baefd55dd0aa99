/*
 * window: the loads of a restore that are being fetched.
 *
 * The walk begins one load after the other, and threads fetch their pieces in that
 * order, span by span: who finds no more to do in one goes on to the next, so that far
 * away something is always asked for.
 */
#ifndef ENGINE_WINDOW_H
#define ENGINE_WINDOW_H

#include "load.h"

struct fetcher;

/* What fetching loads needs. */
struct window {
    struct repo *repo;
    const struct restore_options *options;
    struct restore_result *result;
    struct restore_progress *progress;
    struct place *place; /* NULL: into nothing */
    struct fetcher *fetchers;
    unsigned fetcher_count;
    unsigned started;     /* threads */
    pthread_mutex_t lock; /* of result and what follows */
    pthread_cond_t changed;
    struct load *loads; /* being fetched, in the order of the walk */
    bool ending;
    struct err error;
};

void window_init(struct window *w);
void window_release(struct window *w);

/* Begins to fetch a load, behind those that were begun before. The walk's thread. */
void window_begin(struct window *w, struct load *l);
/* Until the load that was begun first is fetched and written, and its complete files
 * finished; it leaves the window. With the first error of any load in e: from then on, or
 * after window_give_up(), nothing more is fetched. */
struct load *window_finish(struct window *w, struct err *e);
void window_give_up(struct window *w, const struct err *why);

#endif
