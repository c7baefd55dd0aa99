#include "base/cancel.h"
#include "base/log.h"
#include "engine/memory.h"

#include "verify_impl.h"

#include <string.h>

#define WINDOW ((uint64_t)4 << 20)
#define THREADS_MAX 16

/* One thread that reads packs. */
struct pack_reader {
    struct verify *v;
    struct chunk_tools tools;
    struct sha256 *hash;
    struct buf window, directory, tail;
    uint8_t *plain;
    struct chunk_key key; /* the one opened last: a session's serves many chunks */
    struct hmac_key prk;
    bool have_key;
    pthread_t thread;
    bool started;
};

static int
get(struct pack_reader *p, const char *key, uint64_t at, uint64_t len, struct buf *out,
    struct err *e)
{
    struct range range = { .key = key, .offset = at, .len = len };

    return storage_get(p->v->target->store, &range, out, e);
}

static bool
same_key(const struct chunk_key *a, const struct chunk_key *b)
{
    return a->class == b->class && a->suite == b->suite && a->epoch == b->epoch
        && memcmp(a->sealed, b->sealed, sizeof a->sealed) == 0;
}

static int
open_key(struct pack_reader *p, const struct chunk_key *key, struct err *e)
{
    if (p->have_key && same_key(&p->key, key))
        return 0;
    p->have_key = chunk_key_open(repo_keys(p->v->repo), key, &p->prk, e) == 0;
    p->key = *key;
    return p->have_key ? 0 : -1;
}

/* Opens the chunks that lie wholly in the window, which begins at `at` of the
 * pack. With keys that may not open the class, the hash alone must do. */
static int
open_chunks(struct pack_reader *p, const struct directory *d, uint32_t *next, uint64_t at,
            struct err *e)
{
    struct repo *r = p->v->repo;

    for (; *next < d->chunk_count; ++*next) {
        struct chunk_record c;
        struct chunk_key key;
        directory_chunk(d, *next, &c);
        if ((uint64_t)c.offset + c.stored > at + p->window.len)
            return 0;
        directory_key(d, c.key, &key);
        if (!keys_can_open(repo_keys(r), key.class))
            continue;
        struct slice sealed = slice_sub(buf_slice(&p->window), (size_t)(c.offset - at),
                                        c.stored);
        if (open_key(p, &key, e) < 0
            || chunk_open(&p->tools, repo_keys(r), key.suite, &p->prk, &c, sealed,
                          p->plain, e)
                   < 0)
            return -1;
        __atomic_fetch_add(&p->v->told->chunks, 1, __ATOMIC_RELAXED);
    }
    return 0;
}

/* The directory, through the two ends of the pack. */
static int
read_directory(struct pack_reader *p, const char *key, uint64_t size, struct directory *d,
               struct err *e)
{
    AUTOBUF struct buf head = BUF(PACK_BODY), footer = BUF(PACK_FOOTER);
    uint64_t at = 0;

    buf_clear(&p->tail);
    buf_clear(&p->directory);
    if (get(p, key, 0, PACK_BODY, &head, e) < 0
        || get(p, key, size - PACK_FOOTER, PACK_FOOTER, &footer, e) < 0
        || pack_tail(buf_slice(&footer), size, &at, e) < 0
        || get(p, key, at, size - at, &p->tail, e) < 0)
        return -1;
    return pack_open_directory(repo_keys(p->v->repo), buf_slice(&head),
                               buf_slice(&p->tail), size, &p->directory, d, e);
}

static int
read_pack(struct pack_reader *p, const char *key, const uint8_t name[32], uint64_t size,
          struct err *e)
{
    struct directory d;
    uint8_t hash[32];
    uint32_t next = 0;
    uint64_t at = 0; /* where the window begins */

    if (read_directory(p, key, size, &d, e) < 0)
        return -1;
    sha256_reset(p->hash);
    buf_clear(&p->window);
    for (uint64_t done = 0; done < size;) {
        size_t before = p->window.len;
        uint64_t len = size - done < WINDOW ? size - done : WINDOW;
        if (cancel_check(e) < 0 || get(p, key, done, len, &p->window, e) < 0)
            return -1;
        sha256_feed(p->hash, slice_sub(buf_slice(&p->window), before, (size_t)len));
        done += len;
        atomic_fetch_add(&p->v->progress.bytes, len);
        if (open_chunks(p, &d, &next, at, e) < 0)
            return -1;
        struct chunk_record c = { .offset = (uint32_t)done };
        if (next < d.chunk_count)
            directory_chunk(&d, next, &c);
        size_t used = c.offset > at + p->window.len ? p->window.len
                                                    : (size_t)(c.offset - at);
        memmove(p->window.ptr, p->window.ptr + used, p->window.len - used);
        p->window.len -= used;
        at += used;
    }
    sha256_end(p->hash, hash);
    if (memcmp(hash, name, 32) != 0)
        return err_set(e, ERR_CORRUPT, 0, "its bytes do not fit its name");
    return 0;
}

