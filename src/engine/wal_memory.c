#include "wal_memory.h"

#include <stdio.h>
#include <string.h>

#define KEPT_LEN (WAL_NAME_MAX + 32 + 32 + 1)

int
wal_memory_load(struct state *s, uint64_t system, struct wal_memory *out, struct err *e)
{
    AUTOBUF struct buf value = BUF(KEPT_LEN * WAL_MEMORY_FILES);

    *out = (struct wal_memory){ 0 };
    snprintf(out->name, sizeof out->name, "wal/%llu", (unsigned long long)system);
    out->kept = mem_zalloc((WAL_MEMORY_FILES + 1) * sizeof *out->kept);
    if (state_get(s, out->name, &value, e) < 0) {
        wal_memory_release(out);
        return -1;
    }
    for (size_t at = 0; at + KEPT_LEN <= value.len; at += KEPT_LEN) {
        struct wal_kept *k = &out->kept[out->count++];
        const uint8_t *p = value.ptr + at;
        memcpy(k->file, p, WAL_NAME_MAX);
        memcpy(k->sha256, p + WAL_NAME_MAX, 32);
        memcpy(k->object, p + WAL_NAME_MAX + 32, 32);
        k->safe = p[KEPT_LEN - 1];
    }
    return 0;
}

int
wal_memory_save(struct state *s, const struct wal_memory *m, struct err *e)
{
    AUTOBUF struct buf value = BUF(KEPT_LEN * WAL_MEMORY_FILES);

    for (size_t i = 0; i < m->count; i++) {
        const struct wal_kept *k = &m->kept[i];
        buf_put(&value, k->file, WAL_NAME_MAX);
        buf_put(&value, k->sha256, 32);
        buf_put(&value, k->object, 32);
        buf_put_u8(&value, k->safe);
    }
    return state_put(s, m->name, buf_slice(&value), e);
}

void
wal_memory_release(struct wal_memory *m)
{
    mem_free(m->kept);
    *m = (struct wal_memory){ 0 };
}

struct wal_kept *
wal_memory_find(const struct wal_memory *m, const char *file)
{
    for (size_t i = m->count; i-- > 0;)
        if (strcmp(m->kept[i].file, file) == 0)
            return &m->kept[i];
    return NULL;
}

void
wal_memory_drop(struct wal_memory *m, const char *file)
{
    struct wal_kept *k = wal_memory_find(m, file);

    if (!k)
        return;
    memmove(k, k + 1, (size_t)(m->kept + m->count - (k + 1)) * sizeof *k);
    m->count--;
}

struct wal_kept *
wal_memory_put(struct wal_memory *m, const struct wal_kept *k)
{
    struct wal_kept copy = *k; /* it may be one of ours */

    wal_memory_drop(m, copy.file);
    if (m->count == WAL_MEMORY_FILES)
        memmove(m->kept, m->kept + 1, --m->count * sizeof *m->kept);
    m->kept[m->count] = copy;
    return &m->kept[m->count++];
}
