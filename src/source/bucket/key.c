#include "key.h"

#include <assert.h>
#include <string.h>

#define NAME_LEN_MAX 250 /* bytes, so that a file system takes it with a mark behind */

void
key_path_begin(struct key_path *p, const char *key, size_t len)
{
    assert(len <= KEY_MAX);
    p->key = key;
    p->len = len;
    p->at = 0;
    buf_clear(&p->path);
}

void
key_path_release(struct key_path *p)
{
    buf_release(&p->path);
}

static size_t
width(uint8_t c)
{
    return c == '%' ? 3 : 1;
}

/* How much of the part fits into one name. A character of UTF-8 stays whole. */
static size_t
cut(const uint8_t *part, size_t len)
{
    size_t n = 0, used = 0;

    while (n < len && used + width(part[n]) <= NAME_LEN_MAX)
        used += width(part[n++]);
    if (n == len)
        return n;
    for (size_t back = 0; back < 4; back++)
        if ((part[n - back] & 0xC0) != 0x80)
            return n - back;
    return n; /* it is none */
}

static void
put_name(struct buf *path, const uint8_t *name, size_t len)
{
    bool dots = (len == 1 || len == 2) && memcmp(name, "..", len) == 0;

    if (path->len > 0)
        buf_put_u8(path, '/');
    if (len == 0)
        buf_put_u8(path, '%');
    for (size_t i = 0; i < len; i++)
        if (dots || width(name[i]) > 1)
            buf_printf(path, "%%%02X", (unsigned)name[i]);
        else
            buf_put_u8(path, name[i]);
}

static const uint8_t *
rest(const struct key_path *p)
{
    return (const uint8_t *)p->key + p->at;
}

bool
key_path_folder(struct key_path *p)
{
    const uint8_t *part = rest(p);
    const uint8_t *slash = memchr(part, '/', p->len - p->at);
    size_t len = slash ? (size_t)(slash - part) : p->len - p->at;
    size_t n = cut(part, len);

    if (n == len && !slash)
        return false;
    put_name(&p->path, part, n);
    if (n < len)
        buf_put_str(&p->path, "%-");
    p->at += n < len ? n : len + 1;
    return true;
}

void
key_path_name(struct key_path *p, bool beside)
{
    put_name(&p->path, rest(p), p->len - p->at);
    if (beside)
        buf_put_u8(&p->path, '%');
    p->at = p->len;
}

bool
key_is_folder(const char *key, size_t len)
{
    return len == 0 || key[len - 1] == '/';
}
