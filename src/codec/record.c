#include "codec/record.h"

#include <string.h>

void
record_put(struct buf *out, uint16_t tag, struct slice value)
{
    buf_put_u16(out, tag);
    buf_put_u32(out, (uint32_t)value.len);
    buf_put_slice(out, value);
}

void
record_put_str(struct buf *out, uint16_t tag, const char *s)
{
    if (s)
        record_put(out, tag, slice_str(s));
}

void
record_put_u64(struct buf *out, uint16_t tag, uint64_t v)
{
    uint8_t b[8];

    put_u64(b, v);
    record_put(out, tag, slice_of(b, sizeof b));
}

size_t
record_begin(struct buf *out, uint16_t tag)
{
    record_put(out, tag, slice_of(NULL, 0));
    return out->len;
}

void
record_end(struct buf *out, size_t begun)
{
    put_u32(out->ptr + begun - 4, (uint32_t)(out->len - begun));
}

bool
record_next(struct reader *r, uint16_t *tag, struct slice *value)
{
    if (r->bad || r->left == 0)
        return false;
    *tag = read_u16(r);
    *value = read_slice(r, read_u32(r));
    return !r->bad;
}

bool
record_valid(struct slice record)
{
    struct reader r = reader_of(record);
    struct slice v;
    uint16_t tag;

    while (record_next(&r, &tag, &v))
        continue;
    return !r.bad;
}

struct slice
record_get(struct slice record, uint16_t tag)
{
    struct reader r = reader_of(record);
    struct slice v;
    uint16_t t;

    while (record_next(&r, &t, &v))
        if (t == tag)
            return v;
    return (struct slice){ (const uint8_t *)"", 0 };
}

bool
record_copy(struct slice record, uint16_t tag, void *out, size_t len)
{
    struct slice v = record_get(record, tag);

    if (v.len != len)
        return false;
    memcpy(out, v.ptr, len);
    return true;
}

uint64_t
record_u64(struct slice record, uint16_t tag)
{
    uint8_t b[8];

    return record_copy(record, tag, b, sizeof b) ? get_u64(b) : 0;
}

char *
record_str(struct slice record, uint16_t tag)
{
    struct slice v = record_get(record, tag);
    char *s = mem_alloc(v.len + 1);

    memcpy(s, v.ptr, v.len);
    s[v.len] = 0;
    return s;
}
