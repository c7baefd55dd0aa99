#include "base/fs.h"
#include "base/log.h"
#include "conf/env.h"

#include "index_impl.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* Damage is met in the middle of a run, when others hold numbers of packs and
 * keys. So the tables stay, and only the runs are made anew, with the numbers
 * that the tables tell for the names in the packs' directories. The folder itself
 * is left to who opens it next: a reader has no right to change it any more. */

/* A row of a table by the first eight bytes of what it is called by. */
struct numbered {
    uint64_t head;
    uint32_t number;
};

struct names {
    struct numbered *rows; /* sorted */
    size_t count;
};

struct index_refill {
    struct index *index;
    struct names packs, keys;
    struct runs runs;
    uint8_t (*records)[RUN_RECORD];
    size_t count; /* of records */
};

static char *
mark_path(const struct index *x)
{
    return fs_join(x->dir, "damaged");
}

void
index_mark_damaged(const struct index *x)
{
    AUTOFREE char *path = mark_path(x);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
}

bool
index_is_marked(const struct index *x)
{
    AUTOFREE char *path = mark_path(x);

    return access(path, F_OK) == 0;
}

static int
by_head(const void *a, const void *b)
{
    const struct numbered *x = a, *y = b;

    if (x->head != y->head)
        return x->head < y->head ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* Reads `count` records of a table; what each is called by begins at byte `at`. */
static int
load_names(const struct table *t, uint32_t count, size_t at, struct names *out,
           struct err *e)
{
    uint8_t rec[TABLE_RECORD_MAX];

    out->rows = mem_alloc(count * sizeof *out->rows);
    for (uint32_t n = 0; n < count; n++) {
        if (table_get(t, n, rec, e) < 0)
            return -1;
        out->rows[out->count++] = (struct numbered){ get_u64(rec + at), n };
    }
    if (count > 0)
        qsort(out->rows, count, sizeof *out->rows, by_head);
    return 0;
}

/* The first row that may be the one called so; names->count: none. */
static size_t
first_row(const struct names *names, uint64_t head)
{
    size_t lo = 0, hi = names->count;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (names->rows[mid].head < head)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* 1 and the number that a session key has in the table, 0, -1. */
static int
find_key(struct index_refill *f, const struct chunk_key *key, uint32_t *number,
         struct err *e)
{
    AUTOBUF struct buf want = BUF(CHUNK_KEY_LEN);
    uint8_t rec[TABLE_RECORD_MAX];
    uint64_t head = get_u64(key->sealed);

    chunk_key_put(&want, key);
    for (size_t i = first_row(&f->keys, head);
         i < f->keys.count && f->keys.rows[i].head == head; i++) {
        *number = f->keys.rows[i].number;
        if (table_get(&f->index->keys, *number, rec, e) < 0)
            return -1;
        if (memcmp(rec, want.ptr, CHUNK_KEY_LEN) == 0)
            return 1;
    }
    return 0;
}

static int
spill(struct index_refill *f, struct err *e)
{
    size_t n = f->count;

    f->count = 0;
    return n > 0 ? runs_add(&f->runs, f->records, n, e) : 0;
}

/* The chunks of a pack under one of its numbers. */
static int
put_chunks(struct index_refill *f, uint32_t pack, const struct directory *d,
           const int64_t *keys, struct err *e)
{
    for (uint32_t i = 0; i < d->chunk_count; i++) {
        struct chunk_record c;
        directory_chunk(d, i, &c);
        struct location at = { .pack = pack,
                               .offset = c.offset,
                               .stored = c.stored,
                               .raw = c.raw,
                               .counter = c.counter,
                               .key = (uint32_t)keys[c.key],
                               .encoding = c.encoding,
                               .kind = c.kind };
        if (keys[c.key] < 0)
            continue;
        if (f->count == FRESH_MAX && spill(f, e) < 0)
            return -1;
        run_record(f->records[f->count++], &c.id, &at);
    }
    return 0;
}

int
index_refill_pack(struct index_refill *f, const uint8_t name[32],
                  const struct directory *d, struct err *e)
{
    int64_t keys[256]; /* numbers in the table; -1: not there */
    uint8_t rec[TABLE_RECORD_MAX];
    uint64_t head = get_u64(name);
    size_t first = first_row(&f->packs, head);

    if (first == f->packs.count || f->packs.rows[first].head != head)
        return 0;
    for (uint32_t i = 0; i < d->key_count; i++) {
        struct chunk_key key;
        uint32_t number = 0;
        directory_key(d, i, &key);
        int rc = find_key(f, &key, &number, e);
        if (rc < 0)
            return -1;
        keys[i] = rc == 1 ? (int64_t)number : -1;
    }
    /* A pack that was lost from the runs once may stand in the table twice. */
    for (size_t i = first; i < f->packs.count && f->packs.rows[i].head == head; i++) {
        uint32_t number = f->packs.rows[i].number;
        if (table_get(&f->index->packs, number, rec, e) < 0)
            return -1;
        if (memcmp(rec, name, 32) == 0 && put_chunks(f, number, d, keys, e) < 0)
            return -1;
    }
    return 0;
}

/* Who may change the folder writes the runs there, others where they vanish. */
static int
begin(struct index_refill *f, struct err *e)
{
    struct index *x = f->index;

    f->runs.next = x->runs.next;
    if (x->write)
        f->runs.dir = mem_strdup(x->dir);
    else if (env_temp_folder("/tmp", "drtool-index", &f->runs.dir, e) < 0)
        return -1;
    f->records = mem_alloc(FRESH_MAX * sizeof *f->records);
    if (load_names(&x->packs, atomic_load(&x->pack_count), 0, &f->packs, e) < 0
        || load_names(&x->keys, x->key_count, 8, &f->keys, e) < 0)
        return -1;
    return 0;
}

static void
end(struct index_refill *f)
{
    struct err ignored = { 0 };

    if (!f->index->write) /* what is open is read on */
        (void)!fs_remove_tree(f->runs.dir, &ignored);
    mem_free(f->packs.rows);
    mem_free(f->keys.rows);
    mem_free(f->records);
}

int
index_remake(struct index *x, const struct err *why, struct err *e)
{
    struct index_refill f = { .index = x };

    index_mark_damaged(x);
    if (!x->refill) {
        *e = *why;
        return -1;
    }
    log_warn("the local index is made anew from the targets: %s", err_text(why));
    int rc = begin(&f, e);
    if (rc == 0)
        rc = x->refill(x->refill_arg, &f, e);
    if (rc == 0)
        rc = spill(&f, e);
    end(&f);
    if (rc < 0) {
        runs_close(&f.runs);
        return err_in(e, "making the local index anew");
    }
    for (size_t i = 0; i < x->runs.count && x->write; i++)
        unlink(x->runs.list[i].path);
    runs_close(&x->runs);
    x->runs = f.runs;
    x->made++;
    return 0;
}
