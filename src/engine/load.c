#include "load.h"
#include "base/fs.h"
#include "base/pages.h"
#include "window.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LARGE_MIN ((uint64_t)1 << 20) /* bytes; its pages are worth two calls */

void
load_issue(struct window *w, enum restore_issue kind, struct slice path, const char *why)
{
    pthread_mutex_lock(&w->lock);
    *(kind == RESTORE_DAMAGED   ? &w->result->damaged
      : kind == RESTORE_NOT_SET ? &w->result->not_set
      : kind == RESTORE_KEPT    ? &w->result->kept
                                : &w->result->blocked) += 1;
    if (w->options->issue)
        w->options->issue(w->options->arg, kind, path, why);
    pthread_mutex_unlock(&w->lock);
}

/* An error that is an entry's own affair; others end the run. */
static bool
is_own(const struct err *e)
{
    return e->kind == ERR_EXISTS || e->kind == ERR_DENIED || e->kind == ERR_NOT_FOUND;
}

int
load_blocked(struct window *w, struct slice path, struct err *e)
{
    if (!is_own(e))
        return -1;
    load_issue(w, RESTORE_BLOCKED, path, err_text(e));
    *e = (struct err){ 0 };
    return 0;
}

struct load *
load_new(void)
{
    return mem_zalloc(sizeof(struct load));
}

bool
load_full(const struct load *l)
{
    return l->bytes >= LOAD_BYTES || l->file_count >= LOAD_FILES;
}

struct wfile *
wfile_new(const struct entry *en, struct slice told)
{
    const struct slice *from[] = { &en->path, &en->user, &en->group, &en->xattrs, &told };
    struct wfile *f = mem_zalloc(sizeof *f);
    struct slice *to[] = { &f->entry.path, &f->entry.user, &f->entry.group,
                           &f->entry.xattrs, &f->told_path };
    size_t len = 0, at = 0;

    f->entry = *en;
    for (size_t i = 0; i < COUNT_OF(from); i++)
        len += from[i]->len;
    f->bytes = mem_alloc(len);
    for (size_t i = 0; i < COUNT_OF(from); i++) {
        if (from[i]->len)
            memcpy(f->bytes + at, from[i]->ptr, from[i]->len);
        *to[i] = slice_of(f->bytes + at, from[i]->len);
        at += from[i]->len;
    }
    f->fd = f->existing = f->written = -1;
    pthread_mutex_init(&f->lock, NULL);
    return f;
}

void
wfile_free(struct window *w, struct wfile *f)
{
    if (!f)
        return;
    if (f->fd >= 0)
        close(f->fd);
    if (f->existing >= 0)
        close(f->existing);
    if (f->written >= 0)
        close(f->written);
    if (f->begun && !f->finished && !f->failed && w->place)
        place_discard(w->place, f->entry.path, f->hidden);
    pthread_mutex_destroy(&f->lock);
    mem_free(f->bytes);
    mem_free(f);
}

void
wfile_drop_pages(struct wfile *f)
{
    pthread_mutex_lock(&f->lock);
    int fd = f->fd >= 0 ? f->fd : f->written;
    if (fd >= 0)
        pages_drop(fd, 0, f->entry.size);
    pthread_mutex_unlock(&f->lock);
}

/* Finds a chunk. Small files lie side by side in one. */
static int
find_chunk(struct window *w, const struct load *l, const struct extent *x,
           struct location *loc, struct err *e)
{
    const struct want *last = l->want_count ? &l->wants[l->want_count - 1] : NULL;

    if (last && chunk_id_equal(&last->id, &x->id)) {
        *loc = last->at;
        return 1;
    }
    return repo_find(w->repo, &x->id, loc, e);
}

