/* Passes everything on; what moves bodies goes with a pace. */
#include "storage/wrap.h"

#include "storage/driver.h"

#include <assert.h>

struct limit {
    struct storage base; /* first: a struct limit is a struct storage */
    struct storage *inner;
    struct pace *upload, *download; /* NULL: unlimited */
};

static const struct storage_ops limit_ops;

static struct limit *
limit_of(struct storage *s)
{
    assert(s->ops == &limit_ops);
    return (struct limit *)s;
}

static int
limit_put(struct storage *s, const char *key, const struct body *body, unsigned flags,
          struct err *e)
{
    struct limit *l = limit_of(s);
    struct body paced = *body;

    if (!paced.pace)
        paced.pace = l->upload;
    return storage_put(l->inner, key, &paced, flags, e);
}

static int
limit_get(struct storage *s, const struct range *r, struct buf *out, struct err *e)
{
    struct limit *l = limit_of(s);
    struct range paced = *r;

    if (!paced.pace)
        paced.pace = l->download;
    return storage_get(l->inner, &paced, out, e);
}

static int
limit_head(struct storage *s, const char *key, struct object_info *out, struct err *e)
{
    return storage_head(limit_of(s)->inner, key, out, e);
}

static int
limit_list(struct storage *s, const char *prefix, const char *after, storage_list_fn *fn,
           void *arg, struct err *e)
{
    return storage_list_after(limit_of(s)->inner, prefix, after, fn, arg, e);
}

static int
limit_remove(struct storage *s, const char *const *keys, size_t count, struct err *e)
{
    return storage_remove(limit_of(s)->inner, keys, count, e);
}

static int
limit_now(struct storage *s, int64_t *out_s, struct err *e)
{
    return storage_now(limit_of(s)->inner, out_s, e);
}

static void
limit_close(struct storage *s)
{
    struct limit *l = limit_of(s);

    storage_close(l->inner);
    pace_free(l->upload);
    pace_free(l->download);
    mem_free(l);
}

static const struct storage_ops limit_ops = {
    .put = limit_put,
    .get = limit_get,
    .head = limit_head,
    .list = limit_list,
    .remove = limit_remove,
    .now = limit_now,
    .close = limit_close,
};

struct storage *
storage_limit(struct storage *inner, struct pace *upload, struct pace *download)
{
    struct limit *l = mem_zalloc(sizeof *l);

    l->base = (struct storage){ .ops = &limit_ops, .traits = inner->traits,
                                .url = mem_strdup(inner->url) };
    l->inner = inner;
    l->upload = upload;
    l->download = download;
    return &l->base;
}
