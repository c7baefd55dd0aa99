#include "names.h"

#include "base/fs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUN_BUFFER 16384 /* bytes; a name has to fit */

/* A sorted piece of the spill file and the window that is in memory. */
struct run {
    uint64_t at, end; /* what is still to be read into the window */
    char *window;
    size_t len, pos;
};

void
names_pool_init(struct names_pool *p, const char *tmp_dir, size_t limit)
{
    *p = (struct names_pool){ .spill = -1, .sorted = true };
    p->tmp_dir = mem_strdup(tmp_dir);
    p->limit = limit ? limit : NAMES_LIMIT;
    p->arena = BUF(p->limit + RUN_BUFFER);
}

void
names_pool_release(struct names_pool *p)
{
    if (p->spill >= 0)
        close(p->spill);
    buf_release(&p->arena);
    mem_free(p->offsets);
    mem_free(p->runs);
    mem_free(p->tmp_dir);
    *p = (struct names_pool){ .spill = -1 };
}

static int
by_name(const void *a, const void *b, void *arena)
{
    const char *names = arena;

    return strcmp(names + *(const uint32_t *)a, names + *(const uint32_t *)b);
}

static void
sort(struct names_pool *p)
{
    if (!p->sorted)
        qsort_r(p->offsets, p->count, sizeof *p->offsets, by_name, p->arena.ptr);
}

static void
restart(struct names_pool *p)
{
    buf_clear(&p->arena);
    p->count = 0;
    p->sorted = true;
}

static int
open_spill(struct names_pool *p, struct err *e)
{
    AUTOFREE char *name = mem_printf("%s/names-XXXXXX", p->tmp_dir);

    p->spill = open(p->tmp_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (p->spill >= 0)
        return 0;
    p->spill = mkostemp(name, O_CLOEXEC);
    if (p->spill < 0)
        return err_sys(e, errno, "creating a temporary file in %s", p->tmp_dir);
    unlink(name);
    return 0;
}

/* Writes the arena's names in order behind the end of the spill file. */
static int
spill(struct names_pool *p, struct err *e)
{
    AUTOBUF struct buf out = BUF(2 * RUN_BUFFER);
    struct run r = { .at = p->spill_end };

    if (p->spill < 0 && open_spill(p, e) < 0)
        return -1;
    sort(p);
    for (size_t i = 0; i < p->count; i++) {
        const char *name = (const char *)p->arena.ptr + p->offsets[i];
        buf_put(&out, name, strlen(name) + 1);
        if (out.len < RUN_BUFFER && i + 1 < p->count)
            continue;
        if (fs_pwrite_all(p->spill, buf_slice(&out), p->spill_end, e) < 0)
            return err_in(e, "listing a large folder by a file in %s", p->tmp_dir);
        p->spill_end += out.len;
        buf_clear(&out);
    }
    r.end = p->spill_end;
    p->runs = mem_grow(p->runs, &p->run_cap, p->run_count + 1, sizeof *p->runs);
    p->runs[p->run_count++] = r;
    restart(p);
    return 0;
}

int
names_add(struct names_pool *p, const char *name, struct err *e)
{
    size_t len = strlen(name) + 1;

    assert(len <= RUN_BUFFER);
    if (p->count > 0 && p->arena.len + len + p->count * sizeof *p->offsets > p->limit
        && spill(p, e) < 0)
        return -1;
    p->offsets = mem_grow(p->offsets, &p->cap, p->count + 1, sizeof *p->offsets);
    if (p->sorted && p->count > 0)
        p->sorted = strcmp((char *)p->arena.ptr + p->offsets[p->count - 1], name) <= 0;
    p->offsets[p->count++] = (uint32_t)p->arena.len;
    buf_put(&p->arena, name, len);
    return 0;
}

/* Copies the arena's names in order to a block of their own. */
static void
keep(struct names_pool *p, struct names *out)
{
    char *to = mem_alloc(p->arena.len);

    sort(p);
    out->block = to;
    out->len = p->arena.len;
    for (size_t i = 0; i < p->count; i++)
        to = stpcpy(to, (const char *)p->arena.ptr + p->offsets[i]) + 1;
    p->kept += out->len;
    restart(p);
}

int
names_finish(struct names_pool *p, struct names *out, struct err *e)
{
    *out = (struct names){ .spill_start = p->run_count ? p->runs[0].at : p->spill_end };
    if (p->run_count == 0 && p->kept + p->arena.len <= p->limit) {
        keep(p, out);
        return 0;
    }
    if (p->count > 0 && spill(p, e) < 0)
        return -1;
    for (size_t i = 0; i < p->run_count; i++)
        p->runs[i].window = mem_alloc(RUN_BUFFER);
    out->runs = TAKE(p->runs);
    out->run_count = p->run_count;
    out->last = mem_zalloc(RUN_BUFFER);
    p->run_count = p->run_cap = 0;
    return 0;
}

/* Makes the run's next name whole in its window: 1; 0 at the run's end; -1. */
static int
refill(struct names_pool *p, struct run *r, struct err *e)
{
    if (r->pos < r->len && memchr(r->window + r->pos, 0, r->len - r->pos))
        return 1;
    r->len -= r->pos;
    memmove(r->window, r->window + r->pos, r->len);
    r->pos = 0;
    size_t want = RUN_BUFFER - r->len;
    if (want > r->end - r->at)
        want = (size_t)(r->end - r->at);
    if (fs_pread_all(p->spill, r->window + r->len, want, r->at, e) < 0)
        return err_in(e, "listing a large folder by a file in %s", p->tmp_dir);
    r->len += want;
    r->at += want;
    return r->len > 0;
}

/* The least of all runs' next names, leaving out what equals the last one. */
static int
next_of_runs(struct names_pool *p, struct names *n, const char **name, struct err *e)
{
    for (;;) {
        struct run *least = NULL;
        for (size_t i = 0; i < n->run_count; i++) {
            struct run *r = &n->runs[i];
            int more = refill(p, r, e);
            if (more < 0)
                return -1;
            if (more
                && (!least || strcmp(r->window + r->pos, least->window + least->pos) < 0))
                least = r;
        }
        if (!least)
            return 0;
        const char *found = least->window + least->pos;
        size_t len = strlen(found) + 1;
        least->pos += len;
        if (strcmp(found, n->last) == 0)
            continue;
        memcpy(n->last, found, len);
        *name = n->last;
        return 1;
    }
}

int
names_next(struct names_pool *p, struct names *n, const char **name, struct err *e)
{
    if (!n->block)
        return next_of_runs(p, n, name, e);
    while (n->at < n->len) {
        *name = n->block + n->at;
        n->at += strlen(*name) + 1;
        if (n->at == n->len || strcmp(*name, n->block + n->at) != 0)
            return 1; /* of equal ones the last */
    }
    return 0;
}

void
names_release(struct names_pool *p, struct names *n)
{
    if (n->block)
        p->kept -= n->len;
    for (size_t i = 0; i < n->run_count; i++)
        mem_free(n->runs[i].window);
    if (n->run_count)
        p->spill_end = n->spill_start;
    mem_free(n->runs);
    mem_free(n->block);
    mem_free(n->last);
    *n = (struct names){ 0 };
}
