#include "pipeline.h"
#include "base/cancel.h"
#include "base/log.h"
#include "base/queue.h"
#include "engine/memory.h"

#include "packer.h"

#include <assert.h>
#include <string.h>

#define ORDER_MAX 256
#define ENTRIES_BATCH 256
#define THREADS_MAX 16

struct pipeline {
    struct repo *repo;
    const struct session *session;
    struct backup_progress *progress;
    unsigned threads;
    struct queue *order, *work, *blocks, *sealed;
    unsigned block_count, sealed_count;
    struct block block[BUFFERS_MAX];
    uint8_t *sealed_memory[BUFFERS_MAX];
    pthread_t workers[THREADS_MAX], packer_thread;
    unsigned started;
    bool packer_started;
    pthread_mutex_t lock;
    pthread_cond_t done;
    struct err first_error; /* under lock */
    struct packer *packer;
    struct item *chunks;             /* gathered, not sent on yet */
    struct item *abandoned;          /* the packer's, while a worker may hold it */
    struct chunk_tools inline_tools; /* with threads == 0 */
    /* The reader's own. */
    uint32_t next_counter;
    struct held *batch, **batch_end;
    unsigned batch_count;
};

/* The first error wins and stops every stage. */
static void
fail(struct pipeline *p, const struct err *e)
{
    pthread_mutex_lock(&p->lock);
    if (p->first_error.kind == ERR_NONE)
        p->first_error = *e;
    pthread_cond_broadcast(&p->done);
    pthread_mutex_unlock(&p->lock);
    queue_cancel(p->order);
    queue_cancel(p->work);
    queue_cancel(p->blocks);
    queue_cancel(p->sealed);
}

void
block_release(struct pipeline *p, struct block *b)
{
    if (atomic_fetch_sub(&b->uses, 1) == 1)
        (void)queue_put(p->blocks, b);
}

static int flush_chunks(struct pipeline *p);

struct block *
pipeline_block(struct pipeline *p)
{
    void *b;

    /* what is gathered holds a block, too */
    if (flush_chunks(p) < 0 || !queue_take(p->blocks, &b))
        return NULL;
    atomic_store(&((struct block *)b)->uses, 1);
    return b;
}

static void
item_free(struct pipeline *p, struct item *it)
{
    while (it->first) {
        struct held *next = it->first->next;
        mem_free(it->first);
        it->first = next;
    }
    if (it->block)
        block_release(p, it->block);
    if (it->sealed)
        (void)queue_put(p->sealed, it->sealed);
    mem_free(it);
}

/* Names chunks, and seals those that are not known. */
static int
work_on(struct pipeline *p, struct item *it, struct chunk_tools *t, struct err *e)
{
    const struct keys *k = repo_keys(p->repo);
    uint8_t *room = it->sealed;

    zip_set_level(t->zip, repo_level(p->repo));
    for (size_t i = 0; i < it->piece_count; i++) {
        struct piece *x = &it->pieces[i];
        keys_chunk_id(k, (uint8_t)it->kind, x->raw, &x->id);
        int rc = index_find(repo_index(p->repo), &x->id, repo_usable, p->repo, &x->known,
                            e);
        if (rc < 0)
            return -1;
        x->hit = rc == 1;
        if (x->hit)
            continue;
        chunk_seal(t, k, p->session, it->kind, &x->id, x->counter, x->raw, it->store,
                   room, &x->record);
        x->sealed = room;
        room += x->record.stored;
    }
    return 0;
}

static void *
worker(void *arg)
{
    struct pipeline *p = arg;
    struct chunk_tools t;
    void *x;

    chunk_tools_init(&t, 1);
    while (queue_take(p->work, &x)) {
        struct item *it = x;
        struct err e = { 0 };
        int rc = work_on(p, it, &t, &e);
        if (rc < 0)
            fail(p, &e);
        pthread_mutex_lock(&p->lock);
        it->done = true;
        pthread_cond_broadcast(&p->done);
        pthread_mutex_unlock(&p->lock);
    }
    chunk_tools_release(&t);
    return NULL;
}

/* Waits until the workers are through with an item; false when all stops. */
static bool
await(struct pipeline *p, struct item *it)
{
    pthread_mutex_lock(&p->lock);
    while (!it->done && p->first_error.kind == ERR_NONE)
        pthread_cond_wait(&p->done, &p->lock);
    bool ok = it->done && p->first_error.kind == ERR_NONE;
    pthread_mutex_unlock(&p->lock);
    return ok;
}

static void *
packer_main(void *arg)
{
    struct pipeline *p = arg;
    struct err e = { 0 };
    void *x;

    while (queue_take(p->order, &x)) {
        struct item *it = x;
        bool end = it->type == ITEM_END;
        bool ok = it->type != ITEM_CHUNKS || await(p, it);
        if (ok && packer_take(p->packer, it, &e) < 0) {
            fail(p, &e);
            ok = false;
        }
        if (ok || it->type != ITEM_CHUNKS)
            item_free(p, it);
        else
            p->abandoned = it;
        if (!ok || end)
            break;
    }
    return NULL;
}