static bool
is_damage(const struct err *e)
{
    return e->kind == ERR_CORRUPT || e->kind == ERR_FORGED || e->kind == ERR_NOT_FOUND
        || e->kind == ERR_UNSUPPORTED;
}

/* The next pack to read; false at the end. */
static bool
next_pack(struct verify *v, uint32_t *n)
{
    pthread_mutex_lock(&v->lock);
    bool found = false;
    while (!found && v->error.kind == ERR_NONE && v->next_pack < v->pack_count) {
        *n = v->next_pack++;
        found = verify_bit(v->present, *n) || verify_bit(v->unnamed, *n);
    }
    pthread_mutex_unlock(&v->lock);
    return found;
}

static void *
read_main(void *arg)
{
    struct pack_reader *p = arg;
    struct verify *v = p->v;
    uint32_t n = 0;

    while (next_pack(v, &n)) {
        char key[PACK_KEY_LEN + 1];
        uint8_t name[32];
        uint64_t size;
        struct err e = { 0 };
        int known = index_pack(repo_index(v->repo), n, name, &size, &e);
        if (known == 0)
            continue;
        if (known == 1)
            pack_key(key, name);
        if (known == 1 && read_pack(p, key, name, size, &e) == 0) {
            __atomic_fetch_add(&v->told->bytes_read, size, __ATOMIC_RELAXED);
        } else if (is_damage(&e)) {
            bool missing = e.kind == ERR_NOT_FOUND;
            int healed = !verify_pruned(v, key, missing)
                      && verify_bad(v, key, size, missing, err_text(&e));
            pthread_mutex_lock(&v->lock);
            if (!healed) {
                verify_set(v->bad, n);
                verify_clear(v->present, n);
            }
            pthread_mutex_unlock(&v->lock);
        } else {
            pthread_mutex_lock(&v->lock);
            if (v->error.kind == ERR_NONE)
                v->error = e;
            pthread_mutex_unlock(&v->lock);
        }
        atomic_fetch_add(&v->progress.packs, 1);
        pthread_mutex_lock(&v->lock);
        verify_tick(v);
        pthread_mutex_unlock(&v->lock);
    }
    return NULL;
}

int
verify_read_packs(struct verify *v, struct err *e)
{
    struct pack_reader readers[THREADS_MAX];
    const uint64_t each = WINDOW + CHUNK_STORED_MAX + CHUNK_RAW_MAX;
    unsigned n = memory_units(v->options->memory, each, THREADS_MAX);

    if (n > v->options->threads)
        n = v->options->threads ? v->options->threads : 1;
    if (n > THREADS_MAX)
        n = THREADS_MAX;
    for (unsigned i = 0; i < n; i++) {
        struct pack_reader *p = &readers[i];
        *p = (struct pack_reader){ .v = v,
                                   .window = BUF(WINDOW + CHUNK_STORED_MAX),
                                   .directory = BUF(PACK_DIRECTORY_MAX + 4096),
                                   .tail = BUF(PACK_DIRECTORY_MAX + 8192) };
        chunk_tools_init(&p->tools, 1);
        p->hash = sha256_new();
        p->plain = mem_alloc(CHUNK_RAW_MAX);
        p->started = pthread_create(&p->thread, NULL, read_main, p) == 0;
        if (!p->started)
            read_main(p);
    }
    for (unsigned i = 0; i < n; i++) {
        struct pack_reader *p = &readers[i];
        if (p->started)
            pthread_join(p->thread, NULL);
        chunk_tools_release(&p->tools);
        crypto_wipe(&p->prk, sizeof p->prk);
        sha256_free(p->hash);
        buf_release(&p->window);
        buf_release(&p->directory);
        buf_release(&p->tail);
        mem_free(p->plain);
    }
    if (v->error.kind == ERR_NONE)
        return 0;
    *e = v->error;
    v->error = (struct err){ 0 };
    return -1;
}
