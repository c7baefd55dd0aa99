#include "lists.h"
#include "base/clock.h"

#include "impl.h"

#include <assert.h>
#include <string.h>

#define LISTS_MAX 4
#define FETCHERS_MAX 15 /* threads, beside the caller's */

static bool
is_far(const struct target *t)
{
    return !(storage_traits(t->store) & STORAGE_LOCAL);
}

static int
keep(void *arg, const struct object_info *o, struct err *e)
{
    struct kept_list *l = arg;

    (void)e;
    l->objects = mem_grow(l->objects, &l->cap, l->count + 1, sizeof *l->objects);
    struct kept_object *x = &l->objects[l->count++];
    memcpy(x->key, o->key, strlen(o->key) + 1);
    x->size = o->size;
    return 0;
}

static void *
ask_main(void *arg)
{
    struct kept_list *l = arg;

    if (storage_list(l->target->store, l->prefix, keep, l, &l->error) == 0)
        l->error = (struct err){ 0 };
    return NULL;
}

void
lists_ask(struct target *t, struct kept_list *lists, size_t count)
{
    pthread_t threads[LISTS_MAX];
    size_t started = 0;

    assert(count > 0 && count <= LISTS_MAX);
    for (size_t i = 0; i < count; i++) {
        lists[i].target = t;
        lists[i].asked_ms = clock_boot_ms();
    }
    while (is_far(t) && started + 1 < count
           && pthread_create(&threads[started], NULL, ask_main, &lists[started]) == 0)
        started++;
    for (size_t i = started; i < count; i++)
        ask_main(&lists[i]);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

struct early_list {
    pthread_t thread;
    struct kept_list *list;
};

struct early_list *
lists_begin(struct target *t, const char *prefix)
{
    if (!is_far(t))
        return NULL;
    struct early_list *x = mem_zalloc(sizeof *x);
    x->list = mem_zalloc(sizeof *x->list);
    *x->list = (struct kept_list){ .prefix = prefix, .target = t };
    if (pthread_create(&x->thread, NULL, ask_main, x->list) == 0)
        return x;
    mem_free(x->list);
    mem_free(x);
    return NULL;
}

struct kept_list *
lists_end(struct early_list *x)
{
    struct kept_list *l = x ? x->list : NULL;

    if (x)
        pthread_join(x->thread, NULL);
    mem_free(x);
    return l;
}

void
lists_free(struct kept_list *l)
{
    if (l)
        lists_release(l, 1);
    mem_free(l);
}

int
lists_each(const struct kept_list *l, storage_list_fn *fn, void *arg, struct err *e)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct kept_object *x = &l->objects[i];
        struct object_info o = { .key = x->key, .size = x->size, .version = "" };
        if (fn(arg, &o, e) < 0)
            return -1;
    }
    if (l->error.kind == ERR_NONE)
        return 0;
    *e = l->error;
    return -1;
}

void
lists_release(struct kept_list *lists, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(lists[i].objects);
}

struct fetch {
    struct repo *repo;
    struct target *target;
    const struct kept_list *list;
    uint64_t size_max;
    pthread_mutex_t lock; /* of what follows */
    size_t next;
    bool failed;
};

static void *
fetch_main(void *arg)
{
    struct fetch *f = arg;
    AUTOBUF struct buf object = BUF(f->size_max);

    pthread_mutex_lock(&f->lock);
    while (f->next < f->list->count && !f->failed) {
        const struct kept_object *x = &f->list->objects[f->next++];
        struct err e = { 0 };
        pthread_mutex_unlock(&f->lock);
        buf_clear(&object);
        bool bad = x->size <= f->size_max
                && repo_get_small(f->repo, f->target, x->key, &object, &e) < 0
                && !repo_is_unbelievable(&e);
        pthread_mutex_lock(&f->lock);
        f->failed |= bad;
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

void
lists_fetch(struct repo *r, struct target *t, const struct kept_list *l,
            uint64_t size_max)
{
    struct fetch f = { .repo = r, .target = t, .list = l, .size_max = size_max };
    pthread_t threads[FETCHERS_MAX];
    size_t started = 0;

    if (!is_far(t) || l->count < 2)
        return;
    pthread_mutex_init(&f.lock, NULL);
    while (started < FETCHERS_MAX && started + 1 < l->count
           && pthread_create(&threads[started], NULL, fetch_main, &f) == 0)
        started++;
    fetch_main(&f);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&f.lock);
}
