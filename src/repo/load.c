#include "base/log.h"

#include "impl.h"

#include <string.h>

#define TRIES 8 /* packs that one chunk is looked for in */

/* The opened session key number `n`, from a small cache. */
static int
opened_key(struct repo *r, uint32_t n, struct hmac_key *prk, enum suite *suite,
           struct err *e)
{
    struct chunk_key key;

    pthread_mutex_lock(&r->load_lock);
    for (unsigned i = 0; i < OPENED_KEYS; i++)
        if (r->opened[i].used && r->opened[i].number == n) {
            *prk = r->opened[i].prk;
            *suite = r->opened[i].suite;
            pthread_mutex_unlock(&r->load_lock);
            return 0;
        }
    pthread_mutex_unlock(&r->load_lock);
    if (index_key(r->index, n, &key, e) < 0 || chunk_key_open(r->keys, &key, prk, e) < 0)
        return -1;
    *suite = key.suite;
    pthread_mutex_lock(&r->load_lock);
    struct opened_key *o = &r->opened[r->opened_next++ % OPENED_KEYS];
    *o = (struct opened_key){ n, true, *prk, key.suite };
    pthread_mutex_unlock(&r->load_lock);
    return 0;
}

int
repo_open_chunk(struct repo *r, struct chunk_tools *t, const struct chunk_id *id,
                const struct location *at, struct slice sealed, uint8_t *out,
                struct err *e)
{
    struct chunk_record rec = { .id = *id,
                                .counter = at->counter,
                                .offset = at->offset,
                                .stored = at->stored,
                                .raw = at->raw,
                                .encoding = at->encoding,
                                .kind = at->kind };
    struct hmac_key prk;
    enum suite suite;

    if (opened_key(r, at->key, &prk, &suite, e) < 0)
        return -1;
    int rc = chunk_open(t, r->keys, suite, &prk, &rec, sealed, out, e);
    crypto_wipe(&prk, sizeof prk);
    return rc;
}

struct wanted {
    struct repo *repo;
    struct chunk_tools *tools;
    const struct chunk_id *id;
    const struct location *at;
    uint8_t *out;
};

static int
check_chunk(void *arg, struct slice data, struct err *e)
{
    struct wanted *w = arg;

    return repo_open_chunk(w->repo, w->tools, w->id, w->at, data, w->out, e);
}

int
repo_load_chunk(struct repo *r, struct chunk_tools *t, struct target *from,
                const struct chunk_id *id, const struct location *at, uint8_t *out,
                struct err *e)
{
    struct wanted w = { r, t, id, at, out };
    AUTOBUF struct buf sealed = BUF(CHUNK_STORED_MAX);
    char key[PACK_KEY_LEN + 1];
    uint8_t name[32];
    uint64_t size;
    struct hmac_key prk;
    enum suite suite;

    int known = index_pack(r->index, at->pack, name, &size, e);
    if (known <= 0)
        return known < 0 ? -1
                         : err_set(e, ERR_NOT_FOUND, 0,
                                   "a chunk lies in a pack that was never sent");
    /* Before a target is asked: it is not to be blamed for what lies here. */
    if (opened_key(r, at->key, &prk, &suite, e) < 0)
        return -1;
    crypto_wipe(&prk, sizeof prk);
    pack_key(key, name);
    struct range range = { .key = key, .offset = at->offset, .len = at->stored };
    return fleet_get(r->fleet, from, &range, check_chunk, &w, &sealed, e);
}

static bool
is_finished(struct repo *r, uint32_t pack)
{
    uint8_t name[32];
    uint64_t size;
    struct err bad = { 0 }; /* index_find() tells of it */

    return index_pack(r->index, pack, name, &size, &bad) == 1;
}

static bool
counts(void *arg, uint32_t pack)
{
    return repo_usable(arg, pack) && is_finished(arg, pack);
}

static bool
finished(void *arg, uint32_t pack)
{
    return is_finished(arg, pack);
}

int
repo_find(struct repo *r, const struct chunk_id *id, struct location *out, struct err *e)
{
    int rc = index_find(r->index, id, counts, r, out, e);

    return rc == 0 ? index_find(r->index, id, finished, r, out, e) : rc;
}

/* Packs in which a chunk was looked for in vain. */
struct tried {
    struct repo *repo;
    uint32_t packs[TRIES];
    unsigned count;
};

static bool
not_tried(void *arg, uint32_t pack)
{
    const struct tried *t = arg;

    for (unsigned i = 0; i < t->count; i++)
        if (t->packs[i] == pack)
            return false;
    return is_finished(t->repo, pack);
}

static bool
may_lie_elsewhere(const struct err *e)
{
    return e->kind == ERR_NOT_FOUND || e->kind == ERR_CORRUPT || e->kind == ERR_FORGED;
}

int
repo_load_anywhere(struct repo *r, struct chunk_tools *t, struct target *from,
                   const struct chunk_id *id, const struct location *at, uint8_t *out,
                   struct err *e)
{
    struct tried tried = { .repo = r };
    struct location loc = *at;
    struct err first = { 0 };

