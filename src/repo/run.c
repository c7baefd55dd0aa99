#include "run.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES (RUN_BLOCK * RUN_RECORD)

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

int
run_open(const char *path, struct run *r, struct err *e)
{
    struct stat st;
    uint8_t head[8];

    *r = (struct run){ .fd = open(path, O_RDONLY | O_CLOEXEC) };
    if (r->fd < 0 || fstat(r->fd, &st) < 0) {
        err_sys(e, errno, "opening the index run %s", path);
        run_close(r);
        return -1;
    }
    r->path = mem_strdup(path);
    r->count = (uint64_t)st.st_size / RUN_RECORD;
    r->blocks = (size_t)((r->count + RUN_BLOCK - 1) / RUN_BLOCK);
    r->fence = mem_alloc(r->blocks * sizeof *r->fence);
    for (size_t i = 0; i < r->blocks; i++) {
        if (fs_pread_all(r->fd, head, sizeof head, i * BLOCK_BYTES, e) < 0) {
            run_close(r);
            return err_in(e, "reading the index run %s", path);
        }
        r->fence[i] = head_of(head);
    }
    return 0;
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

    if (r->blocks == 0)
        return 0;
    for (size_t b = block_of(r, head); b < r->blocks && r->fence[b] <= head; b++) {
        uint64_t first = (uint64_t)b * RUN_BLOCK;
        size_t n = r->count - first < RUN_BLOCK ? (size_t)(r->count - first) : RUN_BLOCK;
        if (fs_pread_all(r->fd, block, n * RUN_RECORD, first * RUN_RECORD, e) < 0)
            return err_in(e, "reading the index run %s", r->path);
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

/* A buffered writer of records. */
struct writer {
    int fd;
    struct buf out;
};

static int
drain(struct writer *w, struct err *e)
{
    int rc = fs_write_all(w->fd, buf_slice(&w->out), e);

    buf_clear(&w->out);
    return rc;
}

static int
put_record(struct writer *w, const uint8_t *rec, struct err *e)
{
    if (w->out.len + RUN_RECORD > w->out.max && drain(w, e) < 0)
        return -1;
    buf_put(&w->out, rec, RUN_RECORD);
    return 0;
}

/* A buffered reader of a run's records, in order. */
struct cursor {
    struct run *run;
    uint64_t next;
    size_t at, have;
    uint8_t block[64 * BLOCK_BYTES];
};

/* 1 and the current record, 0 at the end, -1. */
static int
peek(struct cursor *c, const uint8_t **rec, struct err *e)
{
    if (c->at == c->have) {
        uint64_t left = c->run->count - c->next;
        size_t n = left < 64 * RUN_BLOCK ? (size_t)left : 64 * RUN_BLOCK;
        if (n == 0)
            return 0;
        if (fs_pread_all(c->run->fd, c->block, n * RUN_RECORD, c->next * RUN_RECORD, e)
            < 0)
            return -1;
        c->next += n;
        c->at = 0;
        c->have = n;
    }
    *rec = c->block + c->at * RUN_RECORD;
    return 1;
}

static int
merge(struct writer *w, struct cursor *a, struct cursor *b, struct err *e)
{
    const uint8_t *x = NULL, *y = NULL;

    for (;;) {
        int have_x = peek(a, &x, e), have_y = peek(b, &y, e);
        if (have_x < 0 || have_y < 0)
            return -1;
        if (!have_x && !have_y)
            return drain(w, e);
        int c = !have_x ? 1 : !have_y ? -1 : memcmp(x, y, RUN_RECORD);
        if (put_record(w, c <= 0 ? x : y, e) < 0)
            return -1;
        a->at += c <= 0;
        b->at += c >= 0;
    }
}

int
run_write(const char *path, const uint8_t *records, size_t count, struct err *e)
{
    return fs_replace(path, slice_of(records, count * RUN_RECORD), 0600, e);
}

int
run_merge(const char *path, struct run *a, struct run *b, struct err *e)
{
    CLEANUP(tmpfile_abort) struct tmpfile t = TMPFILE_NONE;
    AUTOFREE struct cursor *ca = mem_zalloc(sizeof *ca);
    AUTOFREE struct cursor *cb = mem_zalloc(sizeof *cb);
    struct writer w = { -1, BUF(64 * BLOCK_BYTES) };

    ca->run = a;
    cb->run = b;
    if (tmpfile_open(&t, path, 0600, e) < 0)
        return -1;
    w.fd = t.fd;
    int rc = merge(&w, ca, cb, e);
    buf_release(&w.out);
    return rc < 0 ? -1 : tmpfile_commit(&t, e);
}
