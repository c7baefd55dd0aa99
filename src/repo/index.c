#include "base/fs.h"

#include "index_impl.h"

#include <assert.h>
#include <string.h>

#define SLOTS (FRESH_MAX * 2)
#define REMAKES 2 /* for one look-up; then the disk does not keep what it is given */

bool
index_error(const struct err *e)
{
    return e->kind == ERR_IO && e->cause == INDEX_DAMAGED;
}

int
index_broken(const struct index *x, struct err *e)
{
    return err_set(e, ERR_IO, INDEX_DAMAGED,
                   "the local index in %s was damaged while it was in use; run again: it "
                   "is made anew then",
                   x->dir);
}

/* What the folder holds, as one named value of its state.db: packs u32, keys
 * u32, and the runs. Another name is that of a form without CRCs. */
#define META "index-2"
#define META_OLD "index"

static int
load_meta(struct index *x, struct err *e)
{
    AUTOBUF struct buf meta = BUF(32 * RUNS_MAX + 64), old = BUF(32 * RUNS_MAX + 64);

    if (state_get(x->state, META_OLD, &old, e) < 0
        || state_get(x->state, META, &meta, e) < 0)
        return -1;
    if (old.len > 0)
        return err_set(e, ERR_UNSUPPORTED, 0, "it is of another version of drtool");
    struct reader r = reader_of(buf_slice(&meta));
    if (r.left == 0)
        return 0;
    atomic_store(&x->pack_count, read_u32(&r));
    x->key_count = read_u32(&r);
    if (runs_open(&x->runs, &r, e) < 0)
        return -1;
    return r.bad || r.left > 0
             ? err_set(e, ERR_IO, INDEX_DAMAGED, "its description is damaged")
             : 0;
}

static int
open_table(struct index *x, const char *name, size_t len, struct table *t, struct err *e)
{
    AUTOFREE char *path = fs_join(x->dir, name);

    return table_open(path, len, x->write, t, e);
}

static int
open_all(struct index *x, struct err *e)
{
    if (fs_mkdirs(x->dir, 0700, e) < 0)
        return -1;
    if (index_is_marked(x))
        return err_set(e, ERR_IO, INDEX_DAMAGED, "it was found damaged");
    if (state_open(x->dir, true, &x->state, e) < 0 || load_meta(x, e) < 0
        || open_table(x, "packs", PACK_RECORD, &x->packs, e) < 0
        || open_table(x, "keys", CHUNK_KEY_LEN, &x->keys, e) < 0
        || table_check(&x->packs, atomic_load(&x->pack_count), e) < 0
        || table_check(&x->keys, x->key_count, e) < 0)
        return -1;
    return 0;
}

int
index_open(const char *dir, bool write, struct index **out, struct err *e)
{
    struct index *x = mem_zalloc(sizeof *x);

    x->dir = mem_strdup(dir);
    x->write = write;
    x->runs.dir = mem_strdup(dir);
    x->packs.fd = x->keys.fd = -1;
    pthread_rwlockattr_t attr; /* else readers without a pause keep the writer out */

    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&x->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&x->pack_lock, NULL);
    x->fresh = mem_alloc(SLOTS * sizeof *x->fresh);
    x->used = mem_zalloc(SLOTS * sizeof *x->used);
    if (open_all(x, e) < 0) {
        index_close(x);
        return err_in(e, "opening the local index %s", dir);
    }
    *out = x;
    return 0;
}

void
index_close(struct index *x)
{
    if (!x)
        return;
    runs_close(&x->runs);
    for (size_t i = 0; i < x->segment_count; i++) {
        mem_free(x->segments[i].key);
        buf_release(&x->segments[i].packs);
    }
    mem_free(x->segments);
    table_close(&x->packs);
    table_close(&x->keys);
    state_close(x->state);
    pthread_rwlock_destroy(&x->lock);
    pthread_mutex_destroy(&x->pack_lock);
    mem_free(x->fresh);
    mem_free(x->used);
    mem_free(x->dir);
    mem_free(x);
}

struct match {
    index_usable_fn *usable;
    void *arg;
    struct location *out;
};

