#include "entry_format.h"

#include <string.h>

/* Bits of an entry's second byte. */
enum shape {
    SHAPE_XATTRS = 1,      /* xattrs follow */
    SHAPE_XATTR_CHUNK = 2, /* a chunk id instead */
    SHAPE_CONTENT_ID = 4,
    SHAPE_TREE = 8,
};

/* How an extent names its chunk. */
enum naming { NAMED_NEW = 0, NAMED_HOLE = 1, NAMED_LAST = 2 };

static uint64_t
zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static int64_t
unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1 ^ -(v & 1));
}

static void
put_slice(struct buf *out, struct slice s)
{
    buf_put_var(out, s.len);
    buf_put_slice(out, s);
}

static struct slice
get_slice(struct reader *r)
{
    uint64_t len = read_var(r);

    return read_slice(r, len > r->left ? r->left + 1 : (size_t)len);
}

static bool
has_content_id(const struct entry *en)
{
    static const uint8_t zero[CONTENT_ID_LEN];

    return memcmp(en->content_id, zero, sizeof zero) != 0;
}

static void
put_extents(struct buf *out, struct entry_context *c, const struct entry *en)
{
    buf_put_u8(out, en->extent_count);
    for (size_t i = 0; i < en->extent_count; i++) {
        const struct extent *x = &en->extents[i];
        if (chunk_id_is_hole(&x->id)) {
            buf_put_u8(out, NAMED_HOLE);
        } else if (chunk_id_equal(&x->id, &c->last)) {
            buf_put_u8(out, NAMED_LAST);
        } else {
            buf_put_u8(out, NAMED_NEW);
            buf_put(out, x->id.bytes, sizeof x->id.bytes);
            c->last = x->id;
        }
        buf_put_var(out, x->offset);
        buf_put_var(out, x->len);
    }
}

void
entry_put(struct buf *out, struct entry_context *c, const struct entry *en,
          const struct chunk_id *xattr_chunk)
{
    bool file = en->type == ENTRY_FILE;
    uint8_t shape = (uint8_t)((xattr_chunk      ? SHAPE_XATTR_CHUNK
                               : en->xattrs.len ? SHAPE_XATTRS
                                                : 0)
                              | (file && has_content_id(en) ? SHAPE_CONTENT_ID : 0)
                              | (file && en->tree ? SHAPE_TREE : 0));

    buf_put_u8(out, (uint8_t)en->type);
    buf_put_u8(out, shape);
    buf_put_var(out, en->flags);
    buf_put_var(out, en->mode);
    buf_put_var(out, en->uid);
    buf_put_var(out, en->gid);
    put_slice(out, en->user);
    put_slice(out, en->group);
    buf_put_var(out, zigzag(en->mtime_s));
    buf_put_var(out, en->mtime_ns);
    buf_put_var(out, zigzag(en->ctime_s));
    buf_put_var(out, en->ctime_ns);
    buf_put_var(out, en->ino);
    buf_put_var(out, en->link_group);
    if (xattr_chunk)
        buf_put(out, xattr_chunk->bytes, sizeof xattr_chunk->bytes);
    else if (en->xattrs.len)
        put_slice(out, en->xattrs);
    if (en->type == ENTRY_LINK)
        put_slice(out, en->target);
    if (en->type == ENTRY_CHAR || en->type == ENTRY_BLOCK)
        buf_put_var(out, en->rdev);
    if (!file)
        return;
    buf_put_var(out, en->size);
    if (shape & SHAPE_CONTENT_ID)
        buf_put(out, en->content_id, CONTENT_ID_LEN);
    put_extents(out, c, en);
}

static bool
get_extents(struct reader *r, struct entry_context *c, struct entry *en)
{
    uint64_t sum = 0;

    en->extent_count = read_u8(r);
    if (en->extent_count > ENTRY_EXTENTS_MAX)
        return false;
    for (size_t i = 0; i < en->extent_count; i++) {
        struct extent *x = &en->extents[i];
        uint8_t naming = read_u8(r);
        memset(&x->id, 0, sizeof x->id);
        if (naming == NAMED_NEW) {
            read_copy(r, x->id.bytes, sizeof x->id.bytes);
            c->last = x->id;
        } else if (naming == NAMED_LAST) {
            if (chunk_id_is_hole(&c->last))
                return false;
            x->id = c->last;
        } else if (naming != NAMED_HOLE) {
            return false;
        }
        uint64_t offset = read_var(r);
        x->len = read_var(r);
        if (offset > CHUNK_RAW_MAX || x->len > en->size - sum)
            return false;
        x->offset = (uint32_t)offset;
        sum += x->len;
    }
    return !r->bad && sum == en->size && (!en->tree || en->extent_count == 1);
}

bool
entry_get(struct reader *r, struct entry_context *c, struct entry *en,
          struct chunk_id *xattr_chunk, bool *has_xattr_chunk)
{
    struct slice path = en->path;

    *en = (struct entry){ .path = path };
    en->type = (enum entry_type)read_u8(r);
    uint8_t shape = read_u8(r);
    en->flags = (uint32_t)read_var(r);
    en->mode = (uint32_t)read_var(r) & 07777;
    en->uid = (uint32_t)read_var(r);
    en->gid = (uint32_t)read_var(r);
    en->user = get_slice(r);
    en->group = get_slice(r);
    en->mtime_s = unzigzag(read_var(r));
    en->mtime_ns = (uint32_t)read_var(r);
    en->ctime_s = unzigzag(read_var(r));
    en->ctime_ns = (uint32_t)read_var(r);
    en->ino = read_var(r);
    en->link_group = read_var(r);
    if (shape & SHAPE_XATTRS)
        en->xattrs = get_slice(r);
    *has_xattr_chunk = shape & SHAPE_XATTR_CHUNK;
    if (*has_xattr_chunk)
        read_copy(r, xattr_chunk->bytes, sizeof xattr_chunk->bytes);
    if (en->type == ENTRY_LINK)
        en->target = get_slice(r);
    if (en->type == ENTRY_CHAR || en->type == ENTRY_BLOCK)
        en->rdev = read_var(r);
    en->tree = shape & SHAPE_TREE;
    bool ok = !r->bad && en->type >= ENTRY_FILE && en->type <= ENTRY_BLOCK
           && en->mtime_ns < 1000000000 && shape < 16
           && (shape & 3) != (SHAPE_XATTRS | SHAPE_XATTR_CHUNK);
    if (!ok || en->type != ENTRY_FILE)
        return ok;
    en->size = read_var(r);
    if (shape & SHAPE_CONTENT_ID)
        read_copy(r, en->content_id, CONTENT_ID_LEN);
    return get_extents(r, c, en);
}
