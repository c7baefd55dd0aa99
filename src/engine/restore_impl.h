/* What the files of restore share. */
#ifndef ENGINE_RESTORE_IMPL_H
#define ENGINE_RESTORE_IMPL_H

#include "stages.h"

/* A path that was asked for; `strip` bytes of what lies below go. */
struct selection {
    struct slice path;
    size_t strip;
    bool found;
};

/* A link group whose first name comes with a load that has no names yet. */
struct group_under_way {
    uint64_t group, load;
};

struct run {
    struct repo *repo;
    const struct restore_options *options;
    struct restore_result *result;
    struct restore_progress progress;
    struct manifest_reader *manifest;
    struct place *place;
    struct window window;
    struct stages *stages;
    struct load *load;     /* being filled */
    struct wfile *current; /* the file whose extents are being added */
    struct group_under_way *groups;
    size_t group_count, group_cap;
    struct selection *selections;
    size_t selection_count;
    struct wfile **dirs; /* open folders, outermost first: entries kept as files are */
    size_t dir_count, dir_cap;
    struct wfile *top; /* the folder whose content goes into the destination */
    uint8_t *buffer;   /* of CHUNK_RAW_MAX bytes, for what lies there already */
    int64_t next_tick_ms;
    uint8_t *pack_seen; /* with plan: a bit per pack */
};

/* restore_select.c: which entries, in the manifest's order. */
MUST_USE int select_paths(struct run *run, struct err *e);
typedef int entry_fn(struct run *run, struct entry *en, size_t strip, struct err *e);
MUST_USE int select_walk(struct run *run, entry_fn *fn, struct err *e);
void select_release(struct run *run);

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
