#include "content.h"

#include "base/cancel.h"
#include "base/fs.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct content {
    struct repo *repo;
    const struct entry *entry;
    int fd;
    uint8_t *buffer;
    uint64_t *bytes;
    bool same;
};

static bool
is_zero(const uint8_t *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static bool
read_piece(struct content *c, uint64_t at, size_t len)
{
    struct err short_or_broken = { 0 };

    *c->bytes += len;
    return fs_pread_all(c->fd, c->buffer, len, at, &short_or_broken) == 0;
}

/* What the file system keeps as a hole reads as zeros: no need to. */
static bool
same_hole(struct content *c, uint64_t at, uint64_t len)
{
    off_t data = lseek(c->fd, (off_t)at, SEEK_DATA);

    if (data < 0 && errno == ENXIO)
        return true; /* nothing but a hole up to the end */
    uint64_t from = data > (off_t)at ? (uint64_t)data - at : 0;
    for (uint64_t done = from; done < len; done += CHUNK_RAW_MAX) {
        size_t n = len - done < CHUNK_RAW_MAX ? (size_t)(len - done) : CHUNK_RAW_MAX;
        if (!read_piece(c, at + done, n) || !is_zero(c->buffer, n))
            return false;
    }
    return true;
}

/* A bundled file's extents lie somewhere in a chunk with others; its whole
 * content has an id of its own. */
static bool
same_piece(struct content *c, uint64_t at, const struct extent *x)
{
    static const uint8_t none[CONTENT_ID_LEN];
    const struct entry *en = c->entry;
    uint8_t content[CONTENT_ID_LEN];
    struct chunk_id id;

    if (x->len > CHUNK_RAW_MAX || !read_piece(c, at, (size_t)x->len))
        return false;
    struct slice plain = slice_of(c->buffer, (size_t)x->len);
    if (memcmp(en->content_id, none, sizeof none) != 0 && x->len == en->size) {
        keys_content_id(repo_keys(c->repo), plain, content);
        return memcmp(content, en->content_id, sizeof content) == 0;
    }
    keys_chunk_id(repo_keys(c->repo), KIND_FILE, plain, &id);
    return chunk_id_equal(&id, &x->id);
}

static int
compare_extent(void *arg, uint64_t at, const struct extent *x, struct err *e)
{
    struct content *c = arg;

    if (cancel_check(e) < 0)
        return -1;
    if (c->same)
        c->same = chunk_id_is_hole(&x->id) ? same_hole(c, at, x->len)
                                           : same_piece(c, at, x);
    return 0;
}

int
content_same(struct repo *r, const struct entry *en, int fd, uint8_t *buffer,
             uint64_t *bytes, struct err *e)
{
    struct content c = { r, en, fd, buffer, bytes, true };

    if (extent_each(en, repo_load_node, r, compare_extent, &c, e) < 0)
        return -1;
    return c.same;
}
