#include "table.h"
#include "base/crc32c.h"
#include "base/fs.h"
#include "repo/index.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define CHECKED_AT_ONCE 4096 /* records */

int
table_open(const char *path, size_t len, bool write, struct table *out, struct err *e)
{
    assert(len + 4 <= TABLE_RECORD_MAX);
    *out = (struct table){ .path = mem_strdup(path), .len = len };
    out->fd = open(path, (write ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC, 0600);
    if (out->fd < 0 && (write || errno != ENOENT))
        return err_sys(e, errno, "opening %s", path);
    return 0;
}

void
table_close(struct table *t)
{
    if (t->fd >= 0)
        close(t->fd);
    mem_free(t->path);
    *t = (struct table){ .fd = -1 };
}

static uint32_t
check_of(uint32_t number, struct slice rec)
{
    uint8_t place[4];

    put_u32(place, number);
    return crc32c_add(crc32c(slice_of(place, sizeof place)), rec);
}

static bool
fits(const struct table *t, uint32_t number, const uint8_t *rec)
{
    return get_u32(rec + t->len) == check_of(number, slice_of(rec, t->len));
}

static int
damaged(const struct table *t, struct err *e)
{
    return err_set(e, ERR_IO, INDEX_DAMAGED, "the local index is damaged: a record of %s",
                   t->path);
}

int
table_put(const struct table *t, uint32_t number, const void *rec, struct err *e)
{
    uint8_t out[TABLE_RECORD_MAX];
    size_t size = t->len + 4;

    memcpy(out, rec, t->len);
    put_u32(out + t->len, check_of(number, slice_of(rec, t->len)));
    return fs_pwrite_all(t->fd, slice_of(out, size), (uint64_t)number * size, e);
}

int
table_get(const struct table *t, uint32_t number, void *rec, struct err *e)
{
    uint8_t in[TABLE_RECORD_MAX];
    size_t size = t->len + 4;
    struct err bad = { 0 };

    if (t->fd < 0 || fs_pread_all(t->fd, in, size, (uint64_t)number * size, &bad) < 0
        || !fits(t, number, in))
        return damaged(t, e);
    memcpy(rec, in, t->len);
    return 0;
}

int
table_check(const struct table *t, uint32_t count, struct err *e)
{
    size_t size = t->len + 4;
    AUTOFREE uint8_t *in = mem_alloc(CHECKED_AT_ONCE * size);
    struct err bad = { 0 };

    for (uint32_t n = 0; n < count;) {
        uint32_t some = count - n < CHECKED_AT_ONCE ? count - n : CHECKED_AT_ONCE;
        if (t->fd < 0
            || fs_pread_all(t->fd, in, some * size, (uint64_t)n * size, &bad) < 0)
            return damaged(t, e);
        for (uint32_t i = 0; i < some; i++)
            if (!fits(t, n + i, in + i * size))
                return damaged(t, e);
        n += some;
    }
    return 0;
}
