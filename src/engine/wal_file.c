#include "wal_file.h"
#include "base/cancel.h"
#include "base/fs.h"
#include "crypto/hash.h"
#include "repo/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The data folder that a file without a page belongs to: the one we were started in,
 * as archive_command is, or the one above its own. */
static int
find_system(const char *path, uint64_t *id, struct err *e)
{
    AUTOFREE char *dir = fs_absolute(path);
    struct err here = { 0 };

    if (wal_system_of(".", id, &here) == 0)
        return 0;
    for (int i = 0; i < 2 && strrchr(dir, '/'); i++)
        *strrchr(dir, '/') = 0;
    if (wal_system_of(dir, id, e) == 0)
        return 0;
    return err_set(e, ERR_SOURCE, 0,
                   "whose log is it? run it in the server's data folder, as "
                   "archive_command does");
}

static int
check_page(struct wal_file *f, struct err *e)
{
    uint8_t head[WAL_PAGE_HEAD];
    struct wal_page page;

    if (f->size < sizeof head)
        return err_set(e, ERR_SOURCE, 0, "it has %llu bytes",
                       (unsigned long long)f->size);
    if (fs_pread_all(f->fd, head, sizeof head, 0, e) < 0
        || wal_page_parse(slice_of(head, sizeof head), &page, e) < 0
        || wal_page_fits(&page, &f->name, e) < 0)
        return -1;
    if (f->size != page.size)
        return err_set(e, ERR_SOURCE, 0, "it has %llu bytes, and a segment %llu",
                       (unsigned long long)f->size, (unsigned long long)page.size);
    if (f->size > LOG_FILE_MAX)
        return err_set(e, ERR_UNSUPPORTED, 0,
                       "its segments have %llu MiB; at most %llu MiB can be archived",
                       (unsigned long long)f->size >> 20,
                       (unsigned long long)LOG_FILE_MAX >> 20);
    f->system = page.system_id;
    f->unit = page.size;
    return 0;
}

static int
check(struct wal_file *f, struct err *e)
{
    const char *slash = strrchr(f->path, '/');
    const char *base = slash ? slash + 1 : f->path;
    struct stat st;

    if (!wal_name_parse(base, &f->name))
        return err_set(e, ERR_SOURCE, 0, "no file of a log is called so");
    snprintf(f->text, sizeof f->text, "%s", base);
    if (f->fd < 0 || fstat(f->fd, &st) < 0)
        return err_sys(e, errno, "opening it");
    f->size = (uint64_t)st.st_size;
    f->time = (struct clock_time){ st.st_mtim.tv_sec, (int32_t)st.st_mtim.tv_nsec };
    if (f->name.kind == WAL_SEGMENT || f->name.kind == WAL_PARTIAL)
        return check_page(f, e);
    if (f->size == 0 || f->size > 1 << 20)
        return err_set(e, ERR_SOURCE, 0, "it has %llu bytes",
                       (unsigned long long)f->size);
    return find_system(f->path, &f->system, e);
}

int
wal_file_open(struct wal_file *f, const char *path, struct err *e)
{
    *f = (struct wal_file){ .path = mem_strdup(path),
                            .fd = open(path, O_RDONLY | O_CLOEXEC) };
    if (check(f, e) == 0)
        return 0;
    wal_file_close(f);
    return err_in(e, "%s", path);
}

void
wal_file_close(struct wal_file *f)
{
    if (f->path && f->fd >= 0)
        close(f->fd);
    mem_free(TAKE(f->path));
    f->fd = -1;
}

int
wal_file_read(const struct wal_file *f, wal_file_fn *fn, void *arg, struct err *e)
{
    AUTOBUF struct buf piece = BUF(LOG_PIECE);
    uint8_t *room = buf_room(&piece, LOG_PIECE);

    for (uint64_t at = 0; at < f->size;) {
        size_t len = f->size - at < LOG_PIECE ? (size_t)(f->size - at) : LOG_PIECE;
        if (cancel_check(e) < 0)
            return -1;
        if (fs_pread_all(f->fd, room, len, at, e) < 0)
            return err_in(e, "%s", f->path);
        fn(arg, slice_of(room, len));
        at += len;
    }
    return 0;
}

static void
feed(void *arg, struct slice piece)
{
    sha256_feed(arg, piece);
}

int
wal_file_hash(const struct wal_file *f, uint8_t sha[32], struct err *e)
{
    CLEANUP(sha256_free_p) struct sha256 *h = sha256_new();

    if (wal_file_read(f, feed, h, e) < 0)
        return -1;
    sha256_end(h, sha);
    return 0;
}