static bool
take(void *arg, const uint8_t rec[RUN_RECORD])
{
    struct match *m = arg;

    run_location(rec, m->out);
    return !m->usable || m->usable(m->arg, m->out->pack);
}

static size_t
slot_of(const uint8_t *prefix)
{
    return get_u64(prefix) % SLOTS;
}

static bool
find_fresh(const struct index *x, const struct chunk_id *id, struct match *m)
{
    for (size_t i = slot_of(id->bytes); x->used[i]; i = (i + 1) % SLOTS)
        if (memcmp(x->fresh[i], id->bytes, 16) == 0 && take(m, x->fresh[i]))
            return true;
    return false;
}

/* One look-up; *made tells which runs it saw. */
static int
find(struct index *x, const struct chunk_id *id, struct match *m, unsigned *made,
     struct err *e)
{
    pthread_rwlock_rdlock(&x->lock);
    *made = x->made;
    int rc = find_fresh(x, id, m) ? 1 : runs_find(&x->runs, id, take, m, e);
    pthread_rwlock_unlock(&x->lock);
    return rc;
}

/* Of several threads that met the damage, one makes the runs anew. */
static int
remake(struct index *x, unsigned made, struct err *e)
{
    struct err why = *e;
    int rc = 0;

    *e = (struct err){ 0 };
    pthread_rwlock_wrlock(&x->lock);
    if (x->made == made)
        rc = index_remake(x, &why, e);
    pthread_rwlock_unlock(&x->lock);
    return rc;
}

int
index_find(struct index *x, const struct chunk_id *id, index_usable_fn *usable, void *arg,
           struct location *out, struct err *e)
{
    struct match m = { usable, arg, out };
    unsigned made = 0, tries = 0;
    int rc;

    while ((rc = find(x, id, &m, &made, e)) < 0 && index_error(e) && tries++ < REMAKES)
        if (remake(x, made, e) < 0)
            return -1;
    /* Unknown? Not when whoever was asked what counts could not tell. */
    return rc == 0 && atomic_load(&x->tables_bad) ? index_broken(x, e) : rc;
}

static int
store_meta(struct index *x, struct err *e)
{
    AUTOBUF struct buf meta = BUF(32 * RUNS_MAX + 64);

    buf_put_u32(&meta, atomic_load(&x->pack_count));
    buf_put_u32(&meta, x->key_count);
    runs_put(&meta, &x->runs);
    if (state_begin(x->state, e) < 0)
        return -1;
    int rc = state_put(x->state, META, buf_slice(&meta), e);
    for (size_t i = 0; i < x->segment_count && rc == 0; i++)
        rc = state_segment_put(x->state, x->segments[i].key,
                               buf_slice(&x->segments[i].packs), e);
    if (rc < 0) {
        state_abort(x->state);
        return -1;
    }
    return state_commit(x->state, e);
}

/* Makes a run of what gathered in memory, which is kept until that is done. */
static int
write_fresh(struct index *x, struct err *e)
{
    AUTOFREE uint8_t(*records)[RUN_RECORD] = mem_alloc(x->fresh_count * sizeof *records);
    struct err why = { 0 };
    size_t n = 0;

    for (size_t i = 0; i < SLOTS; i++)
        if (x->used[i])
            memcpy(records[n++], x->fresh[i], RUN_RECORD);
    assert(n == x->fresh_count);
    if (runs_add(&x->runs, records, n, &why) < 0) { /* merging reads old runs */
        *e = why;
        if (!index_error(&why))
            return -1;
        *e = (struct err){ 0 };
        if (index_remake(x, &why, e) < 0 || runs_add(&x->runs, records, n, e) < 0)
            return -1;
    }
    memset(x->used, 0, SLOTS * sizeof *x->used);
    x->fresh_count = 0;
    return 0;
}

/* After a failure (a full disk) nothing is stored any more: a segment told as taken must
 * have all its chunks here. */
