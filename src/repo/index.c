#include "repo/index.h"
#include "base/fs.h"
#include "state/state.h"

#include "run.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FRESH_MAX 65536 /* records in memory before they become a run */
#define SLOTS (FRESH_MAX * 2)
#define RUNS_MAX 64
#define PACK_RECORD 48 /* name 32 | size 4 | ended 4 | zero 8 */
#define KEYS_RECENT 8

struct segment {
    char *key;
    struct buf packs;
};

struct index {
    char *dir;
    bool write;
    struct state *state;
    pthread_rwlock_t lock;
    struct run runs[RUNS_MAX]; /* oldest, and so largest, first */
    size_t run_count;
    uint64_t next_run;
    int packs_fd, keys_fd;
    uint32_t pack_count, key_count;
    struct chunk_key recent[KEYS_RECENT]; /* the keys added last */
    uint32_t recent_number[KEYS_RECENT];
    unsigned recent_count;
    uint8_t (*fresh)[RUN_RECORD]; /* open addressing by prefix */
    bool *used;
    size_t fresh_count;
    struct segment *segments; /* added since the last flush */
    size_t segment_count, segment_cap;
};

/* What the folder holds, as one named value of its state.db: next run u64,
 * packs u32, keys u32, runs u32, then a u64 per run. */
static int
load_meta(struct index *x, struct err *e)
{
    AUTOBUF struct buf meta = BUF(8 * RUNS_MAX + 64);

    if (state_get(x->state, "index", &meta, e) < 0)
        return -1;
    struct reader r = reader_of(buf_slice(&meta));
    if (r.left == 0)
        return 0;
    x->next_run = read_u64(&r);
    x->pack_count = read_u32(&r);
    x->key_count = read_u32(&r);
    uint32_t n = read_u32(&r);
    for (uint32_t i = 0; i < n && i < RUNS_MAX && !r.bad; i++) {
        AUTOFREE char *path = mem_printf("%s/run-%llu", x->dir,
                                         (unsigned long long)read_u64(&r));
        if (run_open(path, &x->runs[x->run_count], e) < 0)
            return -1;
        x->run_count++;
    }
    return r.bad ? err_set(e, ERR_CORRUPT, 0, "the local index is damaged") : 0;
}

