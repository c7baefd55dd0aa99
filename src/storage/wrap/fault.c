/* Faults on purpose. They ship with the program, because a drill breaks a
 * target with the same means as the tests and the simulation. */
#include "storage/wrap.h"

#include "base/random.h"
#include "storage/driver.h"

#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

struct fault {
    struct storage base; /* first: a struct fault is a struct storage */
    struct storage *inner;
    pthread_mutex_t lock; /* plan and counters */
    struct fault_plan plan;
    char *prefix;
    atomic_uint calls, hits; /* changed under the lock, read without it */
};

static const struct storage_ops fault_ops;

static struct fault *
fault_of(struct storage *s)
{
    assert(s->ops == &fault_ops);
    return (struct fault *)s;
}

/* Counts a call of this kind on these keys. Returns whether the plan breaks
 * it, and how: the plan may change while the call runs. */
static bool
strikes(struct fault *f, enum fault_call call, const char *const *keys, size_t count,
        enum fault_mode *mode)
{
    bool mine = false, hit = false;

    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < count && !mine; i++)
        mine = !f->prefix || strncmp(keys[i], f->prefix, strlen(f->prefix)) == 0;
    if (mine && (f->plan.calls == 0 || (f->plan.calls & call))) {
        unsigned number = ++f->calls;
        hit = f->plan.at != 0 && number >= f->plan.at
              && (f->plan.count == UINT_MAX || number - f->plan.at < f->plan.count);
        f->hits += hit;
    }
    *mode = f->plan.mode;
    pthread_mutex_unlock(&f->lock);
    if (hit && *mode == FAULT_DIE)
        _exit(137);
    return hit;
}

/* The modes that fail a call before anything is done; 0: not one of these. */
static int
refuse(enum fault_mode mode, const char *what, struct err *e)
{
    switch (mode) {
    case FAULT_REFUSE:
        return err_set(e, ERR_UNAVAIL, 503, "injected: %s refused", what);
    case FAULT_DENY:
        return err_set(e, ERR_DENIED, 403, "injected: %s denied", what);
    case FAULT_MISSING:
        return err_set(e, ERR_NOT_FOUND, 404, "injected: %s does not exist", what);
    default:
        return 0;
    }
}

static int
lost(const char *what, struct err *e)
{
    return err_set(e, ERR_UNAVAIL, 0, "injected: the answer for %s was lost", what);
}

static int
cut(const char *what, struct err *e)
{
    return err_set(e, ERR_UNAVAIL, 0, "injected: the connection for %s was cut", what);
}

static int
fault_put(struct storage *s, const char *key, const struct body *body, unsigned flags,
          struct err *e)
{
    struct fault *f = fault_of(s);
    enum fault_mode mode;
    bool hit = strikes(f, FAULT_ON_PUT, &key, 1, &mode);

    if (hit && refuse(mode, key, e) < 0)
        return -1;
    if (hit && mode == FAULT_CUT)
        return cut(key, e);
    if (storage_put(f->inner, key, body, flags, e) < 0)
        return -1;
    return hit && mode == FAULT_LOSE_ACK ? lost(key, e) : 0;
}

static int
fault_get(struct storage *s, const struct range *r, struct buf *out, struct err *e)
{
    struct fault *f = fault_of(s);
    size_t before = out->len;
    enum fault_mode mode;
    bool hit = strikes(f, FAULT_ON_GET, &r->key, 1, &mode);

    if (hit && refuse(mode, r->key, e) < 0)
        return -1;
    if (storage_get(f->inner, r, out, e) < 0)
        return -1;
    if (hit && (mode == FAULT_CUT || mode == FAULT_LOSE_ACK)) {
        out->len = before;
        if (mode == FAULT_LOSE_ACK)
            return lost(r->key, e);
        return err_set(e, ERR_CORRUPT, 0, "injected: %s was cut short", r->key);
    }
    if (hit && mode == FAULT_GARBLE && out->len > before) {
        uint32_t at = random_below(NULL, (uint32_t)(out->len - before));
        out->ptr[before + at] ^= (uint8_t)(1U << random_below(NULL, 8));
    }
    return 0;
}

