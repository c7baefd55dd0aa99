#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct slice
slice_of(const void *p, size_t len)
{
    return (struct slice){ p, len };
}

struct slice
slice_str(const char *s)
{
    return slice_of(s, strlen(s));
}

struct slice
slice_sub(struct slice s, size_t from, size_t len)
{
    assert(from <= s.len && len <= s.len - from);
    return slice_of(s.ptr + from, len);
}

int
slice_compare(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;

    return c ? c : (a.len > b.len) - (a.len < b.len);
}

bool
slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

void
buf_release(struct buf *b)
{
    mem_free(b->ptr);
    b->ptr = NULL;
    b->len = b->cap = 0;
}

void
buf_clear(struct buf *b)
{
    b->len = 0;
}

struct slice
buf_slice(const struct buf *b)
{
    return slice_of(b->ptr, b->len);
}

uint8_t *
buf_room(struct buf *b, size_t len)
{
    assert(len <= b->max && b->len <= b->max - len);
    if (b->cap - b->len < len || !b->ptr) {
        size_t next = b->cap * 2 > 256 ? b->cap * 2 : 256;
        if (next < b->len + len)
            next = b->len + len;
        b->cap = next;
        b->ptr = mem_resize(b->ptr, next);
    }
    return b->ptr + b->len;
}

void
buf_put(struct buf *b, const void *p, size_t len)
{
    uint8_t *to = buf_room(b, len);

    if (len)
        memcpy(to, p, len);
    b->len += len;
}

void
buf_put_slice(struct buf *b, struct slice s)
{
    buf_put(b, s.ptr, s.len);
}

void
buf_put_str(struct buf *b, const char *s)
{
    buf_put(b, s, strlen(s));
}

void
buf_put_last(struct buf *b, const void *p, size_t len)
{
    size_t new = len < b->max ? len : b->max;
    size_t kept = b->len < b->max - new ? b->len : b->max - new;

    if (kept < b->len) {
        memmove(b->ptr, b->ptr + b->len - kept, kept);
        b->len = kept;
    }
    buf_put(b, (const uint8_t *)p + len - new, new);
}

void
buf_put_u8(struct buf *b, uint8_t v)
{
    buf_put(b, &v, 1);
}

void
buf_put_u16(struct buf *b, uint16_t v)
{
    put_u16(buf_room(b, 2), v);
    b->len += 2;
}

void
buf_put_u32(struct buf *b, uint32_t v)
{
    put_u32(buf_room(b, 4), v);
    b->len += 4;
}

void
buf_put_u64(struct buf *b, uint64_t v)
{
    put_u64(buf_room(b, 8), v);
    b->len += 8;
}

void
buf_put_var(struct buf *b, uint64_t v)
{
    uint8_t *p = buf_room(b, 10);
    size_t n = 0;

    while (v >= 0x80) {
        p[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    p[n++] = (uint8_t)v;
    b->len += n;
}

void
buf_put_zero(struct buf *b, size_t len)
{
    uint8_t *to = buf_room(b, len);

    if (len)
        memset(to, 0, len);
    b->len += len;
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
    char text[256];
    va_list ap, again;

    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    assert(n >= 0);
    if ((size_t)n < sizeof text) {
        buf_put(b, text, (size_t)n);
    } else { /* formatted beside it: its NUL may have no room in the buf */
        AUTOFREE char *long_text = mem_alloc((size_t)n + 1);
        vsnprintf(long_text, (size_t)n + 1, fmt, again);
        buf_put(b, long_text, (size_t)n);
    }
    va_end(again);
}

const char *
buf_cstr(struct buf *b)
{
    *buf_room(b, 1) = 0;
    return (const char *)b->ptr;
}

void
put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

void
put_u32(uint8_t *p, uint32_t v)
{
    put_u16(p, (uint16_t)v);
    put_u16(p + 2, (uint16_t)(v >> 16));
}

void
put_u64(uint8_t *p, uint64_t v)
{
    put_u32(p, (uint32_t)v);
    put_u32(p + 4, (uint32_t)(v >> 32));
}

uint16_t
get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

uint32_t
get_u32(const uint8_t *p)
{
    return get_u16(p) | (uint32_t)get_u16(p + 2) << 16;
}

uint64_t
get_u64(const uint8_t *p)
{
    return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

struct reader
reader_of(struct slice s)
{
    return (struct reader){ s.ptr, s.len, false };
}

struct slice
read_slice(struct reader *r, size_t len)
{
    struct slice s = { r->ptr, len };

    if (r->bad || len > r->left) {
        r->bad = true;
        return (struct slice){ (const uint8_t *)"", 0 };
    }
    if (len)
        r->ptr += len;
    r->left -= len;
    return s;
}

void
read_copy(struct reader *r, void *out, size_t len)
{
    struct slice s = read_slice(r, len);

    if (s.len == len && len)
        memcpy(out, s.ptr, len);
    else if (len)
        memset(out, 0, len);
}

uint8_t
read_u8(struct reader *r)
{
    struct slice s = read_slice(r, 1);

    return s.len ? s.ptr[0] : 0;
}

uint16_t
read_u16(struct reader *r)
{
    struct slice s = read_slice(r, 2);

    return s.len ? get_u16(s.ptr) : 0;
}

uint32_t
read_u32(struct reader *r)
{
    struct slice s = read_slice(r, 4);

    return s.len ? get_u32(s.ptr) : 0;
}

uint64_t
read_u64(struct reader *r)
{
    struct slice s = read_slice(r, 8);

    return s.len ? get_u64(s.ptr) : 0;
}

uint64_t
read_var(struct reader *r)
{
    uint64_t v = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = read_u8(r);
        if (shift == 63 && b > 1)
            break;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    r->bad = true;
    return 0;
}