    for (;;) {
        struct err one = { 0 };
        if (repo_load_chunk(r, t, from, id, &loc, out, &one) == 0)
            return 0;
        if (first.kind == ERR_NONE)
            first = one;
        tried.packs[tried.count++] = loc.pack;
        if (!may_lie_elsewhere(&one) || tried.count == TRIES
            || index_find(r->index, id, not_tried, &tried, &loc, &one) != 1
            || loc.raw != at->raw) {
            if (index_error(&one))
                first = one;
            break;
        }
    }
    *e = first;
    if (e->kind == ERR_NOT_FOUND)
        e->kind = ERR_CORRUPT; /* for the one who asked, it is lost, not unknown */
    return -1;
}

/* Metadata is read with what follows it, since that is wanted next. */
static struct span *
find_span(struct repo *r, const struct location *at)
{
    for (size_t i = 0; i < SPANS; i++) {
        struct span *s = &r->spans[i];
        if (s->bytes.len && s->pack == at->pack && at->offset >= s->offset
            && (uint64_t)at->offset + at->stored <= s->offset + s->bytes.len)
            return s;
    }
    return NULL;
}

static struct span *
read_span(struct repo *r, const struct location *at)
{
    struct span *s = &r->spans[r->span_next++ % SPANS];
    char key[PACK_KEY_LEN + 1];
    uint8_t name[32];
    uint64_t size;
    struct err ignored = { 0 };

    buf_clear(&s->bytes);
    if (index_pack(r->index, at->pack, name, &size, &ignored) != 1 || at->offset >= size)
        return NULL;
    pack_key(key, name);
    uint64_t len = at->stored > SPAN_LEN ? at->stored : SPAN_LEN;
    if (len > size - at->offset)
        len = size - at->offset;
    struct range range = { .key = key, .offset = at->offset, .len = len };
    if (len < at->stored
        || fleet_get(r->fleet, NULL, &range, NULL, NULL, &s->bytes, &ignored) < 0)
        return NULL;
    s->pack = at->pack;
    s->offset = at->offset;
    return s;
}

/* From the span, or exactly and from whichever target has a good copy. */
static int
load_remote(struct repo *r, const struct chunk_id *id, const struct location *at,
            uint8_t *out, struct err *e)
{
    struct err bad = { 0 };
    int rc = -1;

    pthread_mutex_lock(&r->span_lock);
    struct span *s = find_span(r, at);
    if (!s)
        s = read_span(r, at);
    if (s) {
        struct slice sealed = slice_sub(buf_slice(&s->bytes),
                                        (size_t)(at->offset - s->offset), at->stored);
        rc = repo_open_chunk(r, &r->tools, id, at, sealed, out, &bad);
        if (rc < 0)
            buf_clear(&s->bytes);
    }
    if (rc < 0)
        rc = repo_load_anywhere(r, &r->tools, NULL, id, at, out, e);
    pthread_mutex_unlock(&r->span_lock);
    return rc;
}

/* Cached nodes are locked under the cache key, with their id as nonce. */
static bool
from_cache(struct repo *r, enum chunk_kind kind, const struct chunk_id *id,
           struct buf *out)
{
    AUTOBUF struct buf locked = BUF(CHUNK_RAW_MAX + 64);
    struct err ignored = { 0 };
    struct chunk_id have;
    size_t before = out->len;

    if (!cache_get(r->state, slice_of(id->bytes, 32), &locked)
        || locked.len > out->max - out->len + NONCE_LEN + TAG_LEN
        || crypto_unlock(out, r->keys->cache_key, slice_of(id->bytes, 32),
                         buf_slice(&locked), &ignored)
               < 0)
        return false;
    keys_chunk_id(r->keys, (uint8_t)kind, slice_of(out->ptr + before, out->len - before),
                  &have);
    if (chunk_id_equal(&have, id))
        return true;
    out->len = before;
    return false;
}

void
repo_cache_node(struct repo *r, const struct chunk_id *id, struct slice plain)
{
    AUTOBUF struct buf locked = BUF(plain.len + NONCE_LEN + TAG_LEN);

    crypto_lock(&locked, r->keys->cache_key, id->bytes, slice_of(id->bytes, 32), plain);
    cache_put(r->state, slice_of(id->bytes, 32), buf_slice(&locked));
}

int
repo_load_node(void *arg, enum chunk_kind kind, const struct chunk_id *id,
               struct buf *out, struct err *e)
{
    struct repo *r = arg;
    struct location at;

    if (from_cache(r, kind, id, out))
        return 0;
    if (!keys_can_open(r->keys, CLASS_META)) /* no target is to blame */
        return err_set(e, ERR_DENIED, 0,
                       "a key of role %s opens no metadata, and this host remembers it "
                       "no more",
                       role_name(r->keys->role));
    int rc = repo_find(r, id, &at, e);
    if (rc < 0)
        return -1;
    if (rc == 0)
        return err_set(e, ERR_CORRUPT, 0, "a chunk of metadata is in no index");
    if (at.kind != kind || at.raw > out->max - out->len)
        return err_set(e, ERR_CORRUPT, 0, "a chunk of metadata is of another kind");
    uint8_t *to = buf_room(out, at.raw);
    if (load_remote(r, id, &at, to, e) < 0)
        return -1;
    out->len += at.raw;
    if (!r->temporary)
        repo_cache_node(r, id, slice_of(to, at.raw));
    return 0;
}
