#include "source/entry.h"

#include <string.h>

int
entry_order(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    size_t i = 0;

    while (i < n && a.ptr[i] == b.ptr[i])
        i++;
    if (i == n)
        return (a.len > b.len) - (a.len < b.len);
    int x = a.ptr[i] == '/' ? 0 : a.ptr[i];
    int y = b.ptr[i] == '/' ? 0 : b.ptr[i];
    return x - y;
}

bool
entry_below(struct slice path, struct slice top)
{
    if (top.len == 0)
        return true;
    return path.len >= top.len && memcmp(path.ptr, top.ptr, top.len) == 0
        && (path.len == top.len || path.ptr[top.len] == '/');
}

bool
entry_path_valid(struct slice path)
{
    if (path.len == 0 || path.len > ENTRY_PATH_MAX || memchr(path.ptr, 0, path.len))
        return false;
    for (size_t i = 0; i <= path.len;) {
        const uint8_t *part = path.ptr + i;
        const uint8_t *slash = i < path.len ? memchr(part, '/', path.len - i) : NULL;
        size_t len = slash ? (size_t)(slash - part) : path.len - i;
        if (len == 0 || (len == 1 && part[0] == '.')
            || (len == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        i += len + 1;
    }
    return true;
}

bool
chunk_id_is_hole(const struct chunk_id *id)
{
    static const struct chunk_id zero;

    return memcmp(id, &zero, sizeof zero) == 0;
}

bool
chunk_id_equal(const struct chunk_id *a, const struct chunk_id *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

void
entry_xattr_put(struct buf *out, struct slice name, struct slice value)
{
    buf_put_var(out, name.len);
    buf_put_slice(out, name);
    buf_put_var(out, value.len);
    buf_put_slice(out, value);
}

bool
entry_xattr_next(struct reader *r, struct slice *name, struct slice *value)
{
    if (r->bad || r->left == 0)
        return false;
    *name = read_slice(r, (size_t)read_var(r));
    *value = read_slice(r, (size_t)read_var(r));
    if (name->len == 0 || name->len > 255)
        r->bad = true;
    return !r->bad;
}

static const struct {
    enum entry_type type;
    mode_t mode;
} types[] = {
    { ENTRY_FILE, S_IFREG }, { ENTRY_DIR, S_IFDIR },  { ENTRY_LINK, S_IFLNK },
    { ENTRY_FIFO, S_IFIFO }, { ENTRY_CHAR, S_IFCHR }, { ENTRY_BLOCK, S_IFBLK },
};

mode_t
entry_st_mode(const struct entry *en)
{
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (types[i].type == en->type)
            return types[i].mode | en->mode;
    return en->mode;
}

enum entry_type
entry_type_of(mode_t st_mode)
{
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (types[i].mode == (st_mode & S_IFMT))
            return types[i].type;
    return 0;
}