int
index_flush_held(struct index *x, struct err *e)
{
    if (!x->write || (x->fresh_count == 0 && x->segment_count == 0))
        return 0;
    if ((x->packs.fd >= 0 && fdatasync(x->packs.fd) < 0)
        || (x->keys.fd >= 0 && fdatasync(x->keys.fd) < 0)) {
        x->write = false;
        return err_sys(e, errno, "writing the local index");
    }
    if (x->fresh_count > 0 && write_fresh(x, e) < 0) {
        x->write = false;
        return -1;
    }
    if (store_meta(x, e) < 0)
        return -1;
    for (size_t i = 0; i < x->segment_count; i++) {
        mem_free(x->segments[i].key);
        buf_release(&x->segments[i].packs);
    }
    x->segment_count = 0;
    return 0;
}

void
index_on_damage(struct index *x, index_refill_fn *fn, void *arg)
{
    pthread_rwlock_wrlock(&x->lock);
    x->refill = fn;
    x->refill_arg = arg;
    pthread_rwlock_unlock(&x->lock);
}

void
index_freeze(struct index *x)
{
    pthread_rwlock_wrlock(&x->lock);
    x->write = false;
    pthread_rwlock_unlock(&x->lock);
}

int
index_flush(struct index *x, struct err *e)
{
    pthread_rwlock_wrlock(&x->lock);
    int rc = index_flush_held(x, e);
    pthread_rwlock_unlock(&x->lock);
    return rc;
}

/* The number of a session key, appended to the table when it is new. */
static int
key_number(struct index *x, const struct chunk_key *key, uint32_t *number, struct err *e)
{
    AUTOBUF struct buf rec = BUF(CHUNK_KEY_LEN);

    for (unsigned i = 0; i < x->recent_count; i++)
        if (memcmp(x->recent[i].sealed, key->sealed, sizeof key->sealed) == 0) {
            *number = x->recent_number[i];
            return 0;
        }
    if (x->key_count >= 1u << 24)
        return err_set(e, ERR_UNSUPPORTED, 0, "the local index holds too many sessions");
    chunk_key_put(&rec, key);
    if (table_put(&x->keys, x->key_count, rec.ptr, e) < 0)
        return -1;
    unsigned at = x->recent_count < KEYS_RECENT ? x->recent_count++
                                                : x->key_count % KEYS_RECENT;
    x->recent[at] = *key;
    x->recent_number[at] = *number = x->key_count++;
    return 0;
}

static void
put_fresh(struct index *x, const uint8_t rec[RUN_RECORD])
{
    size_t i = slot_of(rec);

    while (x->used[i])
        i = (i + 1) % SLOTS;
    x->used[i] = true;
    memcpy(x->fresh[i], rec, RUN_RECORD);
    x->fresh_count++;
}

/* With the lock held for writing. */
static int
add_chunk(struct index *x, uint32_t pack, const struct chunk_record *c,
          const struct chunk_key *key, struct err *e)
{
    struct location at = { .pack = pack,
                           .offset = c->offset,
                           .stored = c->stored,
                           .raw = c->raw,
                           .counter = c->counter,
                           .encoding = c->encoding,
                           .kind = c->kind };
    uint8_t rec[RUN_RECORD];

    if (key_number(x, key, &at.key, e) < 0)
        return -1;
    if (x->fresh_count == FRESH_MAX && (!x->write || index_flush_held(x, e) < 0)) {
        if (x->write)
            return -1;
        return err_set(e, ERR_UNSUPPORTED, 0, "a read-only index cannot grow");
    }
    run_record(rec, &c->id, &at);
    put_fresh(x, rec);
    return 0;
}

static int
put_pack(struct index *x, uint32_t number, const uint8_t name[32], uint64_t size,
         bool ended, struct err *e)
{
    uint8_t rec[PACK_RECORD] = { 0 };

    memcpy(rec, name, 32);
    put_u32(rec + 32, (uint32_t)size);
    put_u32(rec + 36, ended);
    pthread_mutex_lock(&x->pack_lock);
    int rc = table_put(&x->packs, number, rec, e);
    pthread_mutex_unlock(&x->pack_lock);
    return rc;
}

