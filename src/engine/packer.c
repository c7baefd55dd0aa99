#include "packer.h"
#include "base/log.h"

#include "closer.h"

#include <assert.h>
#include <string.h>

#define DATA_PACKS 2 /* open at once; a chunk goes to either at random */
#define PACKS (DATA_PACKS + 1)
#define META (PACKS - 1)
#define PACK_CHUNKS_USUAL 32768 /* a pack of tiny chunks is closed earlier */

/* What a link group's content is, once the first name has been through. */
struct link {
    uint64_t group; /* 0: free */
    uint64_t size;
    uint8_t content_id[CONTENT_ID_LEN];
    bool tree;
    uint8_t extent_count;
    struct extent extents[ENTRY_EXTENTS_MAX];
};

struct open_pack {
    struct pack_writer *writer;
    uint32_t number;
};

struct packer {
    struct repo *repo;
    const struct session *session;
    struct backup_progress *progress;
    bool dry_run;
    struct pack_scribe *scribe; /* or NULL */
    struct closer *closer;
    struct open_pack packs[PACKS];
    uint64_t coins; /* random bits, `coins_left` of them unused */
    unsigned coins_left;
    struct manifest_writer *manifest;
    struct chunk_tools tools;
    uint8_t *sealed; /* for metadata */
    uint32_t meta_counter;
    /* The extents of the file whose chunks are passing. */
    struct extent extents[ENTRY_EXTENTS_MAX];
    size_t extent_count;
    uint64_t extents_len;
    struct extent_writer *tree;
    /* Entries that wait for a bundle to close, in order. */
    struct held *waiting, **waiting_end;
    int64_t closed_bundle; /* the newest whose id is known */
    struct chunk_id bundle_id;
    struct link *links; /* LINKS_MAX * 2, open addressing */
    size_t link_count;
    pthread_mutex_t used_lock;
    uint8_t *used; /* a bit per pack */
    uint32_t used_cap;
};

static int store_node(void *arg, enum chunk_kind kind, struct slice plain,
                      struct chunk_id *id, struct err *e);

int
packer_new(const struct pipeline_options *o, bool threaded, struct packer **out,
           struct err *e)
{
    struct packer *p = *out = mem_zalloc(sizeof *p);
    struct repo *r = o->repo;

    p->repo = r;
    p->session = o->session;
    p->dry_run = o->dry_run;
    p->progress = o->progress;
    p->waiting_end = &p->waiting;
    p->closed_bundle = -1;
    p->scribe = threaded ? pack_scribe_new() : NULL;
    p->closer = closer_new(r, threaded);
    p->sealed = mem_alloc(chunk_room(CHUNK_RAW_MAX));
    chunk_tools_init(&p->tools, repo_level(r));
    p->manifest = manifest_writer_new(repo_keys(r), store_node, p);
    pthread_mutex_init(&p->used_lock, NULL);
    return o->unordered ? manifest_writer_sort(p->manifest, repo_dir(r), e) : 0;
}

void
packer_free(struct packer *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < PACKS; i++)
        pack_abort(p->packs[i].writer);
    closer_free(p->closer);
    pack_scribe_free(p->scribe);
    while (p->waiting) {
        struct held *next = p->waiting->next;
        mem_free(p->waiting);
        p->waiting = next;
    }
    manifest_writer_free(p->manifest);
    extent_writer_free(p->tree);
    chunk_tools_release(&p->tools);
    pthread_mutex_destroy(&p->used_lock);
    mem_free(p->sealed);
    mem_free(p->links);
    mem_free(p->used);
    mem_free(p);
}

void
packer_use_pack(struct packer *p, uint32_t pack)
{
    pthread_mutex_lock(&p->used_lock);
    if (pack >= p->used_cap) {
        uint32_t cap = (pack + 1024) * 2 & ~7u;
        p->used = mem_resize(p->used, cap / 8);
        memset(p->used + p->used_cap / 8, 0, (cap - p->used_cap) / 8);
        p->used_cap = cap;
    }
    p->used[pack / 8] = (uint8_t)(p->used[pack / 8] | 1u << pack % 8);
    pthread_mutex_unlock(&p->used_lock);
}

static int
close_pack(struct packer *p, struct open_pack *o, bool last, struct err *e)
{
    return o->writer ? closer_take(p->closer, TAKE(o->writer), o->number, last, e) : 0;
}

/* Which pack gets the next data; the kernel is asked once for 64 of them. */
static size_t
toss(struct packer *p)
{
    static_assert(DATA_PACKS == 2, "a bit decides");
    if (p->coins_left == 0) {
        random_bytes(repo_random(p->repo), &p->coins, sizeof p->coins);
        p->coins_left = 64;
    }
    return p->coins >> --p->coins_left & 1;
}

