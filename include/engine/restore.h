/*
 * restore: entries of a snapshot into a folder, or into nothing.
 *
 * The manifest is walked in order; files gather in loads of 64 MiB or 2,000
 * files, whose chunks are fetched pack by pack by several threads, opened,
 * checked and written under hidden names. When a load, or all that wait by then,
 * is on the disk (one syncfs) its files get their final names. Folders are
 * finished when the walk has left them. Memory: the lists of some loads and a
 * buffer of 4 MiB a thread.
 *
 * A chunk that no target has in good order leaves its files under their hidden
 * names; they are told as damaged and everything else goes on.
 * Files that lie there already with the right size are hashed, and what is
 * right is not fetched: resuming, repairing and overwriting are one path.
 */
#ifndef ENGINE_RESTORE_H
#define ENGINE_RESTORE_H

#include "repo/repo.h"
#include "source/place.h"

enum overwrite { OVERWRITE_ALWAYS, OVERWRITE_IF_CHANGED, OVERWRITE_NEVER };

enum restore_issue {
    RESTORE_DAMAGED, /* no good copy of some chunk: not restored */
    RESTORE_NOT_SET, /* restored, but an attribute could not be set */
    RESTORE_KEPT,    /* OVERWRITE_NEVER: something lies there */
    RESTORE_BLOCKED, /* something of another kind is in the way, or it cannot be made */
};

typedef void restore_issue_fn(void *arg, enum restore_issue kind, struct slice path,
                              const char *why); /* any thread */

struct restore_progress {
    atomic_ullong entries, bytes; /* what is passed by counts with its holes */
    uint64_t bytes_total;         /* of content, without */
};
typedef void restore_tick_fn(void *arg, const struct restore_progress *p);

struct restore_options {
    const struct snapshot *snapshot;
    const char *const *paths; /* NULL-terminated, absolute or not; NULL: everything */
    const char *to;           /* NULL: into nothing, which is verifying */
    enum overwrite overwrite;
    enum owner_mode owner;
    const char *const *include; /* patterns; NULL: all */
    const char *const *exclude;
    struct target *from; /* read from this target alone; NULL: any */
    unsigned threads;    /* 0: as many as help, which is more from afar */
    uint64_t memory;     /* bytes, at the cost of threads; 0: what they take */
    bool plan;           /* only count */
    restore_issue_fn *issue;
    restore_tick_fn *tick; /* called now and then, and at the end */
    void *arg;
};

struct restore_result {
    uint64_t entries, files, bytes;           /* bytes of content, holes left out */
    uint64_t reused;                          /* bytes that lay there already */
    uint64_t damaged, not_set, kept, blocked; /* entries */
    uint64_t packs;                           /* with plan: bytes and packs to read */
    int64_t elapsed_ms;
};

/* 0 when everything could be tried (damage is in the result); -1 when the run
 * had to end: nothing under a final name is wrong, and running it again goes
 * on where it stopped. ERR_NOT_FOUND: a path is not in the snapshot; ERR_FULL:
 * there is no room, told before anything is written. */
MUST_USE int engine_restore(struct repo *r, const struct restore_options *o,
                            struct restore_result *result, struct err *e);

#endif
