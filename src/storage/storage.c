#include "storage/storage.h"

#include "crypto/hash.h"
#include "storage/driver.h"

#include <assert.h>
#include <string.h>

struct body
body_of(struct slice data)
{
    struct body b = { .data = data, .fd = -1, .size = data.len };

    sha256(data, b.sha256);
    return b;
}

static bool
key_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.'
           || c == '-' || c == '/';
}

/* A prefix may end anywhere, also behind a '/'. */
static bool
prefix_valid(const char *prefix)
{
    size_t len;

    for (len = 0; prefix[len]; len++) {
        bool first = len == 0 || prefix[len - 1] == '/';
        if (len == STORAGE_KEY_MAX || !key_byte(prefix[len]))
            return false;
        if (first && (prefix[len] == '/' || prefix[len] == '.'))
            return false;
    }
    return true;
}

bool
storage_key_valid(const char *key)
{
    size_t len = strlen(key);

    return len > 0 && key[len - 1] != '/' && prefix_valid(key);
}

int
range_check(const struct range *r, struct err *e)
{
    if (r->stop && atomic_load(r->stop))
        return err_set(e, ERR_CANCELLED, 0, "no longer wanted");
    return 0;
}

/* What a driver owes: 0, or -1 with the reason. */
static int
answer(int rc, const struct err *e)
{
    assert(rc == 0 || rc == -1);
    assert(rc == 0 || e->kind != ERR_NONE);
    return rc;
}

int
storage_put(struct storage *s, const char *key, const struct body *body, unsigned flags,
            struct err *e)
{
    assert(storage_key_valid(key));
    assert(body->size <= STORAGE_OBJECT_MAX);
    assert(body->fd >= 0 || body->data.len == body->size);
    assert((flags & ~(unsigned)PUT_IF_ABSENT) == 0);
    assert(!(flags & PUT_IF_ABSENT) || (s->traits & STORAGE_IF_ABSENT));
    return answer(s->ops->put(s, key, body, flags, e), e);
}

int
storage_get(struct storage *s, const struct range *r, struct buf *out, struct err *e)
{
    size_t before = out->len;

    assert(storage_key_valid(r->key));
    assert(r->len <= UINT64_MAX - r->offset);
    if (range_check(r, e) < 0)
        return -1;
    int rc = answer(s->ops->get(s, r, out, e), e);
    assert(rc < 0 ? out->len == before : r->len == 0 || out->len - before == r->len);
    return rc;
}

int
storage_head(struct storage *s, const char *key, struct object_info *out, struct err *e)
{
    assert(storage_key_valid(key));
    memset(out, 0, sizeof *out);
    return answer(s->ops->head(s, key, out, e), e);
}

int
storage_list(struct storage *s, const char *prefix, storage_list_fn *fn, void *arg,
             struct err *e)
{
    return storage_list_after(s, prefix, "", fn, arg, e);
}

int
storage_list_after(struct storage *s, const char *prefix, const char *after,
                   storage_list_fn *fn, void *arg, struct err *e)
{
    assert(prefix_valid(prefix));
    assert(prefix_valid(after));
    return answer(s->ops->list(s, prefix, after, fn, arg, e), e);
}

int
storage_remove(struct storage *s, const char *const *keys, size_t count, struct err *e)
{
    for (size_t i = 0; i < count; i++)
        assert(storage_key_valid(keys[i]));
    return count ? answer(s->ops->remove(s, keys, count, e), e) : 0;
}

int
storage_now(struct storage *s, int64_t *out_s, struct err *e)
{
    return answer(s->ops->now(s, out_s, e), e);
}

const char *
storage_url(const struct storage *s)
{
    return s->url;
}

unsigned
storage_traits(const struct storage *s)
{
    return s->traits;
}

void
storage_close(struct storage *s)
{
    if (!s)
        return;
    char *url = s->url; /* a driver frees its struct, not what is common to all */
    s->ops->close(s);
    mem_free(url);
}
