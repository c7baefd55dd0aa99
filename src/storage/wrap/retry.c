/*
 * Repeats what is worth repeating.
 */
#include "storage/wrap.h"

#include "storage/driver.h"

#include <assert.h>
#include <string.h>

#define COMPARE_MAX ((uint64_t)1 << 20) /* bytes of an object that is read back */

struct retrying {
    struct storage base; /* first: a struct retrying is a struct storage */
    struct storage *inner;
    struct retry policy;
};

static const struct storage_ops retry_ops;

static struct retrying *
retry_of(struct storage *s)
{
    assert(s->ops == &retry_ops);
    return (struct retrying *)s;
}

static bool
again(struct retrying *r, const char *what, unsigned tried, const atomic_bool *stop,
      int rc, const struct err *e)
{
    return retry_again(&r->policy, what, r->base.url, tried, stop, rc, e);
}

/* An earlier try may have stored it although its answer was lost: then what
 * exists now is ours, and the call has succeeded. */
static bool
is_ours(struct retrying *r, const char *key, const struct body *body)
{
    AUTOBUF struct buf there = BUF(body->size + 1);
    struct range all = { .key = key };
    struct err e;

    if (body->size > COMPARE_MAX || storage_get(r->inner, &all, &there, &e) < 0)
        return false;
    struct body found = body_of(buf_slice(&there));
    return memcmp(found.sha256, body->sha256, sizeof found.sha256) == 0;
}

static int
retry_put(struct storage *s, const char *key, const struct body *body, unsigned flags,
          struct err *e)
{
    struct retrying *r = retry_of(s);
    unsigned tried = 0;
    int rc;

    do {
        rc = storage_put(r->inner, key, body, flags, e);
        if (rc < 0 && e->kind == ERR_EXISTS && tried > 0 && is_ours(r, key, body))
            rc = 0;
    } while (again(r, key, ++tried, NULL, rc, e));
    return rc;
}

static int
retry_get(struct storage *s, const struct range *range, struct buf *out, struct err *e)
{
    struct retrying *r = retry_of(s);
    unsigned tried = 0;
    int rc;

    do {
        rc = storage_get(r->inner, range, out, e);
    } while (again(r, range->key, ++tried, range->stop, rc, e));
    return rc;
}

static int
retry_head(struct storage *s, const char *key, struct object_info *out, struct err *e)
{
    struct retrying *r = retry_of(s);
    unsigned tried = 0;
    int rc;

    do {
        rc = storage_head(r->inner, key, out, e);
    } while (again(r, key, ++tried, NULL, rc, e));
    return rc;
}

/* A listing on its way: where it would go on, and whether it was the caller
 * who ended it. */
struct listing {
    storage_list_fn *fn;
    void *arg;
    char last[STORAGE_KEY_MAX + 1];
    bool moved, stopped;
};

static int
pass_on(void *arg, const struct object_info *o, struct err *e)
{
    struct listing *l = arg;

    storage_key_copy(l->last, o->key);
    l->moved = true;
    if (l->fn(l->arg, o, e) == 0)
        return 0;
    l->stopped = true;
    return -1;
}

static int
retry_list(struct storage *s, const char *prefix, const char *after, storage_list_fn *fn,
           void *arg, struct err *e)
{
    struct retrying *r = retry_of(s);
    struct listing l = { .fn = fn, .arg = arg };
    unsigned tried = 0;
    int rc;

    storage_key_copy(l.last, after);
    do {
        l.moved = false;
        rc = storage_list_after(r->inner, prefix, l.last, pass_on, &l, e);
        if (l.moved)
            tried = 0; /* a long listing is many requests, each with its own tries */
    } while (!(rc < 0 && l.stopped) && again(r, prefix, ++tried, NULL, rc, e));
    return rc;
}

static int
retry_remove(struct storage *s, const char *const *keys, size_t count, struct err *e)
{
    struct retrying *r = retry_of(s);
    unsigned tried = 0;
    int rc;

    do {
        rc = storage_remove(r->inner, keys, count, e);
    } while (again(r, keys[0], ++tried, NULL, rc, e));
    return rc;
}

static int
retry_now(struct storage *s, int64_t *out_s, struct err *e)
{
    struct retrying *r = retry_of(s);
    unsigned tried = 0;
    int rc;

    do {
        rc = storage_now(r->inner, out_s, e);
    } while (again(r, "the clock", ++tried, NULL, rc, e));
    return rc;
}

static void
retry_close(struct storage *s)
{
    struct retrying *r = retry_of(s);

    storage_close(r->inner);
    mem_free(r);
}

static const struct storage_ops retry_ops = {
    .put = retry_put,
    .get = retry_get,
    .head = retry_head,
    .list = retry_list,
    .remove = retry_remove,
    .now = retry_now,
    .close = retry_close,
};

struct storage *
storage_retry(struct storage *inner, const struct retry_options *o)
{
    struct retrying *r = mem_zalloc(sizeof *r);

    r->base = (struct storage){ .ops = &retry_ops,
                                .traits = inner->traits,
                                .url = mem_strdup(inner->url) };
    r->inner = inner;
    retry_init(&r->policy, o);
    return &r->base;
}