static int
open_table(struct index *x, const char *name, int *fd, struct err *e)
{
    AUTOFREE char *path = fs_join(x->dir, name);

    *fd = open(path, (x->write ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC, 0600);
    if (*fd < 0 && (x->write || errno != ENOENT))
        return err_sys(e, errno, "opening %s", path);
    return 0;
}

static int
open_all(struct index *x, struct err *e)
{
    struct stat packs = { 0 }, keys = { 0 };

    if (fs_mkdirs(x->dir, 0700, e) < 0 || state_open(x->dir, true, &x->state, e) < 0
        || load_meta(x, e) < 0 || open_table(x, "packs", &x->packs_fd, e) < 0
        || open_table(x, "keys", &x->keys_fd, e) < 0)
        return -1;
    if ((x->packs_fd >= 0 && fstat(x->packs_fd, &packs) < 0)
        || (x->keys_fd >= 0 && fstat(x->keys_fd, &keys) < 0))
        return err_sys(e, errno, "reading the local index");
    if ((uint64_t)packs.st_size < (uint64_t)x->pack_count * PACK_RECORD
        || (uint64_t)keys.st_size < (uint64_t)x->key_count * CHUNK_KEY_LEN)
        return err_set(e, ERR_CORRUPT, 0, "the local index is damaged");
    return 0;
}

int
index_open(const char *dir, bool write, struct index **out, struct err *e)
{
    struct index *x = mem_zalloc(sizeof *x);

    x->dir = mem_strdup(dir);
    x->write = write;
    x->packs_fd = x->keys_fd = -1;
    pthread_rwlockattr_t attr; /* else readers without a pause keep the writer out */

    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&x->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
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
    for (size_t i = 0; i < x->run_count; i++)
        run_close(&x->runs[i]);
    for (size_t i = 0; i < x->segment_count; i++) {
        mem_free(x->segments[i].key);
        buf_release(&x->segments[i].packs);
    }
    mem_free(x->segments);
    if (x->packs_fd >= 0)
        close(x->packs_fd);
    if (x->keys_fd >= 0)
        close(x->keys_fd);
    state_close(x->state);
    pthread_rwlock_destroy(&x->lock);
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

int
index_find(struct index *x, const struct chunk_id *id, index_usable_fn *usable, void *arg,
           struct location *out, struct err *e)
{
    struct match m = { usable, arg, out };
    int rc = 0;

    pthread_rwlock_rdlock(&x->lock);
    if (find_fresh(x, id, &m))
        rc = 1;
    for (size_t i = x->run_count; i > 0 && rc == 0; i--)
        rc = run_find(&x->runs[i - 1], id, take, &m, e);
    pthread_rwlock_unlock(&x->lock);
    return rc;
}

static int
by_record(const void *a, const void *b)
{
    return memcmp(a, b, RUN_RECORD);
}

static char *
run_path(const struct index *x, uint64_t number)
{
    return mem_printf("%s/run-%llu", x->dir, (unsigned long long)number);
}

/* Merges the two newest runs while they are of similar size. */
static int
merge_runs(struct index *x, struct err *e)
{
    while (x->run_count > 1) {
        struct run *a = &x->runs[x->run_count - 2], *b = &x->runs[x->run_count - 1];
        if (a->count > 4 * b->count && x->run_count < RUNS_MAX - 1)
            return 0;
        AUTOFREE char *path = run_path(x, x->next_run++);
        struct run merged;
        if (run_merge(path, a, b, e) < 0 || run_open(path, &merged, e) < 0)
            return -1;
        unlink(a->path); /* the meta written next no longer names them; if it is */
        unlink(b->path); /* never written, the index is made anew */
        run_close(a);
        run_close(b);
        *a = merged;
        x->run_count--;
    }
    return 0;
}

static int
store_meta(struct index *x, struct err *e)
{
    AUTOBUF struct buf meta = BUF(8 * RUNS_MAX + 64);

    buf_put_u64(&meta, x->next_run);
    buf_put_u32(&meta, x->pack_count);
    buf_put_u32(&meta, x->key_count);
    buf_put_u32(&meta, (uint32_t)x->run_count);
    for (size_t i = 0; i < x->run_count; i++)
        buf_put_u64(&meta, strtoull(strrchr(x->runs[i].path, '-') + 1, NULL, 10));
    if (state_begin(x->state, e) < 0)
        return -1;
    int rc = state_put(x->state, "index", buf_slice(&meta), e);
    for (size_t i = 0; i < x->segment_count && rc == 0; i++)
        rc = state_segment_put(x->state, x->segments[i].key,
                               buf_slice(&x->segments[i].packs), e);
    if (rc < 0) {
        state_abort(x->state);
        return -1;
    }
    return state_commit(x->state, e);
}

/* With the lock held for writing. */
static int
flush(struct index *x, struct err *e)
{
    size_t n = 0;

    if (!x->write || (x->fresh_count == 0 && x->segment_count == 0))
        return 0;
    for (size_t i = 0; i < SLOTS; i++)
        if (x->used[i])
            memcpy(x->fresh[n++], x->fresh[i], RUN_RECORD);
    assert(n == x->fresh_count);
    memset(x->used, 0, SLOTS * sizeof *x->used);
    x->fresh_count = 0;
    if (n > 0) {
        AUTOFREE char *path = run_path(x, x->next_run++);
        qsort(x->fresh, n, sizeof *x->fresh, by_record);
        if (fdatasync(x->packs_fd) < 0 || fdatasync(x->keys_fd) < 0)
            return err_sys(e, errno, "writing the local index");
        if (run_write(path, x->fresh[0], n, e) < 0
            || run_open(path, &x->runs[x->run_count], e) < 0)
            return -1;
        x->run_count++;
        if (merge_runs(x, e) < 0)
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
    int rc = flush(x, e);
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
    if (fs_pwrite_all(x->keys_fd, buf_slice(&rec), (uint64_t)x->key_count * CHUNK_KEY_LEN,
                      e)
        < 0)
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
    if (x->fresh_count == FRESH_MAX && (!x->write || flush(x, e) < 0)) {
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
    return fs_pwrite_all(x->packs_fd, slice_of(rec, sizeof rec),
                         (uint64_t)number * PACK_RECORD, e);
}

int
index_pack_begin(struct index *x, uint32_t *number, struct err *e)
{
    static const uint8_t unnamed[32];

    pthread_rwlock_wrlock(&x->lock);
    *number = x->pack_count++;
    int rc = put_pack(x, *number, unnamed, 0, false, e);
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

bool
index_pack(struct index *x, uint32_t number, uint8_t name[32], uint64_t *size)
{
    uint8_t rec[PACK_RECORD];
    struct err ignored = { 0 };

    if (x->packs_fd < 0
        || fs_pread_all(x->packs_fd, rec, sizeof rec, (uint64_t)number * PACK_RECORD,
                        &ignored)
               < 0)
        return false;
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

    s->number = pack;
    return index_pack(s->index, pack, name, &size) && memcmp(name, s->name, 32) == 0;
}

int
index_add(struct index *x, const uint8_t name[32], uint64_t size,
          const struct directory *d, uint32_t *number, struct err *e)
{
    struct same_pack same = { x, name, 0 };
    struct chunk_record c;
    struct location ignored;

    if (d->chunk_count > 0) { /* known, when its first chunk is known to be in it */
        directory_chunk(d, 0, &c);
        int rc = index_find(x, &c.id, is_same_pack, &same, &ignored, e);
        if (rc != 0) {
            *number = same.number;
            return rc < 0 ? -1 : 0;
        }
    }
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
    pthread_rwlock_rdlock(&x->lock);
    uint32_t n = x->pack_count;
    pthread_rwlock_unlock(&x->lock);
    return n;
}

int
index_key(struct index *x, uint32_t number, struct chunk_key *out, struct err *e)
{
    uint8_t rec[CHUNK_KEY_LEN];

    if (x->keys_fd < 0
        || fs_pread_all(x->keys_fd, rec, sizeof rec, (uint64_t)number * CHUNK_KEY_LEN, e)
               < 0)
        return err_in(e, "reading the local index");
    if (!chunk_key_parse(slice_of(rec, sizeof rec), out))
        return err_set(e, ERR_CORRUPT, 0, "the local index is damaged");
    return 0;
}

int
index_segment_add(struct index *x, const char *key, struct slice packs, struct err *e)
{
    (void)e;
    pthread_rwlock_wrlock(&x->lock);
    x->segments = mem_grow(x->segments, &x->segment_cap, x->segment_count + 1,
                           sizeof *x->segments);
    struct segment *s = &x->segments[x->segment_count++];
    *s = (struct segment){ mem_strdup(key), BUF(packs.len) };
    buf_put_slice(&s->packs, packs);
    pthread_rwlock_unlock(&x->lock);
    return 0;
}

int
index_segment_get(struct index *x, const char *key, struct buf *packs, struct err *e)
{
    for (size_t i = 0; i < x->segment_count; i++)
        if (strcmp(x->segments[i].key, key) == 0) {
            buf_put_slice(packs, buf_slice(&x->segments[i].packs));
            return 1;
        }
    return state_segment_get(x->state, key, packs, e);
}
