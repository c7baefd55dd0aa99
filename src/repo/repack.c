#include "base/fs.h"

#include "impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct source_pack {
    int fd;
    uint64_t size;
    struct buf plain;
    struct directory directory;
    enum chunk_class class;
};

static int
open_source(struct repo *r, const char *path, uint64_t size, struct source_pack *s,
            struct err *e)
{
    uint8_t head[PACK_BODY], footer[PACK_FOOTER];
    AUTOBUF struct buf tail = BUF(PACK_DIRECTORY_MAX + 4096);
    uint64_t at = 0;

    s->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0)
        return err_sys(e, errno, "opening %s", path);
    if (size < PACK_BODY + PACK_FOOTER || fs_pread_all(s->fd, head, sizeof head, 0, e) < 0
        || fs_pread_all(s->fd, footer, sizeof footer, size - sizeof footer, e) < 0
        || pack_tail(slice_of(footer, sizeof footer), size, &at, e) < 0
        || fs_pread_all(s->fd, buf_room(&tail, size - at), size - at, at, e) < 0)
        return -1;
    tail.len = size - at;
    s->size = size;
    s->class = head[8] == OBJECT_META ? CLASS_META : CLASS_DATA;
    return pack_open_directory(r->keys, slice_of(head, sizeof head), buf_slice(&tail),
                               size, &s->plain, &s->directory, e);
}

/* Copies every chunk, still sealed, into a new pack with its key. */
static int
copy_chunks(struct repo *r, struct source_pack *s, struct pack_writer *w, uint32_t number,
            struct err *e)
{
    AUTOBUF struct buf sealed = BUF(CHUNK_STORED_MAX);

    for (uint32_t i = 0; i < s->directory.chunk_count; i++) {
        struct chunk_record c;
        struct chunk_key key;
        directory_chunk(&s->directory, i, &c);
        directory_key(&s->directory, c.key, &key);
        buf_clear(&sealed);
        if (fs_pread_all(s->fd, buf_room(&sealed, c.stored), c.stored, c.offset, e) < 0)
            return -1;
        sealed.len = c.stored;
        if (pack_add(w, &c, &key, buf_slice(&sealed), e) < 0
            || index_add_chunk(r->index, number, &c, &key, e) < 0)
            return -1;
    }
    return 0;
}

int
repo_repack(struct repo *r, const uint8_t name[32], uint64_t size, struct err *e)
{
    struct source_pack s = { .fd = -1, .plain = BUF(PACK_DIRECTORY_MAX) };
    CLEANUP(pack_abort_p) struct pack_writer *w = NULL;
    AUTOFREE char *path = NULL;
    struct pack_done done;
    char key[PACK_KEY_LEN + 1];
    uint8_t session[ID_LEN];
    uint32_t number = 0;

    pack_key(key, name);
    random_bytes(&r->random, session, sizeof session);
    int rc = fleet_fetch(r->fleet, NULL, key, size, name, &path, e);
    if (rc == 0)
        rc = open_source(r, path, size, &s, e);
    if (rc == 0)
        rc = index_pack_begin(r->index, &number, e);
    if (rc == 0)
        rc = pack_begin(r->keys, s.class, session, &r->random, NULL,
                        fleet_spool_tmp(r->fleet), &w, e);
    if (rc == 0)
        rc = copy_chunks(r, &s, w, number, e);
    if (rc == 0)
        rc = pack_finish(TAKE(w), false, &done, e);
    if (rc == 0)
        rc = repo_store_pack(r, &done, number, e);
    if (path)
        unlink(path);
    if (s.fd >= 0)
        close(s.fd);
    buf_release(&s.plain);
    return rc < 0 ? err_in(e, "storing the chunks of %s anew", key) : 0;
}
