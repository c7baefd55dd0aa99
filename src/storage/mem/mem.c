/* One sorted array under one lock. It computes every hash itself, as a server
 * with checksums does, so its answers to head are attested. */
#include "storage/mem.h"

#include "base/clock.h"
#include "base/fs.h"
#include "crypto/hash.h"
#include "storage/driver.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>


struct object {
    char *key;
    uint8_t *data;
    uint64_t size;
    int64_t mtime_s;
    uint8_t sha256[SHA256_LEN];
};

struct mem {
    struct storage base; /* first: a struct mem is a struct storage */
    pthread_mutex_t lock;
    struct object *objects; /* sorted by key */
    size_t count, cap;
};

static const struct storage_ops mem_ops;

static struct mem *
mem_of(struct storage *s)
{
    assert(s->ops == &mem_ops);
    return (struct mem *)s;
}

/* The first object whose key is not less than `key`. */
static size_t
lower_bound(const struct mem *m, const char *key)
{
    size_t low = 0, high = m->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(m->objects[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct object *
find(const struct mem *m, const char *key)
{
    size_t at = lower_bound(m, key);

    return at < m->count && strcmp(m->objects[at].key, key) == 0 ? &m->objects[at] : NULL;
}

static int
not_found(const char *key, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, 0, "%s does not exist in memory", key);
}

/* Puts `o` in its place and takes over what it owns. */
static int
insert(struct mem *m, struct object *o, unsigned flags, struct err *e)
{
    size_t at = lower_bound(m, o->key);
    struct object *old = find(m, o->key);

    if (old && (flags & PUT_IF_ABSENT))
        return err_set(e, ERR_EXISTS, 0, "%s exists in memory", o->key);
    if (old) {
        struct object swap = *old;
        *old = *o;
        *o = swap;
        return 0;
    }
    m->objects = mem_grow(m->objects, &m->cap, m->count + 1, sizeof *m->objects);
    memmove(&m->objects[at + 1], &m->objects[at], (m->count - at) * sizeof *m->objects);
    m->objects[at] = *o;
    m->count++;
    *o = (struct object){ 0 };
    return 0;
}

static void
release(struct object *o)
{
    mem_free(o->key);
    mem_free(o->data);
}

/* Waits as long as moving `size` bytes would take. */
static int
keep_pace(struct pace *p, uint64_t size, const atomic_bool *stop, struct err *e)
{
    size_t n;

    for (uint64_t done = 0; p && done < size; done += n)
        if (pace_take(p, size - done, stop, &n, e) < 0)
            return -1;
    return 0;
}

static int
mem_put(struct storage *s, const char *key, const struct body *body, unsigned flags,
        struct err *e)
{
    struct mem *m = mem_of(s);
    CLEANUP(release) struct object o = { .size = body->size, .mtime_s = clock_now().s };

    if (keep_pace(body->pace, body->size, NULL, e) < 0)
        return -1;
    o.data = mem_alloc(body->size + 1);
    if (body->fd < 0 && body->size > 0)
        memcpy(o.data, body->data.ptr, body->size);
    if (body->fd >= 0 && fs_pread_all(body->fd, o.data, body->size, 0, e) < 0)
        return err_in(e, "reading the bytes for %s", key);
    sha256(slice_of(o.data, o.size), o.sha256);
    if (memcmp(o.sha256, body->sha256, SHA256_LEN) != 0)
        return err_set(e, ERR_CORRUPT, 0, "the bytes for %s have another SHA-256", key);
    o.key = mem_strdup(key);

    pthread_mutex_lock(&m->lock);
    int rc = insert(m, &o, flags, e);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static int
get_locked(struct mem *m, const struct range *r, struct buf *out, struct err *e)
{
    const struct object *o = find(m, r->key);

    if (!o)
        return not_found(r->key, e);
    uint64_t len = r->len || r->offset > o->size ? r->len : o->size - r->offset;
    if (r->offset > o->size || len > o->size - r->offset || len > out->max - out->len)
        return err_set(e, ERR_CORRUPT, 0, "%s has %llu bytes", r->key,
                       (unsigned long long)o->size);
    buf_put(out, o->data + r->offset, len);
    return 0;
}

static int
mem_get(struct storage *s, const struct range *r, struct buf *out, struct err *e)
{
    struct mem *m = mem_of(s);
    size_t before = out->len;

    pthread_mutex_lock(&m->lock);
    int rc = get_locked(m, r, out, e);
    pthread_mutex_unlock(&m->lock);
    if (rc == 0 && keep_pace(r->pace, out->len - before, r->stop, e) < 0) {
        out->len = before;
        return -1;
    }
    return rc;
}

static void
describe(const struct object *o, struct object_info *out)
{
    *out = (struct object_info){ .size = o->size, .mtime_s = o->mtime_s, .version = "",
                                 .attested = true };
    memcpy(out->sha256, o->sha256, SHA256_LEN);
}

static int
mem_head(struct storage *s, const char *key, struct object_info *out, struct err *e)
{
    struct mem *m = mem_of(s);

    pthread_mutex_lock(&m->lock);
    const struct object *o = find(m, key);
    if (o)
        describe(o, out);
    pthread_mutex_unlock(&m->lock);
    out->version = NULL;
    return o ? 0 : not_found(key, e);
}

/* The first object above `key` that begins with `prefix`; its key replaces
 * `key`. The lock is not held while the caller looks at it. */
static bool
next(struct mem *m, const char *prefix, char key[STORAGE_KEY_MAX + 1],
     struct object_info *out)
{
    size_t len = strlen(prefix);

    pthread_mutex_lock(&m->lock);
    size_t at = lower_bound(m, strcmp(key, prefix) > 0 ? key : prefix);
    if (at < m->count && strcmp(m->objects[at].key, key) == 0)
        at++;
    bool found = at < m->count && strncmp(m->objects[at].key, prefix, len) == 0;
    if (found) {
        describe(&m->objects[at], out);
        storage_key_copy(key, m->objects[at].key);
        out->key = key;
    }
    pthread_mutex_unlock(&m->lock);
    return found;
}

static int
mem_list(struct storage *s, const char *prefix, const char *after, storage_list_fn *fn,
         void *arg, struct err *e)
{
    char key[STORAGE_KEY_MAX + 1];
    struct object_info o;

    storage_key_copy(key, after);
    while (next(mem_of(s), prefix, key, &o))
        if (fn(arg, &o, e) < 0)
            return -1;
    return 0;
}

static int
mem_remove(struct storage *s, const char *const *keys, size_t count, struct err *e)
{
    struct mem *m = mem_of(s);

    (void)e;
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < count; i++) {
        struct object *o = find(m, keys[i]);
        if (!o)
            continue;
        size_t at = (size_t)(o - m->objects);
        release(o);
        m->count--;
        memmove(o, o + 1, (m->count - at) * sizeof *o);
    }
    pthread_mutex_unlock(&m->lock);
    return 0;
}

static int
mem_now(struct storage *s, int64_t *out_s, struct err *e)
{
    (void)s;
    (void)e;
    *out_s = clock_now().s;
    return 0;
}

static void
mem_close(struct storage *s)
{
    struct mem *m = mem_of(s);

    for (size_t i = 0; i < m->count; i++)
        release(&m->objects[i]);
    mem_free(m->objects);
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

static const struct storage_ops mem_ops = {
    .put = mem_put,
    .get = mem_get,
    .head = mem_head,
    .list = mem_list,
    .remove = mem_remove,
    .now = mem_now,
    .close = mem_close,
};

struct storage *
storage_mem(void)
{
    struct mem *m = mem_zalloc(sizeof *m);

    m->base = (struct storage){ .ops = &mem_ops,
                                .traits = STORAGE_IF_ABSENT | STORAGE_LOCAL,
                                .url = mem_strdup("mem:") };
    pthread_mutex_init(&m->lock, NULL);
    return &m->base;
}