static int
fault_head(struct storage *s, const char *key, struct object_info *out, struct err *e)
{
    struct fault *f = fault_of(s);
    enum fault_mode mode;
    bool hit = strikes(f, FAULT_ON_HEAD, &key, 1, &mode);

    if (hit && refuse(mode, key, e) < 0)
        return -1;
    if (hit && mode == FAULT_CUT)
        return cut(key, e);
    if (storage_head(f->inner, key, out, e) < 0)
        return -1;
    return hit && mode == FAULT_LOSE_ACK ? lost(key, e) : 0;
}

struct shortened {
    storage_list_fn *fn;
    void *arg;
    bool told;
};

static int
first_only(void *arg, const struct object_info *o, struct err *e)
{
    struct shortened *c = arg;

    if (c->told)
        return cut("the listing", e);
    c->told = true;
    return c->fn(c->arg, o, e);
}

/* A listing that is cut has told its first object. */
static int
fault_list(struct storage *s, const char *prefix, const char *after, storage_list_fn *fn,
           void *arg, struct err *e)
{
    struct fault *f = fault_of(s);
    enum fault_mode mode;
    bool hit = strikes(f, FAULT_ON_LIST, &prefix, 1, &mode);

    if (hit && refuse(mode, "the listing", e) < 0)
        return -1;
    if (hit && mode == FAULT_CUT) {
        struct shortened c = { fn, arg, false };
        if (storage_list_after(f->inner, prefix, after, first_only, &c, e) < 0)
            return -1;
        return cut("the listing", e);
    }
    if (storage_list_after(f->inner, prefix, after, fn, arg, e) < 0)
        return -1;
    return hit && mode == FAULT_LOSE_ACK ? lost("the listing", e) : 0;
}

/* A removal that is cut has removed the first half. */
static int
fault_remove(struct storage *s, const char *const *keys, size_t count, struct err *e)
{
    struct fault *f = fault_of(s);
    enum fault_mode mode;
    bool hit = strikes(f, FAULT_ON_REMOVE, keys, count, &mode);
    bool half = hit && mode == FAULT_CUT;

    if (hit && refuse(mode, keys[0], e) < 0)
        return -1;
    if (storage_remove(f->inner, keys, half ? count / 2 : count, e) < 0)
        return -1;
    if (half)
        return cut(keys[0], e);
    return hit && mode == FAULT_LOSE_ACK ? lost(keys[0], e) : 0;
}

static int
fault_now(struct storage *s, int64_t *out_s, struct err *e)
{
    return storage_now(fault_of(s)->inner, out_s, e);
}

static void
fault_close(struct storage *s)
{
    struct fault *f = fault_of(s);

    storage_close(f->inner);
    pthread_mutex_destroy(&f->lock);
    mem_free(f->prefix);
    mem_free(f);
}

static const struct storage_ops fault_ops = {
    .put = fault_put,
    .get = fault_get,
    .head = fault_head,
    .list = fault_list,
    .remove = fault_remove,
    .now = fault_now,
    .close = fault_close,
};

struct storage *
storage_fault(struct storage *inner, const struct fault_plan *plan)
{
    struct fault *f = mem_zalloc(sizeof *f);

    f->base = (struct storage){ .ops = &fault_ops, .traits = inner->traits,
                                .url = mem_strdup(inner->url) };
    f->inner = inner;
    pthread_mutex_init(&f->lock, NULL);
    storage_fault_plan(&f->base, plan);
    return &f->base;
}

void
storage_fault_plan(struct storage *s, const struct fault_plan *plan)
{
    struct fault *f = fault_of(s);

    pthread_mutex_lock(&f->lock);
    mem_free(f->prefix);
    f->prefix = mem_strdup(plan->prefix);
    f->plan = *plan;
    f->plan.prefix = NULL; /* the caller's may be gone by now */
    f->calls = f->hits = 0;
    pthread_mutex_unlock(&f->lock);
}

unsigned
storage_fault_calls(const struct storage *s)
{
    assert(s->ops == &fault_ops);
    return atomic_load(&((const struct fault *)s)->calls);
}

unsigned
storage_fault_hits(const struct storage *s)
{
    assert(s->ops == &fault_ops);
    return atomic_load(&((const struct fault *)s)->hits);
}
