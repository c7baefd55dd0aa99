/* window: some files of a restore, and the chunks they are made of. */
#ifndef ENGINE_WINDOW_H
#define ENGINE_WINDOW_H

#include "engine/restore.h"

#include <pthread.h>

#define WINDOW_BYTES ((uint64_t)64 << 20)
#define WINDOW_FILES 2000

/* One file on its way. */
struct wfile {
    struct entry entry; /* slices into `bytes`; path as it will be */
    uint8_t *bytes;
    struct slice told_path; /* as in the snapshot, for messages */
    char hidden[32];
    int fd;               /* -1: not open */
    int existing;         /* what lies there, to take right pieces from; -1 */
    bool begun, complete; /* complete: all its extents are known */
    bool failed, finished;
    bool note_link;       /* first name of its link group */
    uint32_t left;        /* wants not written yet */
    pthread_mutex_t lock; /* of all but entry */
};

/* A piece of a file that a chunk fills. */
struct want {
    struct location at;
    struct chunk_id id;
    struct wfile *file;
    uint64_t file_offset;
    uint32_t chunk_offset, len;
};

struct window {
    struct repo *repo;
    const struct restore_options *options;
    struct restore_result *result;
    struct restore_progress *progress;
    struct place *place; /* NULL: into nothing */
    struct wfile **files;
    size_t file_count, file_cap;
    struct want *wants;
    size_t want_count, want_cap;
    uint64_t bytes;
    pthread_mutex_t lock; /* of result and error */
    struct err error;
    atomic_size_t next_span;
};

/* A copy of the entry, at the end of the window. */
struct wfile *window_add(struct window *w, const struct entry *en, struct slice told);
/* One extent of the file added last (or carried over). */
MUST_USE int window_want(struct window *w, struct wfile *f, uint64_t at,
                         const struct extent *x, struct err *e);
bool window_full(const struct window *w);
/* Fetches and writes everything, and finishes the files that are complete. They
 * are moved to `done`, which the caller publishes; a file that is not complete
 * is carried over to the next window. */
struct wfiles {
    struct wfile **items;
    size_t count;
};
MUST_USE int window_run(struct window *w, struct wfiles *done, struct err *e);
/* Syncs and gives the final names; frees the list in any case. May run beside
 * the next window_run(). */
MUST_USE int window_publish(struct window *w, struct wfiles *done, struct err *e);
void window_release(struct window *w);

void window_issue(struct window *w, enum restore_issue kind, struct slice path,
                  const char *why);

#endif