int
load_want(struct window *w, struct load *l, struct wfile *f, uint64_t at,
          const struct extent *x, struct err *e)
{
    struct location loc;

    if (chunk_id_is_hole(&x->id) || x->len == 0)
        return 0;
    int rc = find_chunk(w, l, x, &loc, e);
    if (rc < 0)
        return -1;
    bool good = rc == 1 && (uint64_t)x->offset + x->len <= loc.raw
             && chunk_class_of(loc.kind) == CLASS_DATA;
    pthread_mutex_lock(&f->lock);
    bool wanted = good && !f->failed, told = f->failed;
    f->failed |= !good;
    f->left += wanted;
    pthread_mutex_unlock(&f->lock);
    if (!good && !told)
        load_issue(w, RESTORE_DAMAGED, f->told_path, "a chunk of it is in no index");
    if (!wanted)
        return 0;
    l->wants = mem_grow(l->wants, &l->want_cap, l->want_count + 1, sizeof *l->wants);
    l->wants[l->want_count++] = (struct want){ loc, x->id,     f,
                                               at,  x->offset, (uint32_t)x->len };
    l->bytes += x->len;
    return 0;
}

void
load_free(struct window *w, struct load *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->file_count; i++)
        wfile_free(w, l->files[i]);
    for (size_t i = 0; i < l->link_count; i++)
        wfile_free(w, l->links[i]);
    for (size_t i = 0; i < l->left_count; i++)
        wfile_free(w, l->left[i]);
    mem_free(l->files);
    mem_free(l->wants);
    mem_free(l->links);
    mem_free(l->left);
    mem_free(l);
}

/* Makes the hidden file; `whole`: it gets all its bytes at once. With its lock. */
static int
begin(struct window *w, struct wfile *f, bool whole, struct err *e)
{
    if (!w->place || f->begun)
        return 0;
    if (place_file_begin(w->place, &f->entry, !whole, f->hidden, &f->fd, e) < 0)
        return -1;
    f->begun = true;
    return 0;
}

static void
give_up(struct window *w, struct wfile *f, enum restore_issue kind, const char *why)
{
    if (!f->failed)
        load_issue(w, kind, f->told_path, why);
    f->failed = true;
}

/* Metadata and close, once everything is written. With the file's lock. */
static int
finish(struct window *w, struct wfile *f, struct err *e)
{
    int rc = begin(w, f, false, e);

    if (rc == 0 && w->place) {
        int fd = f->fd;
        f->fd = -1;
        if (f->entry.size >= LARGE_MIN)
            f->written = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        rc = place_file_finish(w->place, &f->entry, fd, e);
    }
    if (rc == 0)
        f->finished = true;
    return rc;
}

/* Writes one piece, or counts it; finishes the file with its last one. */
int
load_deliver(struct window *w, const struct want *x, const uint8_t *plain,
             const char *why, struct err *e)
{
    struct wfile *f = x->file;
    int rc = 0;

    pthread_mutex_lock(&f->lock);
    if (!plain)
        give_up(w, f, RESTORE_DAMAGED, why);
    if (!f->failed && w->place) {
        rc = begin(w, f, x->len == f->entry.size, e);
        if (rc == 0)
            rc = fs_pwrite_all(f->fd, slice_of(plain + x->chunk_offset, x->len),
                               x->file_offset, e);
    }
    f->left--;
    if (rc == 0 && !f->failed && f->left == 0 && f->complete)
        rc = finish(w, f, e);
    if (rc < 0 && is_own(e)) {
        give_up(w, f, RESTORE_BLOCKED, err_text(e));
        *e = (struct err){ 0 };
        rc = 0;
    }
    pthread_mutex_unlock(&f->lock);
    if (rc == 0)
        atomic_fetch_add(&w->progress->bytes, x->len);
    return rc;
}

/* Files without a single chunk to fetch: empty ones and pure holes. */
int
load_finish_rest(struct window *w, struct load *l, struct err *e)
{
    for (size_t i = 0; i < l->file_count; i++) {
        struct wfile *f = l->files[i];
        if (f->finished || f->failed || f->left > 0)
            continue;
        if (finish(w, f, e) < 0) {
            if (!is_own(e))
                return -1;
            give_up(w, f, RESTORE_BLOCKED, err_text(e));
            *e = (struct err){ 0 };
        }
    }
    return 0;
}