/* A block and a buffer for it come together. The reader fills one block while it still
 * holds the one before. */
static unsigned
buffer_count(uint64_t memory, unsigned usual)
{
    unsigned n = memory_units(memory, BLOCK_SIZE + chunk_room(BLOCK_SIZE), usual);

    return n < 2 ? 2 : n < BUFFERS_MAX ? n : BUFFERS_MAX;
}

int
pipeline_start(const struct pipeline_options *o, struct pipeline **out, struct err *e)
{
    struct pipeline *p = *out = mem_zalloc(sizeof *p);

    p->repo = o->repo;
    p->session = o->session;
    p->progress = o->progress;
    p->threads = o->threads < THREADS_MAX ? o->threads : THREADS_MAX;
    p->batch_end = &p->batch;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->done, NULL);
    p->order = queue_new(ORDER_MAX);
    p->work = queue_new(ORDER_MAX);
    p->block_count = buffer_count(o->memory, BLOCKS);
    p->sealed_count = buffer_count(o->memory, SEALED_BUFFERS);
    p->blocks = queue_new(p->block_count);
    p->sealed = queue_new(p->sealed_count);
    for (size_t i = 0; i < p->block_count; i++) {
        p->block[i].data = mem_pages(BLOCK_SIZE);
        (void)queue_put(p->blocks, &p->block[i]);
    }
    for (size_t i = 0; i < p->sealed_count; i++) {
        p->sealed_memory[i] = mem_pages(chunk_room(BLOCK_SIZE));
        (void)queue_put(p->sealed, p->sealed_memory[i]);
    }
    chunk_tools_init(&p->inline_tools, 1);
    if (packer_new(o, p->threads > 0, &p->packer, e) < 0)
        return -1;
    for (unsigned i = 0; i < p->threads; i++) {
        if (pthread_create(&p->workers[i], NULL, worker, p) != 0)
            return err_set(e, ERR_IO, 0, "cannot start a thread");
        p->started++;
    }
    if (p->threads > 0 && pthread_create(&p->packer_thread, NULL, packer_main, p) != 0)
        return err_set(e, ERR_IO, 0, "cannot start a thread");
    p->packer_started = p->threads > 0;
    return 0;
}

/* Passes an item on; in the caller's thread when there are no others. */
static int
emit(struct pipeline *p, struct item *it)
{
    struct err e = { 0 };

    if (p->threads > 0) {
        bool chunk = it->type == ITEM_CHUNKS;
        if (!queue_put(p->order, it)) {
            item_free(p, it);
            return -1;
        }
        return chunk && !queue_put(p->work, it) ? -1 : 0;
    }
    int rc = it->type == ITEM_CHUNKS ? work_on(p, it, &p->inline_tools, &e) : 0;
    if (rc == 0)
        rc = packer_take(p->packer, it, &e);
    item_free(p, it);
    if (rc < 0)
        fail(p, &e);
    return rc;
}

/* Sends the gathered entries on, so that order is kept. */
static int
flush_batch(struct pipeline *p)
{
    struct item *it;

    if (!p->batch)
        return 0;
    it = mem_zalloc(sizeof *it);
    it->type = ITEM_ENTRIES;
    it->first = p->batch;
    p->batch = NULL;
    p->batch_end = &p->batch;
    p->batch_count = 0;
    return emit(p, it);
}

/* Sends the gathered chunks on. */
static int
flush_chunks(struct pipeline *p)
{
    return p->chunks ? emit(p, TAKE(p->chunks)) : 0;
}

static int
flush_all(struct pipeline *p)
{
    return flush_chunks(p) < 0 ? -1 : flush_batch(p);
}

/* Does the chunk go with those that were gathered? */
static bool
goes_with(const struct item *it, enum chunk_kind kind, const struct block *b,
          struct slice raw, bool store)
{
    return it && kind == KIND_FILE && it->kind == kind && it->block == b
        && it->store == store && it->piece_count < PIECES_MAX
        && it->raw_bytes + raw.len <= PIECES_BYTES;
}

