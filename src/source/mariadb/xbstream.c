#include "xbstream.h"

#include "base/crc32c.h"
#include "base/text.h"
#include "source/entry.h"

#include <string.h>

#define MAGIC "XBSTCK01"
#define MAGIC_LEN (sizeof MAGIC - 1)

enum { FLAGS_AT = MAGIC_LEN, TYPE_AT, PATH_LEN_AT, HEAD_LEN = PATH_LEN_AT + 4 };
enum { LEN_AT = 0, OFFSET_AT = 8, CRC_AT = 16, BYTES_HEAD_LEN = 20 };
enum { IGNORABLE = 1 << 0 };
enum { TYPE_BYTES = 'P', TYPE_END = 'E' };

void
xbstream_init(struct xbstream *x, xbstream_read_fn *read, void *arg)
{
    *x = (struct xbstream){ .read = read, .arg = arg };
}

static int
damaged(const struct xbstream *x, const char *what, struct err *e)
{
    return err_set(e, ERR_SOURCE, 0,
                   "the stream of mariadb-backup is damaged before byte %llu: %s",
                   (unsigned long long)x->at, what);
}

static int
cut_off(const struct xbstream *x, struct err *e)
{
    return err_set(e, ERR_SOURCE, 0,
                   "the stream of mariadb-backup ends at byte %llu, within a file",
                   (unsigned long long)x->at);
}

/* 1; 0 when the stream ends before the first byte; -1. */
static int
read_all(struct xbstream *x, uint8_t *out, size_t len, struct err *e)
{
    size_t n = 0;

    while (n < len) {
        size_t got = 0;
        if (x->read(x->arg, out + n, len - n, &got, e) < 0)
            return -1;
        if (got == 0)
            return n == 0 ? 0 : cut_off(x, e);
        x->at += got;
        n += got;
    }
    return 1;
}

static int
read_rest(struct xbstream *x, uint8_t *out, size_t len, struct err *e)
{
    int rc = len == 0 ? 1 : read_all(x, out, len, e);

    return rc == 0 ? cut_off(x, e) : rc < 0 ? -1 : 0;
}

static int
read_path(struct xbstream *x, uint32_t len, struct err *e)
{
    if (len > sizeof x->name)
        return damaged(x, "a path is too long", e);
    if (read_rest(x, x->name, len, e) < 0)
        return -1;
    x->path = slice_of(x->name, len);
    return entry_path_valid(x->path) ? 0 : damaged(x, "a path leads elsewhere", e);
}

static int
read_bytes_head(struct xbstream *x, struct err *e)
{
    uint8_t head[BYTES_HEAD_LEN];

    if (read_rest(x, head, sizeof head, e) < 0)
        return -1;
    uint64_t len = get_u64(head + LEN_AT);
    x->offset = get_u64(head + OFFSET_AT);
    x->want = get_u32(head + CRC_AT);
    x->crc = 0;
    if (len > XBSTREAM_LEN_MAX || x->offset > (uint64_t)INT64_MAX - len)
        return damaged(x, "a length or an offset is too large", e);
    x->left = len;
    return len > 0 || x->want == 0 ? 0 : damaged(x, "a checksum is wrong", e);
}

static int
pass_over(struct xbstream *x, struct err *e)
{
    uint8_t block[4096];
    size_t got;

    do {
        if (xbstream_data(x, block, sizeof block, &got, e) < 0)
            return -1;
    } while (got > 0);
    return 0;
}

int
xbstream_next(struct xbstream *x, struct err *e)
{
    for (;;) {
        uint8_t head[HEAD_LEN];
        if (pass_over(x, e) < 0)
            return -1;
        int rc = read_all(x, head, sizeof head, e);
        if (rc <= 0)
            return rc;
        if (memcmp(head, MAGIC, MAGIC_LEN) != 0)
            return damaged(x, "no chunk begins where one should", e);
        bool known = head[TYPE_AT] == TYPE_BYTES || head[TYPE_AT] == TYPE_END;
        if (!known && !(head[FLAGS_AT] & IGNORABLE))
            return damaged(x, "it has a chunk of an unknown type", e);
        if (read_path(x, get_u32(head + PATH_LEN_AT), e) < 0)
            return -1;
        x->end = head[TYPE_AT] == TYPE_END;
        if (!x->end && read_bytes_head(x, e) < 0)
            return -1;
        if (known)
            return 1;
    }
}

int
xbstream_data(struct xbstream *x, uint8_t *out, size_t len, size_t *got, struct err *e)
{
    *got = 0;
    if (x->left == 0)
        return 0;
    if (x->read(x->arg, out, len < x->left ? len : x->left, got, e) < 0)
        return -1;
    if (*got == 0)
        return cut_off(x, e);
    x->at += *got;
    x->left -= *got;
    x->crc = crc32_ieee_add(x->crc, slice_of(out, *got));
    return x->left > 0 || x->crc == x->want
             ? 0
             : err_set(
                 e, ERR_SOURCE, 0,
                 "the stream of mariadb-backup is damaged: a checksum of %s is wrong",
                 text_of_name(x->path));
}
