#include "base/fs.h"

#include "restore_impl.h"

#include <string.h>
#include <unistd.h>

int
existing_open(struct run *run, const struct entry *en, struct stat *st)
{
    struct err ignored = { 0 };
    int fd = -1;

    if (place_stat(run->place, en->path, st, &ignored) != 1 || !S_ISREG(st->st_mode)
        || (uint64_t)st->st_size != en->size || en->size == 0)
        return -1;
    return place_open_existing(run->place, en->path, &fd, &ignored) < 0 ? -1 : fd;
}

bool
existing_piece_fits(struct run *run, int fd, const struct entry *en, uint64_t at,
                    const struct extent *x)
{
    struct err ignored = { 0 };
    struct chunk_id id;
    uint8_t content[CONTENT_ID_LEN];

    if (x->len > CHUNK_RAW_MAX || x->offset != 0)
        return false;
    if (fs_pread_all(fd, run->buffer, x->len, at, &ignored) < 0)
        return false;
    if (at == 0 && x->len == en->size) {
        keys_content_id(repo_keys(run->repo), slice_of(run->buffer, x->len), content);
        if (memcmp(content, en->content_id, sizeof content) == 0)
            return true;
    }
    keys_chunk_id(repo_keys(run->repo), KIND_FILE, slice_of(run->buffer, x->len), &id);
    return chunk_id_equal(&id, &x->id);
}

struct compare {
    struct run *run;
    const struct entry *entry;
    int fd;
    bool same;
};

static int
compare_extent(void *arg, uint64_t at, const struct extent *x, struct err *e)
{
    struct compare *c = arg;
    struct extent whole = *x;

    (void)e;
    if (!c->same)
        return 0;
    if (chunk_id_is_hole(&x->id)) { /* zeros either way; a hole is not demanded */
        for (uint64_t done = 0; done < x->len && c->same; done += CHUNK_RAW_MAX) {
            size_t n = x->len - done < CHUNK_RAW_MAX ? (size_t)(x->len - done)
                                                     : CHUNK_RAW_MAX;
            struct err ignored = { 0 };
            c->same = fs_pread_all(c->fd, c->run->buffer, n, at + done, &ignored) == 0;
            for (size_t i = 0; i < n && c->same; i++)
                c->same = c->run->buffer[i] == 0;
        }
        return 0;
    }
    if (at == 0 && x->len == c->entry->size)
        whole.offset = 0; /* a small file lies somewhere in its bundle */
    c->same = existing_piece_fits(c->run, c->fd, c->entry, at, &whole);
    return 0;
}

int
existing_is_whole(struct run *run, const struct entry *en, int fd, const struct stat *st,
                  struct err *e)
{
    struct compare c = { run, en, fd, true };
    bool owner = run->options->owner == OWNER_SKIP || geteuid() != 0
              || (st->st_uid == en->uid && st->st_gid == en->gid);

    if (st->st_mtim.tv_sec != en->mtime_s || (uint32_t)st->st_mtim.tv_nsec != en->mtime_ns
        || (st->st_mode & 07777) != en->mode || !owner || en->xattrs.len > 0)
        return 0;
    if (extent_each(en, repo_load_node, run->repo, compare_extent, &c, e) < 0)
        return -1;
    return c.same;
}
