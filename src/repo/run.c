#include "run.h"
#include "base/crc32c.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_RECORDS (RUN_BLOCK * RUN_RECORD)
#define BLOCK_BYTES (BLOCK_RECORDS + 4) /* with its CRC */
#define CURSOR_BLOCKS 64                /* read at once in a merge */

void
run_record(uint8_t out[RUN_RECORD], const struct chunk_id *id, const struct location *at)
{
    memcpy(out, id->bytes, 16);
    put_u32(out + 16, at->pack);
    put_u32(out + 20, at->offset);
    put_u32(out + 24, at->stored);
    put_u32(out + 28, at->raw);
    put_u32(out + 32, at->counter);
    put_u32(out + 36, at->key << 8 | (uint32_t)(at->encoding << 4) | at->kind);
}

void
run_location(const uint8_t rec[RUN_RECORD], struct location *out)
{
    uint32_t last = get_u32(rec + 36);

    *out = (struct location){
        .pack = get_u32(rec + 16),
        .offset = get_u32(rec + 20),
        .stored = get_u32(rec + 24),
        .raw = get_u32(rec + 28),
        .counter = get_u32(rec + 32),
        .key = last >> 8,
        .encoding = last >> 4 & 15,
        .kind = last & 15,
    };
}

/* The first 8 bytes as a number that orders as the bytes do. */
static uint64_t
head_of(const uint8_t *p)
{
    return __builtin_bswap64(get_u64(p));
}

static int
damaged(const struct run *r, struct err *e, const char *what)
{
    return err_set(e, ERR_IO, INDEX_DAMAGED, "the local index is damaged: %s of %s", what,
                   r->path);
}

static size_t
blocks_of(uint64_t count)
{
    return (size_t)((count + RUN_BLOCK - 1) / RUN_BLOCK);
}

/* Where block `b` begins. All blocks but the last are full. */
static uint64_t
block_at(size_t b)
{
    return (uint64_t)b * BLOCK_BYTES;
}

static uint64_t
fence_at(uint64_t count)
{
    return count * RUN_RECORD + blocks_of(count) * 4;
}

static size_t
records_in(const struct run *r, size_t b)
{
    uint64_t left = r->count - (uint64_t)b * RUN_BLOCK;

    return left < RUN_BLOCK ? (size_t)left : RUN_BLOCK;
}

static uint32_t
check_of(uint64_t number, size_t b, struct slice records)
{
    uint8_t place[16];

    put_u64(place, number);
    put_u64(place + 8, b);
    return crc32c_add(crc32c(slice_of(place, sizeof place)), records);
}

static bool
block_fits(const struct run *r, size_t b, const uint8_t *block)
{
    size_t len = records_in(r, b) * RUN_RECORD;

    return get_u32(block + len) == check_of(r->number, b, slice_of(block, len))
        && head_of(block) == r->fence[b];
}

/* Reads the fence, which lies behind the last block. */
static int
read_fence(struct run *r, uint32_t check, struct err *e)
{
    struct err bad = { 0 };
    size_t len = r->blocks * sizeof *r->fence;
    struct stat st;

    if (fstat(r->fd, &st) < 0 || (uint64_t)st.st_size != fence_at(r->count) + len)
        return damaged(r, e, "the length");
    r->fence = mem_alloc(len);
    if (fs_pread_all(r->fd, r->fence, len, fence_at(r->count), &bad) < 0
        || crc32c(slice_of(r->fence, len)) != check)
        return damaged(r, e, "the fence");
    for (size_t i = 0; i < r->blocks; i++)
        r->fence[i] = get_u64((const uint8_t *)&r->fence[i]);
    r->check = check;
    return 0;
}