int
pipeline_chunk(struct pipeline *p, enum chunk_kind kind, int64_t bundle, struct block *b,
               struct slice raw, bool store)
{
    if (!goes_with(p->chunks, kind, b, raw, store)) {
        void *sealed;
        /* Taken here, in order: a chunk that later ones had robbed of the last buffer
         * would wait for ever, since they wait for it at the packer. */
        if (flush_all(p) < 0 || !queue_take(p->sealed, &sealed))
            return -1;
        p->chunks = mem_zalloc(sizeof *p->chunks);
        p->chunks->sealed = sealed;
        p->chunks->type = ITEM_CHUNKS;
        p->chunks->kind = kind;
        p->chunks->bundle = bundle;
        p->chunks->block = b;
        p->chunks->store = store;
        atomic_fetch_add(&b->uses, 1);
    }
    struct item *it = p->chunks;
    it->pieces[it->piece_count++] = (struct piece){ .raw = raw,
                                                    .counter = p->next_counter++ };
    it->raw_bytes += raw.len;
    if (p->next_counter == UINT32_MAX) {
        struct err e = { 0 };
        err_set(&e, ERR_UNSUPPORTED, 0, "more than 4 billion chunks in one run");
        fail(p, &e);
    }
    return kind == KIND_FILE ? 0 : flush_chunks(p);
}

int
pipeline_hole(struct pipeline *p, uint64_t len)
{
    struct item *it = mem_zalloc(sizeof *it);

    it->type = ITEM_HOLE;
    it->hole = len;
    if (flush_all(p) < 0) {
        item_free(p, it);
        return -1;
    }
    return emit(p, it);
}

int
pipeline_reset(struct pipeline *p)
{
    struct item *it = mem_zalloc(sizeof *it);

    it->type = ITEM_RESET;
    if (flush_chunks(p) < 0) {
        item_free(p, it);
        return -1;
    }
    return emit(p, it);
}

struct held *
held_new(const struct entry *en)
{
    const struct slice *from[] = { &en->path, &en->user, &en->group, &en->target,
                                   &en->xattrs };
    size_t len = 0;

    for (size_t i = 0; i < COUNT_OF(from); i++)
        len += from[i]->len;
    struct held *h = mem_alloc(sizeof *h + len);
    memset(h, 0, sizeof *h);
    h->entry = *en;
    h->bundle = -1;
    struct slice *to[] = { &h->entry.path, &h->entry.user, &h->entry.group,
                           &h->entry.target, &h->entry.xattrs };
    size_t at = 0;
    for (size_t i = 0; i < COUNT_OF(from); i++) {
        if (from[i]->len)
            memcpy(h->bytes + at, from[i]->ptr, from[i]->len);
        *to[i] = slice_of(h->bytes + at, from[i]->len);
        at += from[i]->len;
    }
    return h;
}

int
pipeline_entry(struct pipeline *p, struct held *h)
{
    if (flush_chunks(p) < 0) {
        mem_free(h);
        return -1;
    }
    *p->batch_end = h;
    p->batch_end = &h->next;
    p->batch_count++;
    return p->batch_count >= ENTRIES_BATCH || h->takes_extents ? flush_batch(p) : 0;
}

void
pipeline_use_pack(struct pipeline *p, uint32_t pack)
{
    packer_use_pack(p->packer, pack);
}

static void
join(struct pipeline *p)
{
    if (p->packer_started)
        pthread_join(p->packer_thread, NULL);
    p->packer_started = false;
    queue_close(p->work);
    for (unsigned i = 0; i < p->started; i++)
        pthread_join(p->workers[i], NULL);
    p->started = 0;
}

int
pipeline_finish(struct pipeline *p, struct manifest_root *root, struct buf *packs,
                struct err *e)
{
    struct item *end = mem_zalloc(sizeof *end);

    end->type = ITEM_END;
    if (flush_all(p) == 0)
        (void)!emit(p, end); /* a failure is in first_error */
    else
        item_free(p, end);
    join(p);
    if (p->first_error.kind != ERR_NONE) {
        *e = p->first_error;
        return -1;
    }
    return packer_finish(p->packer, root, packs, e);
}

void
pipeline_stop(struct pipeline *p, struct err *e)
{
    struct err stopped = { 0 };

    err_set(&stopped, ERR_CANCELLED, 0, "stopped");
    fail(p, &stopped);
    join(p);
    *e = p->first_error;
}

void
pipeline_free(struct pipeline *p)
{
    struct err ignored;
    void *left;

    if (!p)
        return;
    pipeline_stop(p, &ignored);
    while (queue_salvage(p->order, &left))
        item_free(p, left);
    if (p->abandoned)
        item_free(p, p->abandoned);
    if (p->chunks)
        item_free(p, p->chunks);
    while (p->batch) {
        struct held *next = p->batch->next;
        mem_free(p->batch);
        p->batch = next;
    }
    packer_free(p->packer);
    chunk_tools_release(&p->inline_tools);
    for (size_t i = 0; i < p->block_count; i++)
        mem_free(p->block[i].data);
    for (size_t i = 0; i < p->sealed_count; i++)
        mem_free(p->sealed_memory[i]);
    queue_free(p->order);
    queue_free(p->work);
    queue_free(p->blocks);
    queue_free(p->sealed);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->done);
    mem_free(p);
}