/* Puts one sealed chunk into a pack of its class. */
static int
store_sealed(struct packer *p, struct chunk_record *rec, struct slice sealed,
             struct err *e)
{
    enum chunk_class class = chunk_class_of(rec->kind);
    size_t which = class == CLASS_META ? META : toss(p);
    struct open_pack *o = &p->packs[which];
    const struct chunk_key *key = &p->session->key[class];

    atomic_fetch_add(&p->progress->new_chunks, 1);
    atomic_fetch_add(&p->progress->new_bytes, rec->raw);
    atomic_fetch_add(&p->progress->stored_bytes, rec->stored);
    if (p->dry_run)
        return 0;
    if (!o->writer
        && (index_pack_begin(repo_index(p->repo), &o->number, e) < 0
            || pack_begin(repo_keys(p->repo), class, p->session->id, repo_random(p->repo),
                          p->scribe, fleet_spool_tmp(repo_fleet(p->repo)), &o->writer, e)
                   < 0))
        return -1;
    if (pack_add(o->writer, rec, key, sealed, e) < 0
        || index_add_chunk(repo_index(p->repo), o->number, rec, key, e) < 0)
        return -1;
    packer_use_pack(p, o->number);
    bool full = pack_size(o->writer) >= PACK_TARGET
             || pack_count(o->writer) >= PACK_CHUNKS_USUAL;
    return full ? close_pack(p, o, false, e) : 0;
}

/* Stores a metadata chunk unless it is known; a node_store_fn. */
static int
store_node(void *arg, enum chunk_kind kind, struct slice plain, struct chunk_id *id,
           struct err *e)
{
    struct packer *p = arg;
    struct chunk_record rec;
    struct location at;

    keys_chunk_id(repo_keys(p->repo), (uint8_t)kind, plain, id);
    int rc = index_find(repo_index(p->repo), id, repo_usable, p->repo, &at, e);
    if (rc < 0)
        return -1;
    /* who can open none will find it nowhere else */
    if (rc == 1 && !p->dry_run && !keys_can_open(repo_keys(p->repo), CLASS_META))
        repo_cache_node(p->repo, id, plain);
    if (rc == 1) {
        packer_use_pack(p, at.pack);
        return 0;
    }
    chunk_seal(&p->tools, repo_keys(p->repo), p->session, kind, id, p->meta_counter++,
               plain, false, p->sealed, &rec);
    if (!p->dry_run)
        repo_cache_node(p->repo, id, plain);
    return store_sealed(p, &rec, slice_of(p->sealed, rec.stored), e);
}

/* The file's next extent; the ninth turns them into a tree. */
static int
add_extent(struct packer *p, const struct extent *x, struct err *e)
{
    p->extents_len += x->len;
    if (!p->tree && p->extent_count < ENTRY_EXTENTS_MAX) {
        p->extents[p->extent_count++] = *x;
        return 0;
    }
    if (!p->tree) {
        p->tree = extent_writer_new(store_node, p);
        for (size_t i = 0; i < p->extent_count; i++)
            if (extent_add(p->tree, &p->extents[i], e) < 0)
                return -1;
    }
    return extent_add(p->tree, x, e);
}

static void
reset_extents(struct packer *p)
{
    extent_writer_free(TAKE(p->tree));
    p->extent_count = 0;
    p->extents_len = 0;
}

static int
take_extents(struct packer *p, struct entry *en, struct err *e)
{
    int rc = 0;

    assert(p->extents_len == en->size);
    if (p->tree) {
        en->tree = true;
        en->extent_count = 1;
        en->extents[0] = (struct extent){ .len = en->size };
        rc = extent_finish(p->tree, &en->extents[0].id, e);
    } else {
        en->extent_count = (uint8_t)p->extent_count;
        memcpy(en->extents, p->extents, p->extent_count * sizeof *p->extents);
    }
    reset_extents(p);
    return rc;
}

static struct link *
find_link(struct packer *p, uint64_t group)
{
    if (!p->links)
        p->links = mem_zalloc(LINKS_MAX * 2 * sizeof *p->links);
    size_t i = (group * 0x9e3779b97f4a7c15u >> 32) % (LINKS_MAX * 2);
    while (p->links[i].group && p->links[i].group != group)
        i = (i + 1) % (LINKS_MAX * 2);
    return &p->links[i];
}

/* The first name of a link group that was read gives its content to the others. The
 * reader counts the same entries towards LINKS_MAX: it knows what is remembered here. */