int
run_open(const char *path, uint64_t number, uint64_t count, uint32_t check,
         struct run *out, struct err *e)
{
    *out = (struct run){ .fd = open(path, O_RDONLY | O_CLOEXEC),
                         .path = mem_strdup(path),
                         .number = number,
                         .count = count,
                         .blocks = blocks_of(count) };
    int rc = out->fd < 0 ? damaged(out, e, "the file") : read_fence(out, check, e);
    if (rc < 0)
        run_close(out);
    return rc;
}

void
run_close(struct run *r)
{
    if (r->fd >= 0)
        close(r->fd);
    mem_free(r->path);
    mem_free(r->fence);
    *r = (struct run){ .fd = -1 };
}

/* The last block whose first record is below the head, or 0. */
static size_t
block_of(const struct run *r, uint64_t head)
{
    size_t lo = 0, hi = r->blocks;

    while (lo + 1 < hi) {
        size_t mid = (lo + hi) / 2;
        if (r->fence[mid] < head)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

int
run_find(struct run *r, const struct chunk_id *id, run_match_fn *fn, void *arg,
         struct err *e)
{
    uint8_t block[BLOCK_BYTES];
    uint64_t head = head_of(id->bytes);
    struct err bad = { 0 };

    if (r->blocks == 0)
        return 0;
    for (size_t b = block_of(r, head); b < r->blocks && r->fence[b] <= head; b++) {
        size_t n = records_in(r, b);
        if (fs_pread_all(r->fd, block, n * RUN_RECORD + 4, block_at(b), &bad) < 0
            || !block_fits(r, b, block))
            return damaged(r, e, "a block");
        for (size_t i = 0; i < n; i++) {
            const uint8_t *rec = block + i * RUN_RECORD;
            int c = memcmp(rec, id->bytes, 16);
            if (c > 0)
                return 0;
            if (c == 0 && fn(arg, rec))
                return 1;
        }
    }
    return 0;
}

/* A buffered writer of a run's records; `run` takes its number, count and fence. */
struct writer {
    struct tmpfile file;
    struct run run;
    size_t held; /* records of the block at hand */
    uint8_t block[BLOCK_RECORDS];
    struct buf out;
};

static int
drain(struct writer *w, struct err *e)
{
    int rc = fs_write_all(w->file.fd, buf_slice(&w->out), e);

    buf_clear(&w->out);
    return rc;
}

static int
end_block(struct writer *w, struct err *e)
{
    struct slice records = slice_of(w->block, w->held * RUN_RECORD);
    struct run *r = &w->run;

    if (w->held == 0)
        return 0;
    if (w->out.len + BLOCK_BYTES > w->out.max && drain(w, e) < 0)
        return -1;
    r->fence = mem_grow(r->fence, &r->fence_cap, r->blocks + 1, sizeof *r->fence);
    r->fence[r->blocks] = head_of(w->block);
    buf_put_slice(&w->out, records);
    buf_put_u32(&w->out, check_of(r->number, r->blocks, records));
    r->blocks++;
    r->count += w->held;
    w->held = 0;
    return 0;
}

static int
put_record(struct writer *w, const uint8_t *rec, struct err *e)
{
    memcpy(w->block + w->held * RUN_RECORD, rec, RUN_RECORD);
    return ++w->held == RUN_BLOCK ? end_block(w, e) : 0;
}

static int
writer_begin(struct writer *w, const char *path, uint64_t number, struct err *e)
{
    w->file = TMPFILE_NONE;
    w->run = (struct run){ .fd = -1, .path = mem_strdup(path), .number = number };
    w->out = BUF(CURSOR_BLOCKS * BLOCK_BYTES);
    return tmpfile_open(&w->file, path, 0600, e);
}

/* Writes the fence and hands the run over, opened. */
static int
writer_commit(struct writer *w, struct run *out, struct err *e)
{
    struct run *r = &w->run;
    uint8_t head[8];

    if (end_block(w, e) < 0)
        return -1;
    for (size_t i = 0; i < r->blocks; i++) {
        put_u64(head, r->fence[i]);
        r->check = crc32c_add(r->check, slice_of(head, sizeof head));
        if (w->out.len + sizeof head > w->out.max && drain(w, e) < 0)
            return -1;
        buf_put(&w->out, head, sizeof head);
    }
    if (drain(w, e) < 0 || tmpfile_commit(&w->file, e) < 0)
        return -1;
    r->fd = open(r->path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0)
        return err_sys(e, errno, "opening %s", r->path);
    *out = *r;
    *r = (struct run){ .fd = -1 };
    return 0;
}

static void
writer_end(struct writer **w)
{
    tmpfile_abort(&(*w)->file);
    run_close(&(*w)->run);
    buf_release(&(*w)->out);
    mem_free(*w);
}

/* A buffered reader of a run's records, in order. */
struct cursor {
    struct run *run;
    size_t next;    /* block */
    size_t at, end; /* of the records in hand */
    uint8_t blocks[CURSOR_BLOCKS * BLOCK_BYTES];
};

/* Reads the next blocks and leaves their records end to end. */
static int
refill(struct cursor *c, struct err *e)
{
    struct run *r = c->run;
    size_t first = c->next;
    size_t last = first + CURSOR_BLOCKS < r->blocks ? first + CURSOR_BLOCKS : r->blocks;
    uint64_t end = last == r->blocks ? fence_at(r->count) : block_at(last);
    struct err bad = { 0 };

    c->at = c->end = 0;
    if (fs_pread_all(r->fd, c->blocks, (size_t)(end - block_at(first)), block_at(first),
                     &bad)
        < 0)
        return damaged(r, e, "a block");
    for (; c->next < last; c->next++) {
        const uint8_t *block = c->blocks + (c->next - first) * BLOCK_BYTES;
        size_t n = records_in(r, c->next);
        if (!block_fits(r, c->next, block))
            return damaged(r, e, "a block");
        memmove(c->blocks + c->end * RUN_RECORD, block, n * RUN_RECORD);
        c->end += n;
    }
    return 0;
}

/* 1 and the current record, 0 at the end, -1. */
static int
peek(struct cursor *c, const uint8_t **rec, struct err *e)
{
    if (c->at == c->end) {
        if (c->next == c->run->blocks)
            return 0;
        if (refill(c, e) < 0)
            return -1;
    }
    *rec = c->blocks + c->at * RUN_RECORD;
    return 1;
}

static int
merge(struct writer *w, struct cursor *a, struct cursor *b, struct err *e)
{
    const uint8_t *x = NULL, *y = NULL;

    for (;;) {
        int have_x = peek(a, &x, e), have_y = have_x < 0 ? -1 : peek(b, &y, e);
        if (have_x < 0 || have_y < 0)
            return -1;
        if (!have_x && !have_y)
            return 0;
        int c = !have_x ? 1 : !have_y ? -1 : memcmp(x, y, RUN_RECORD);
        if (put_record(w, c <= 0 ? x : y, e) < 0)
            return -1;
        a->at += c <= 0;
        b->at += c >= 0;
    }
}

int
run_write(const char *path, uint64_t number, const uint8_t *records, size_t count,
          struct run *out, struct err *e)
{
    CLEANUP(writer_end) struct writer *w = mem_zalloc(sizeof *w);

    if (writer_begin(w, path, number, e) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (put_record(w, records + i * RUN_RECORD, e) < 0)
            return -1;
    return writer_commit(w, out, e);
}

int
run_merge(const char *path, uint64_t number, struct run *a, struct run *b,
          struct run *out, struct err *e)
{
    AUTOFREE struct cursor *ca = mem_zalloc(sizeof *ca);
    AUTOFREE struct cursor *cb = mem_zalloc(sizeof *cb);
    CLEANUP(writer_end) struct writer *w = mem_zalloc(sizeof *w);

    ca->run = a;
    cb->run = b;
    if (writer_begin(w, path, number, e) < 0 || merge(w, ca, cb, e) < 0)
        return -1;
    return writer_commit(w, out, e);
}
