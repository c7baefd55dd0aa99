#include "chain.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AGAIN (O_PATH | O_DIRECTORY | O_CLOEXEC) /* its names were read before */

struct frame *
chain_top(struct chain *c)
{
    return c->depth > 0 ? &c->frames[c->depth - 1] : NULL;
}

void
chain_push(struct chain *c, const struct frame *f)
{
    c->frames = mem_grow(c->frames, &c->cap, c->depth + 1, sizeof *c->frames);
    c->frames[c->depth++] = *f;
    if (c->depth - c->lowest_open > CHAIN_OPEN_MAX) {
        close(c->frames[c->lowest_open].fd);
        c->frames[c->lowest_open++].fd = -1;
    }
}

static void
drop(struct chain *c, struct names_pool *pool)
{
    struct frame *f = &c->frames[--c->depth];

    if (f->fd >= 0)
        close(f->fd);
    names_release(pool, &f->names);
    if (c->lowest_open >= c->depth && c->depth > 0)
        c->lowest_open = c->depth - 1;
}

/* Closes `f->fd` when it is not that folder. */
static bool
check(struct frame *f)
{
    struct stat st;

    if (f->fd < 0)
        return false;
    if (fstat(f->fd, &st) == 0 && st.st_dev == f->dev && st.st_ino == f->ino)
        return true;
    close(f->fd);
    f->fd = -1;
    return false;
}

static int
open_from_root(const struct chain *c, const uint8_t *path)
{
    char part[CHAIN_PART_MAX];
    int fd = open("/", AGAIN);

    for (size_t i = 1; i < c->depth && fd >= 0; i++) {
        const struct frame *f = &c->frames[i];
        size_t from = c->frames[i - 1].path_len;
        from += from > 0; /* the slash */
        memcpy(part, path + from, f->path_len - from);
        part[f->path_len - from] = 0;
        int next = openat(fd, part, AGAIN | (f->follow ? 0 : O_NOFOLLOW));
        close(fd);
        fd = next;
    }
    return fd;
}

bool
chain_pop(struct chain *c, struct names_pool *pool, const uint8_t *path)
{
    struct frame *f = chain_top(c);

    assert(f);
    if (c->depth == 1 || f[-1].fd >= 0) {
        drop(c, pool);
        return true;
    }
    struct frame *up = f - 1;
    up->fd = f->fd >= 0 ? openat(f->fd, "..", AGAIN) : -1;
    drop(c, pool);
    if (check(up))
        return true;
    up->fd = open_from_root(c, path);
    return check(up);
}

void
chain_release(struct chain *c, struct names_pool *pool)
{
    while (c->depth > 0)
        drop(c, pool);
    mem_free(c->frames);
    *c = (struct chain){ 0 };
}
