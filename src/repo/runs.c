#include "runs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *
path_of(const struct runs *s, uint64_t number)
{
    return mem_printf("%s/run-%llu", s->dir, (unsigned long long)number);
}

void
runs_put(struct buf *out, const struct runs *s)
{
    buf_put_u64(out, s->next);
    buf_put_u32(out, (uint32_t)s->count);
    for (size_t i = 0; i < s->count; i++) {
        buf_put_u64(out, s->list[i].number);
        buf_put_u64(out, s->list[i].count);
        buf_put_u32(out, s->list[i].check);
    }
}

int
runs_open(struct runs *s, struct reader *r, struct err *e)
{
    s->next = read_u64(r);
    uint32_t n = read_u32(r);

    for (uint32_t i = 0; i < n && i < RUNS_MAX && !r->bad; i++) {
        uint64_t number = read_u64(r), count = read_u64(r);
        uint32_t check = read_u32(r);
        AUTOFREE char *path = path_of(s, number);
        if (run_open(path, number, count, check, &s->list[i], e) < 0)
            return -1;
        s->count++;
    }
    return 0;
}

void
runs_close(struct runs *s)
{
    for (size_t i = 0; i < s->count; i++)
        run_close(&s->list[i]);
    mem_free(s->dir);
    *s = (struct runs){ .count = 0 };
}

int
runs_find(struct runs *s, const struct chunk_id *id, run_match_fn *fn, void *arg,
          struct err *e)
{
    int rc = 0;

    for (size_t i = s->count; i > 0 && rc == 0; i--)
        rc = run_find(&s->list[i - 1], id, fn, arg, e);
    return rc;
}

static int
by_record(const void *a, const void *b)
{
    return memcmp(a, b, RUN_RECORD);
}

/* Merges the two newest runs while they are of similar size. */
static int
merge_runs(struct runs *s, struct err *e)
{
    while (s->count > 1) {
        struct run *a = &s->list[s->count - 2], *b = &s->list[s->count - 1], merged;
        if (a->count > 4 * b->count && s->count < RUNS_MAX - 1)
            return 0;
        AUTOFREE char *path = path_of(s, s->next);
        if (run_merge(path, s->next++, a, b, &merged, e) < 0)
            return -1;
        unlink(a->path); /* the meta written next no longer names them; if it is */
        unlink(b->path); /* never written, the index is made anew */
        run_close(a);
        run_close(b);
        *a = merged;
        s->count--;
    }
    return 0;
}

int
runs_add(struct runs *s, uint8_t (*records)[RUN_RECORD], size_t count, struct err *e)
{
    AUTOFREE char *path = path_of(s, s->next);

    if (s->count == RUNS_MAX) /* merging has failed again and again */
        return err_set(e, ERR_IO, INDEX_DAMAGED,
                       "the local index is damaged: too many "
                       "runs");
    qsort(records, count, sizeof *records, by_record);
    if (run_write(path, s->next++, records[0], count, &s->list[s->count], e) < 0)
        return -1;
    s->count++;
    return merge_runs(s, e);
}