int
index_pack_begin(struct index *x, uint32_t *number, struct err *e)
{
    static const uint8_t unnamed[32];

    pthread_rwlock_wrlock(&x->lock);
    *number = atomic_load(&x->pack_count);
    int rc = put_pack(x, *number, unnamed, 0, false, e);
    if (rc == 0)
        atomic_store(&x->pack_count, *number + 1);
    pthread_rwlock_unlock(&x->lock);
    return rc;
}

int
index_add_chunk(struct index *x, uint32_t pack, const struct chunk_record *c,
                const struct chunk_key *key, struct err *e)
{
    pthread_rwlock_wrlock(&x->lock);
    int rc = add_chunk(x, pack, c, key, e);
    pthread_rwlock_unlock(&x->lock);
    return rc;
}

int
index_pack_end(struct index *x, uint32_t number, const uint8_t name[32], uint64_t size,
               struct err *e)
{
    pthread_rwlock_wrlock(&x->lock);
    int rc = put_pack(x, number, name, size, true, e);
    pthread_rwlock_unlock(&x->lock);
    return rc;
}

int
index_pack(struct index *x, uint32_t number, uint8_t name[32], uint64_t *size,
           struct err *e)
{
    uint8_t rec[PACK_RECORD];
    struct err bad = { 0 };

    if (number >= atomic_load(&x->pack_count))
        return 0;
    if (table_get(&x->packs, number, rec, &bad) < 0) {
        pthread_mutex_lock(&x->pack_lock); /* it may be half written */
        int rc = table_get(&x->packs, number, rec, &bad);
        pthread_mutex_unlock(&x->pack_lock);
        if (rc < 0) {
            atomic_store(&x->tables_bad, true);
            index_mark_damaged(x);
            return index_broken(x, e);
        }
    }
    memcpy(name, rec, 32);
    *size = get_u32(rec + 32);
    return get_u32(rec + 36) == 1;
}

struct same_pack {
    struct index *index;
    const uint8_t *name;
    uint32_t number;
};

static bool
is_same_pack(void *arg, uint32_t pack)
{
    struct same_pack *s = arg;
    uint8_t name[32];
    uint64_t size;
    struct err bad = { 0 }; /* index_find() tells of it */

    s->number = pack;
    return index_pack(s->index, pack, name, &size, &bad) == 1
        && memcmp(name, s->name, 32) == 0;
}

int
index_known(struct index *x, const uint8_t name[32], const struct directory *d,
            uint32_t *number, struct err *e)
{
    struct same_pack same = { x, name, 0 };
    struct chunk_record c;
    struct location ignored;

    /* Known, when its last chunk is known to be in it: a kill may have kept those
     * before it from the disk only together with it. */
    if (d->chunk_count == 0)
        return 0;
    directory_chunk(d, d->chunk_count - 1, &c);
    int rc = index_find(x, &c.id, is_same_pack, &same, &ignored, e);
    *number = same.number;
    return rc;
}

int
index_add(struct index *x, const uint8_t name[32], uint64_t size,
          const struct directory *d, uint32_t *number, struct err *e)
{
    struct chunk_record c;
    int known = index_known(x, name, d, number, e);

    if (known != 0)
        return known < 0 ? -1 : 0;
    if (index_pack_begin(x, number, e) < 0)
        return -1;
    for (uint32_t i = 0; i < d->chunk_count; i++) {
        struct chunk_key key;
        directory_chunk(d, i, &c);
        directory_key(d, c.key, &key);
        if (index_add_chunk(x, *number, &c, &key, e) < 0)
            return -1;
    }
    return index_pack_end(x, *number, name, size, e);
}

uint32_t
index_packs(struct index *x)
{
    return atomic_load(&x->pack_count);
}

int
index_key(struct index *x, uint32_t number, struct chunk_key *out, struct err *e)
{
    uint8_t rec[CHUNK_KEY_LEN];
    struct err bad = { 0 };

    if (table_get(&x->keys, number, rec, &bad) == 0
        && chunk_key_parse(slice_of(rec, sizeof rec), out))
        return 0;
    index_mark_damaged(x);
    return index_broken(x, e);
}
