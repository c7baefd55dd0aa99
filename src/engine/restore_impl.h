/* What the files of restore share. */
#ifndef ENGINE_RESTORE_IMPL_H
#define ENGINE_RESTORE_IMPL_H

#include "window.h"

#include <pthread.h>

/* A path that was asked for; `strip` bytes of what lies below go. */
struct selection {
    struct slice path;
    size_t strip;
    bool found;
};

/* What waits until a window's files have their names. */
struct batch {
    struct wfiles files;
    struct wfile **left; /* folders the walk has left, inner first */
    size_t left_count;
    struct wfile **links; /* further names of link groups of the window */
    size_t link_count;
};

struct run {
    struct repo *repo;
    const struct restore_options *options;
    struct restore_result *result;
    struct restore_progress progress;
    struct manifest_reader *manifest;
    struct place *place;
    struct window window;
    struct selection *selections;
    size_t selection_count;
    struct wfile **dirs; /* open folders, outermost first: entries kept as files are */
    size_t dir_count, dir_cap;
    struct wfile **left; /* folders the walk has left, to be finished with the window */
    size_t left_count, left_cap;
    struct wfile **top; /* the folder whose content goes into the destination */
    size_t top_count, top_cap;
    struct wfile **links; /* further names of a link group in this window */
    size_t link_count, link_cap;
    struct batch batch; /* being published, by a thread of its own */
    pthread_t publisher;
    bool publishing;
    struct err publish_error; /* the thread's, until it is joined */
    struct wfile *current;    /* the file whose extents are being added */
    uint8_t *buffer;          /* of CHUNK_RAW_MAX bytes, for what lies there already */
    int64_t next_tick_ms;
    uint8_t *pack_seen; /* with plan: a bit per pack */
};

/* restore_select.c: which entries, in the manifest's order. */
MUST_USE int select_paths(struct run *run, struct err *e);
typedef int entry_fn(struct run *run, struct entry *en, size_t strip, struct err *e);
MUST_USE int select_walk(struct run *run, entry_fn *fn, struct err *e);
void select_release(struct run *run);

/* restore_publish.c: windows get their names in a thread of their own. */
void restore_drop(struct wfile *f);
/* Reports what concerns one entry only; -1 when the run must end. */
MUST_USE int restore_blocked(struct run *run, struct slice path, struct err *e);
/* Runs the window. Its names are given while the next one is being fetched:
 * the sync waits for the disk, not for us. */
MUST_USE int restore_flush(struct run *run, struct err *e);
/* Until all names are given; the publisher's error, if any. */
MUST_USE int restore_await(struct run *run, struct err *e);
void restore_place_issue(void *arg, struct slice path, const char *what, const char *why);

/* restore_existing.c: what lies there already. */
/* A file of the same size at the place of an entry, open; -1: none. */
int existing_open(struct run *run, const struct entry *en, struct stat *st);
/* Are the bytes at `at` what the extent names? They are in run->buffer then. */
bool existing_piece_fits(struct run *run, int fd, const struct entry *en, uint64_t at,
                         const struct extent *x);
/* Is it already the file, bytes and metadata? 1, 0, -1. */
MUST_USE int existing_is_whole(struct run *run, const struct entry *en, int fd,
                               const struct stat *st, struct err *e);

#endif
