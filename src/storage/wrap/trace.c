/* Counts, and at debug level writes a line a call: what, how much, how long, and
 * how it ended. */
#include "storage/wrap.h"

#include "base/log.h"
#include "base/text.h"
#include "storage/driver.h"

#include <assert.h>

struct trace {
    struct storage base; /* first: a struct trace is a struct storage */
    struct storage *inner;
    char *name;
    struct traffic own, *traffic;
};

static const struct storage_ops trace_ops;

static struct trace *
trace_of(struct storage *s)
{
    assert(s->ops == &trace_ops);
    return (struct trace *)s;
}

static int
tell(const struct trace *t, const char *call, const char *key, uint64_t size,
     int64_t began_ms, int rc, const struct err *e)
{
    atomic_fetch_add(&t->traffic->calls, 1);
    if (rc < 0)
        atomic_fetch_add(&t->traffic->failures, 1);
    if (log_level() >= LOG_DEBUG)
        log_debug("%s: %s %s, %s in %s: %s", t->name, call, key, text_of_size(size),
                  text_of_duration(clock_mono_ms() - began_ms),
                  rc == 0 ? "done" : err_text(e));
    return rc;
}

static void
count_bytes(atomic_ullong *bytes, atomic_ullong *ms, uint64_t size, int64_t began_ms)
{
    atomic_fetch_add(bytes, size);
    atomic_fetch_add(ms, (uint64_t)(clock_mono_ms() - began_ms));
}

static int
trace_put(struct storage *s, const char *key, const struct body *body, unsigned flags,
          struct err *e)
{
    const struct trace *t = trace_of(s);
    int64_t began_ms = clock_mono_ms();
    int rc = storage_put(t->inner, key, body, flags, e);

    if (rc == 0)
        count_bytes(&t->traffic->put_bytes, &t->traffic->put_ms, body->size, began_ms);
    return tell(t, "put", key, body->size, began_ms, rc, e);
}

static int
trace_get(struct storage *s, const struct range *r, struct buf *out, struct err *e)
{
    const struct trace *t = trace_of(s);
    int64_t began_ms = clock_mono_ms();
    size_t before = out->len;
    int rc = storage_get(t->inner, r, out, e);

    if (rc == 0)
        count_bytes(&t->traffic->get_bytes, &t->traffic->get_ms, out->len - before,
                    began_ms);
    return tell(t, "get", r->key, out->len - before, began_ms, rc, e);
}

static int
trace_head(struct storage *s, const char *key, struct object_info *out, struct err *e)
{
    const struct trace *t = trace_of(s);
    int64_t began_ms = clock_mono_ms();
    int rc = storage_head(t->inner, key, out, e);

    return tell(t, "head", key, out->size, began_ms, rc, e);
}

struct counted {
    storage_list_fn *fn;
    void *arg;
    uint64_t size;
};

static int
count(void *arg, const struct object_info *o, struct err *e)
{
    struct counted *c = arg;

    c->size += o->size;
    return c->fn(c->arg, o, e);
}

static int
trace_list(struct storage *s, const char *prefix, const char *after, storage_list_fn *fn,
           void *arg, struct err *e)
{
    const struct trace *t = trace_of(s);
    int64_t began_ms = clock_mono_ms();
    struct counted c = { fn, arg, 0 };
    int rc = storage_list_after(t->inner, prefix, after, count, &c, e);

    return tell(t, "list", prefix, c.size, began_ms, rc, e);
}

static int
trace_remove(struct storage *s, const char *const *keys, size_t n, struct err *e)
{
    const struct trace *t = trace_of(s);
    int64_t began_ms = clock_mono_ms();
    int rc = storage_remove(t->inner, keys, n, e);

    for (size_t i = 0; i < n; i++)
        tell(t, "remove", keys[i], 0, began_ms, rc, e);
    return rc;
}

static int
trace_now(struct storage *s, int64_t *out_s, struct err *e)
{
    const struct trace *t = trace_of(s);
    int64_t began_ms = clock_mono_ms();

    return tell(t, "now", "", 0, began_ms, storage_now(t->inner, out_s, e), e);
}

static void
trace_close(struct storage *s)
{
    struct trace *t = trace_of(s);

    storage_close(t->inner);
    mem_free(t->name);
    mem_free(t);
}

static const struct storage_ops trace_ops = {
    .put = trace_put,
    .get = trace_get,
    .head = trace_head,
    .list = trace_list,
    .remove = trace_remove,
    .now = trace_now,
    .close = trace_close,
};

struct storage *
storage_trace(struct storage *inner, const char *name, struct traffic *traffic)
{
    struct trace *t = mem_zalloc(sizeof *t);

    t->base = (struct storage){ .ops = &trace_ops, .traits = inner->traits,
                                .url = mem_strdup(inner->url) };
    t->inner = inner;
    t->name = mem_strdup(name);
    t->traffic = traffic ? traffic : &t->own;
    return &t->base;
}
