/*
 * load: some files of a restore, and the pieces they are made of.
 *
 * The walk fills a load, the window fetches its pieces, and the files get their final
 * names behind it (stages.h). A file whose extents do not fit into one load is in the
 * last one's list; until then the walk has it.
 */
#ifndef ENGINE_LOAD_H
#define ENGINE_LOAD_H

#include "engine/restore.h"

#include <pthread.h>

#define LOAD_BYTES ((uint64_t)64 << 20)
#define LOAD_FILES 2000

/* One file on its way. */
struct wfile {
    struct entry entry; /* slices into `bytes`; path as it will be */
    uint8_t *bytes;
    struct slice told_path; /* as in the snapshot, for messages */
    char hidden[32];
    int fd;               /* -1: not open */
    int existing;         /* what lies there, to take right pieces from; -1 */
    int written;          /* a large one that is finished: open until its pages go; -1 */
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

/* What is brought together: files whose extents are all known, pieces to be fetched for
 * them and for one that goes on in the next load, and what waits for their names. */
struct load {
    struct load *next; /* of those being fetched, then of those that wait for names */
    struct wfile **files;
    size_t file_count, file_cap;
    struct want *wants;
    size_t want_count, want_cap;
    size_t next_span; /* wants that were taken; with the window's lock, as is busy */
    unsigned busy;    /* spans being fetched */
    uint64_t bytes;
    struct wfile *goes_on; /* whose other pieces come with the next load, or NULL */
    struct wfile **links;  /* further names of link groups */
    size_t link_count, link_cap;
    struct wfile **left; /* folders the walk has left, inner first */
    size_t left_count, left_cap;
};

struct window;

struct load *load_new(void);
bool load_full(const struct load *l);
/* With its files, links and folders. */
void load_free(struct window *w, struct load *l);

/* A copy of the entry, in no load yet. */
struct wfile *wfile_new(const struct entry *en, struct slice told);
/* Closes it, and removes its hidden file unless it is finished or damaged. */
void wfile_free(struct window *w, struct wfile *f);
/* What is on the disk of a large file leaves the page cache: so that a restore takes
 * no more memory than some loads, where new pages cost more than the copying. */
void wfile_drop_pages(struct wfile *f);

/* Tells what became of an entry. Any thread, as the next. */
void load_issue(struct window *w, enum restore_issue kind, struct slice path,
                const char *why);
/* Tells of an error that concerns one entry only; -1 when the run must end. */
MUST_USE int load_blocked(struct window *w, struct slice path, struct err *e);

/* One extent of the file, for a load that was not begun. The walk's thread. */
MUST_USE int load_want(struct window *w, struct load *l, struct wfile *f, uint64_t at,
                       const struct extent *x, struct err *e);
/* Writes a piece out of its chunk, or counts it; the last one finishes the file. NULL:
 * it cannot be had, and `why`. Any thread. */
MUST_USE int load_deliver(struct window *w, const struct want *x, const uint8_t *chunk,
                          const char *why, struct err *e);
/* Finishes what has no piece to wait for: empty files and pure holes. */
MUST_USE int load_finish_rest(struct window *w, struct load *l, struct err *e);

#endif
