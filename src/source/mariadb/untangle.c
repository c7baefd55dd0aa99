#include "untangle.h"

#include "base/fs.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK ((size_t)64 << 10)

void
untangle_init(struct untangle *u, xbstream_read_fn *read, void *arg, const char *tmp_dir)
{
    *u = (struct untangle){ .tmp_dir = tmp_dir,
                            .ended = true,
                            .path = BUF(XBSTREAM_PATH_MAX),
                            .head = BUF(UNTANGLE_SMALL) };
    xbstream_init(&u->in, read, arg);
}

static void
drop(struct untangle *u, struct waiting *w)
{
    if (w->fd >= 0)
        close(w->fd);
    buf_release(&w->path);
    *w = u->waiting[--u->waiting_count];
}

void
untangle_release(struct untangle *u)
{
    while (u->waiting_count > 0)
        drop(u, &u->waiting[u->waiting_count - 1]);
    buf_release(&u->path);
    buf_release(&u->head);
}

static int
open_spill(const char *dir, int *fd, struct err *e)
{
    AUTOFREE char *path = fs_join(dir, "stream-XXXXXX");

    *fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*fd >= 0)
        return 0;
    *fd = mkostemp(path, O_CLOEXEC);
    if (*fd < 0)
        return err_sys(e, errno, "creating a temporary file in %s", dir);
    unlink(path);
    return 0;
}

/* 1 and the next chunk that was not taken, 0, -1. */
static int
peek(struct untangle *u, struct err *e)
{
    if (u->over || u->ahead)
        return !u->over;
    int rc = xbstream_next(&u->in, e);
    u->ahead = rc == 1;
    u->over = rc == 0;
    return rc;
}

static bool
is_in_hand(const struct untangle *u)
{
    return !u->ended && !u->waited && slice_equal(u->in.path, buf_slice(&u->path));
}

/* Each chunk goes on where the one before ended. */
static int
check_offset(const struct untangle *u, uint64_t size, struct err *e)
{
    return u->in.end || u->in.offset == size
             ? 0
             : err_set(e, ERR_SOURCE, 0,
                       "the stream of mariadb-backup is damaged: %s has a gap or an "
                       "overlap at byte %llu",
                       text_of_name(u->in.path), (unsigned long long)size);
}

static struct waiting *
find_waiting(struct untangle *u)
{
    for (size_t i = 0; i < u->waiting_count; i++)
        if (!u->waiting[i].ended
            && slice_equal(u->in.path, buf_slice(&u->waiting[i].path)))
            return &u->waiting[i];
    return NULL;
}

static int
append(struct untangle *u, struct waiting *w, struct err *e)
{
    uint8_t block[BLOCK];
    size_t got;

    if (w->fd < 0 && !u->in.end && open_spill(u->tmp_dir, &w->fd, e) < 0)
        return -1;
    for (;;) {
        if (xbstream_data(&u->in, block, sizeof block, &got, e) < 0)
            return -1;
        if (got == 0)
            return 0;
        if (fs_pwrite_all(w->fd, slice_of(block, got), w->size, e) < 0)
            return err_in(e, "keeping a part of %s in %s", text_of_name(u->in.path),
                          u->tmp_dir);
        w->size += got;
    }
}

/* Puts the next chunk with the others of its file. */
static int
let_wait(struct untangle *u, struct err *e)
{
    struct waiting *w = find_waiting(u);

    if (!w && u->waiting_count == UNTANGLE_WAIT_MAX)
        return err_set(e, ERR_SOURCE, 0,
                       "the stream of mariadb-backup has more than %d files at once",
                       UNTANGLE_WAIT_MAX);
    if (!w) {
        w = &u->waiting[u->waiting_count++];
        *w = (struct waiting){ .path = BUF(XBSTREAM_PATH_MAX), .fd = -1 };
        buf_put_slice(&w->path, u->in.path);
    }
    u->ahead = false;
    w->ended = u->in.end;
    return check_offset(u, w->size, e) < 0 || append(u, w, e) < 0 ? -1 : 0;
}

static bool
is_log(struct slice path)
{
    static const char name[] = "ib_logfile";

    return path.len >= strlen(name) && memcmp(path.ptr, name, strlen(name)) == 0;
}

