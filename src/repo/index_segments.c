#include "index_impl.h"

#include <string.h>

/* Which index segments the local index has taken, with the numbers of their packs.
 * Those added since the last flush are in memory, few enough to be gone through: each
 * backup publishes one, and most are small. */
#define SEGMENTS_HELD 256

int
index_segment_add(struct index *x, const char *key, struct slice packs, struct err *e)
{
    pthread_rwlock_wrlock(&x->lock);
    x->segments = mem_grow(x->segments, &x->segment_cap, x->segment_count + 1,
                           sizeof *x->segments);
    struct segment *s = &x->segments[x->segment_count++];
    *s = (struct segment){ mem_strdup(key), BUF(packs.len) };
    buf_put_slice(&s->packs, packs);
    int rc = x->segment_count >= SEGMENTS_HELD ? index_flush_held(x, e) : 0;
    pthread_rwlock_unlock(&x->lock);
    return rc;
}

int
index_segment_get(struct index *x, const char *key, struct buf *packs, struct err *e)
{
    for (size_t i = 0; i < x->segment_count; i++)
        if (strcmp(x->segments[i].key, key) == 0) {
            buf_put_slice(packs, buf_slice(&x->segments[i].packs));
            return 1;
        }
    int rc = state_segment_get(x->state, key, packs, e);
    return rc < 0 && e->kind == ERR_CORRUPT ? index_broken(x, e) : rc;
}

int
index_segment_each(struct index *x, state_blob_fn *fn, void *arg, struct err *e)
{
    return state_segment_list(x->state, fn, arg, e);
}