static void
share_link(struct packer *p, struct held *h)
{
    struct entry *en = &h->entry;
    struct link *l;

    if (en->type != ENTRY_FILE || !en->link_group || h->kept)
        return;
    l = find_link(p, en->link_group);
    if (h->takes_link) {
        assert(l->group == en->link_group);
        en->size = l->size;
        en->tree = l->tree;
        en->extent_count = l->extent_count;
        memcpy(en->content_id, l->content_id, sizeof en->content_id);
        memcpy(en->extents, l->extents, sizeof en->extents);
    } else if (!l->group && p->link_count < LINKS_MAX) {
        *l = (struct link){ .group = en->link_group,
                            .size = en->size,
                            .tree = en->tree,
                            .extent_count = en->extent_count };
        memcpy(l->content_id, en->content_id, sizeof l->content_id);
        memcpy(l->extents, en->extents, sizeof l->extents);
        p->link_count++;
    }
}

/* Gives the manifest every entry that no open bundle holds up. */
static int
flush_waiting(struct packer *p, struct err *e)
{
    while (p->waiting && p->waiting->bundle <= p->closed_bundle) {
        struct held *h = p->waiting;
        if (h->bundle >= 0) {
            h->entry.extent_count = 1;
            h->entry.extents[0] = (struct extent){ p->bundle_id, h->offset,
                                                   h->entry.size };
        }
        share_link(p, h);
        int rc = manifest_add(p->manifest, &h->entry, e);
        p->waiting = h->next;
        if (!p->waiting)
            p->waiting_end = &p->waiting;
        mem_free(h);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int
take_entries(struct packer *p, struct item *it, struct err *e)
{
    while (it->first) {
        struct held *h = it->first;
        it->first = h->next;
        h->next = NULL;
        *p->waiting_end = h;
        p->waiting_end = &h->next;
        if (h->takes_extents && take_extents(p, &h->entry, e) < 0)
            return -1;
    }
    return flush_waiting(p, e);
}

static int
take_chunk(struct packer *p, const struct item *it, const struct piece *x, struct err *e)
{
    struct location at = x->known;
    int rc = x->hit
               ? 1
               : index_find(repo_index(p->repo), &x->id, repo_usable, p->repo, &at, e);
    struct chunk_record record = x->record;

    if (rc < 0)
        return -1;
    if (rc == 1)
        packer_use_pack(p, at.pack);
    else if (store_sealed(p, &record, slice_of(x->sealed, record.stored), e) < 0)
        return -1;
    if (it->kind == KIND_BUNDLE) {
        assert(it->bundle == p->closed_bundle + 1);
        p->bundle_id = x->id;
        p->closed_bundle = it->bundle;
        return flush_waiting(p, e);
    }
    struct extent ext = { x->id, 0, x->raw.len };
    return add_extent(p, &ext, e);
}

static int
take_chunks(struct packer *p, const struct item *it, struct err *e)
{
    for (size_t i = 0; i < it->piece_count; i++)
        if (take_chunk(p, it, &it->pieces[i], e) < 0)
            return -1;
    return 0;
}

int
packer_take(struct packer *p, struct item *it, struct err *e)
{
    struct extent hole = { .len = it->hole };

    switch (it->type) {
    case ITEM_ENTRIES:
        return take_entries(p, it, e);
    case ITEM_CHUNKS:
        return take_chunks(p, it, e);
    case ITEM_HOLE:
        return add_extent(p, &hole, e);
    case ITEM_RESET:
        reset_extents(p);
        return 0;
    case ITEM_END:
        return 0;
    }
    return 0;
}

int
packer_finish(struct packer *p, struct manifest_root *root, struct buf *packs,
              struct err *e)
{
    assert(!p->waiting);
    if (manifest_finish(p->manifest, root, e) < 0)
        return -1;
    for (size_t i = 0; i < PACKS; i++)
        if (close_pack(p, &p->packs[i], true, e) < 0)
            return -1;
    if (closer_wait(p->closer, e) < 0)
        return -1;
    for (uint32_t n = 0; n < p->used_cap; n++) {
        uint8_t name[32];
        uint64_t size;
        if (!(p->used[n / 8] >> n % 8 & 1))
            continue;
        int rc = index_pack(repo_index(p->repo), n, name, &size, e);
        if (rc == 0)
            return err_set(e, ERR_IO, 0,
                           "the local index names a pack that never "
                           "ended; remove %s/index",
                           repo_dir(p->repo));
        if (rc < 0)
            return -1;
        buf_put(packs, name, 32);
    }
    return 0;
}