/* The next chunk of the file in hand, if it is of the stream: 1; 0 at its end; -1. */
static int
next_chunk(struct untangle *u, struct err *e)
{
    int rc;

    while ((rc = peek(u, e)) == 1) {
        if (!is_in_hand(u)) {
            if (let_wait(u, e) < 0)
                return -1;
            continue;
        }
        u->ahead = false;
        u->ended = u->in.end;
        return check_offset(u, u->size, e) < 0 ? -1 : !u->ended;
    }
    return rc < 0 ? -1
                  : err_set(e, ERR_SOURCE, 0,
                            "the stream of mariadb-backup ends before the end of %s",
                            text_of_name(buf_slice(&u->path)));
}

/* Reads a new file from its first chunk up to its end, or until it is not small. */
static int
read_ahead(struct untangle *u, uint64_t *size, struct err *e)
{
    int rc = 1;

    *size = UINT64_MAX;
    while (rc == 1) {
        size_t got = 1;
        while (got > 0 && u->head.len < UNTANGLE_SMALL) {
            uint8_t *to = buf_room(&u->head, UNTANGLE_SMALL - u->head.len);
            if (xbstream_data(&u->in, to, UNTANGLE_SMALL - u->head.len, &got, e) < 0)
                return -1;
            u->head.len += got;
            u->size += got;
        }
        if (got > 0)
            return 1;
        rc = next_chunk(u, e);
    }
    if (rc == 0)
        *size = u->size;
    return rc < 0 ? -1 : 1;
}

/* Takes a file in hand. */
static void
begin(struct untangle *u, struct slice path, struct waiting *w)
{
    buf_clear(&u->path);
    buf_put_slice(&u->path, path);
    buf_clear(&u->head);
    u->taken = 0;
    u->size = 0;
    u->waited = w;
    u->ended = false;
}

static int
pass_over(struct untangle *u, struct err *e)
{
    uint8_t block[BLOCK];
    size_t got;

    do {
        if (untangle_read(u, block, sizeof block, &got, e) < 0)
            return -1;
    } while (got > 0);
    if (u->waited)
        drop(u, u->waited);
    u->waited = NULL;
    return 0;
}

static struct waiting *
find_whole(struct untangle *u)
{
    for (size_t i = 0; i < u->waiting_count; i++)
        if (u->waiting[i].ended)
            return &u->waiting[i];
    return NULL;
}

int
untangle_next(struct untangle *u, struct slice *path, uint64_t *size, struct err *e)
{
    if (pass_over(u, e) < 0)
        return -1;
    for (;;) {
        struct waiting *w = find_whole(u);
        int rc = w ? 1 : peek(u, e);
        if (rc < 0)
            return -1;
        if (rc == 0)
            break;
        if (!w && (is_log(u->in.path) || find_waiting(u))) {
            if (let_wait(u, e) < 0)
                return -1;
            continue;
        }
        begin(u, w ? buf_slice(&w->path) : u->in.path, w);
        *path = buf_slice(&u->path);
        if (w) {
            *size = w->size;
            return 1;
        }
        rc = next_chunk(u, e);
        if (rc == 0)
            *size = 0;
        return rc < 0 ? -1 : rc == 0 ? 1 : read_ahead(u, size, e);
    }
    return u->waiting_count == 0
             ? 0
             : err_set(e, ERR_SOURCE, 0,
                       "the stream of mariadb-backup ends before the end of %s",
                       text_of_name(buf_slice(&u->waiting[0].path)));
}

static int
read_waited(struct untangle *u, uint8_t *out, size_t len, size_t *got, struct err *e)
{
    uint64_t left = u->waited->size - u->size;

    *got = left < len ? (size_t)left : len;
    if (*got > 0 && fs_pread_all(u->waited->fd, out, *got, u->size, e) < 0)
        return -1;
    u->size += *got;
    return 0;
}

int
untangle_read(struct untangle *u, uint8_t *out, size_t len, size_t *got, struct err *e)
{
    *got = 0;
    if (u->waited)
        return read_waited(u, out, len, got, e);
    if (u->taken < u->head.len) {
        *got = u->head.len - u->taken < len ? u->head.len - u->taken : len;
        memcpy(out, u->head.ptr + u->taken, *got);
        u->taken += *got;
        return 0;
    }
    while (!u->ended) {
        if (xbstream_data(&u->in, out, len, got, e) < 0)
            return -1;
        u->size += *got;
        if (*got > 0)
            return 0;
        if (next_chunk(u, e) < 0)
            return -1;
    }
    return 0;
}
