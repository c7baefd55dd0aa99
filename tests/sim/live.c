#include "sim/live.h"

#include "../../src/repo/impl.h"

#include <stdlib.h>
#include <string.h>

#define KEY_ROOM (CHAIN_KEY_LEN + 1)

/* Which snapshots are to be walked? Also those of which only done/ is left. */

struct names {
    struct repo *repo;
    struct target *target;
    struct buf snaps, gone; /* keys of snapshots, with their NULs */
};

static bool
has(const struct buf *keys, const char *key)
{
    for (size_t at = 0; at < keys->len; at += KEY_ROOM)
        if (strcmp((const char *)keys->ptr + at, key) == 0)
            return true;
    return false;
}

static void
add(struct buf *keys, const char *key)
{
    if (!has(keys, key))
        buf_put(keys, key, KEY_ROOM);
}

static int
snap_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct names *n = arg;
    struct chain_name name;

    (void)e;
    if (chain_name(&name, o->key))
        add(&n->snaps, o->key);
    return 0;
}

static int
take_record(struct names *n, const char *key, enum object_type type, struct buf *keys,
            struct err *e)
{
    char snapshot[CHAIN_KEY_LEN + 1];
    struct err bad = { 0 };

    if (repo_open_record(n->repo, n->target, key, type, snapshot, &bad) == 0) {
        add(keys, snapshot);
        return 0;
    }
    if (repo_is_unbelievable(&bad))
        return 0;
    *e = bad;
    return -1;
}

static int
done_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct names *n = arg;

    return take_record(n, o->key, OBJECT_DONE, &n->snaps, e);
}

static int
gone_listed(void *arg, const struct object_info *o, struct err *e)
{
    struct names *n = arg;

    return take_record(n, o->key, OBJECT_GONE, &n->gone, e);
}

/* And which packs have a chunk of them? */

struct live {
    struct repo *repo;
    uint8_t *used; /* a bit per pack */
    uint32_t count;
};

static bool
is_finished(const struct live *l, uint32_t pack)
{
    uint8_t name[32];
    uint64_t size;
    struct err bad = { 0 };

    return pack < l->count
        && index_pack(repo_index(l->repo), pack, name, &size, &bad) == 1;
}

static bool
is_used(const struct live *l, uint32_t pack)
{
    return l->used[pack / 8] >> pack % 8 & 1;
}

static bool
finished(void *arg, uint32_t pack)
{
    return is_finished(arg, pack);
}

static bool
finished_and_unused(void *arg, uint32_t pack)
{
    return is_finished(arg, pack) && !is_used(arg, pack);
}

static int
use(struct live *l, const struct chunk_id *id, struct err *e)
{
    struct index *x = repo_index(l->repo);
    struct location at;
    int rc;

    if (chunk_id_is_hole(id))
        return 0;
    while ((rc = index_find(x, id, finished_and_unused, l, &at, e)) == 1)
        l->used[at.pack / 8] = (uint8_t)(l->used[at.pack / 8] | 1u << at.pack % 8);
    if (rc == 0)
        rc = index_find(x, id, finished, l, &at, e);
    return rc == 0 ? err_set(e, ERR_CORRUPT, 0, "a chunk of it is in no index") : rc;
}

static int
load(void *arg, enum chunk_kind kind, const struct chunk_id *id, struct buf *out,
     struct err *e)
{
    struct live *l = arg;

    return use(l, id, e) < 0 ? -1 : repo_load_node(l->repo, kind, id, out, e);
}

static int
use_extent(void *arg, uint64_t at, const struct extent *x, struct err *e)
{
    (void)at;
    return use(arg, &x->id, e) < 0 ? -1 : 0;
}

static int
walk(struct live *l, const struct snapshot *s, struct err *e)
{
    CLEANUP(manifest_reader_free_p)
    struct manifest_reader *m = manifest_reader_new(&s->root, load, l);
    struct entry en;
    int rc;

    while ((rc = manifest_next(m, &en, e)) == 1)
        if (en.type == ENTRY_FILE && extent_each(&en, load, l, use_extent, l, e) < 0)
            return -1;
    return rc;
}

static int
walk_all(struct live *l, const struct names *n, const struct snapshot_list *list,
         struct err *e)
{
    for (size_t at = 0; at < n->snaps.len; at += KEY_ROOM) {
        const char *key = (const char *)n->snaps.ptr + at;
        size_t i = 0;
        if (has(&n->gone, key))
            continue;
        while (i < list->count && strcmp(list->rows[i].key, key) != 0)
            i++;
        if (i == list->count || !list->rows[i].loaded)
            return err_set(e, ERR_CORRUPT, 0, "%s cannot be read", key);
        if (walk(l, &list->rows[i].info, e) < 0)
            return err_in(e, "walking %s", key);
    }
    return 0;
}

static int
by_name(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

int
live_packs(struct repo *r, size_t target, struct buf *live, struct err *e)
{
    struct target *t = fleet_target(repo_fleet(r), target);
    CLEANUP(snapshot_list_release) struct snapshot_list list = { 0 };
    struct names n = { r, t, BUF(1 << 20), BUF(1 << 20) };
    struct live l = { .repo = r };

    int rc = storage_list(t->store, "snap/", snap_listed, &n, e);
    if (rc == 0)
        rc = storage_list(t->store, "done/", done_listed, &n, e);
    if (rc == 0)
        rc = storage_list(t->store, "gone/", gone_listed, &n, e);
    if (rc == 0)
        rc = repo_snapshots(r, &list, e);
    if (rc == 0)
        rc = repo_load_index(r, e);
    if (rc == 0 && !target_is_up(repo_fleet(r), t))
        rc = err_set(e, ERR_UNAVAIL, 0, "target %s is away", t->name);
    l.count = index_packs(repo_index(r));
    l.used = mem_zalloc(l.count / 8 + 1);
    if (rc == 0)
        rc = walk_all(&l, &n, &list, e);
    for (uint32_t i = 0; i < l.count && rc == 0; i++) {
        uint8_t name[32];
        uint64_t size;
        if (!is_used(&l, i))
            continue;
        rc = index_pack(repo_index(r), i, name, &size, e);
        if (rc == 1)
            buf_put(live, name, 32);
        rc = rc < 0 ? -1 : 0;
    }
    if (live->len > 0)
        qsort(live->ptr, live->len / 32, 32, by_name);
    mem_free(l.used);
    buf_release(&n.snaps);
    buf_release(&n.gone);
    return rc;
}

bool
live_has(const struct buf *live, const uint8_t name[32])
{
    return live->len > 0 && bsearch(name, live->ptr, live->len / 32, 32, by_name);
}
