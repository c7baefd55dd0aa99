/*
 * source: what is backed up, as entries in manifest order and their bytes.
 *
 * Every source yields the same two things, so backup knows no kinds. The walk
 * is cheap: source_next() costs one lstat per entry and fills what that
 * tells; source_describe() reads the rest (names, xattrs, link target) and is
 * called only for what differs from the parent snapshot. One thread.
 *
 * Memory is bounded: a folder of any size is listed into sorted runs that
 * spill to unlinked temporary files.
 */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include "conf/config.h"
#include "source/entry.h"
#include "source/facts.h"

struct source;

/* Why an entry or a part of the source is not in the snapshot, or not whole. */
enum source_issue {
    SOURCE_VANISHED,   /* was listed, then gone */
    SOURCE_UNREADABLE, /* permission or I/O error */
    SOURCE_CHANGED,    /* changed while read, twice: stored with ENTRY_CHANGED */
    SOURCE_SOCKET,     /* skipped: sockets are not kept (counted, no exit status) */
    SOURCE_TOO_LONG,   /* a path over ENTRY_PATH_MAX, or xattrs over their limit */
};

/* What holds for the content of all files of a source. */
enum source_trait {
    SOURCE_WHOLE = 1 << 0,     /* all or nothing: what cannot be read ends the run */
    SOURCE_STREAM = 1 << 1,    /* read but once, and its size is known only then */
    SOURCE_PAGED = 1 << 2,     /* updated in place, page by page */
    SOURCE_UNORDERED = 1 << 3, /* entries come in any order, not in the manifest's */
};

/* Told of each issue, with the path and the system's words. */
typedef void source_issue_fn(void *arg, enum source_issue kind, struct slice path,
                             const char *why);

struct source_options {
    const char *tmp_dir; /* where runs spill */
    source_issue_fn *issue;
    void (*tick)(void *arg); /* called now and then in long work; may be NULL */
    void *arg;
    size_t names_max; /* bytes of a folder's names before they spill; 0: 8 MiB */
};

/* Checks that what is configured is there: ERR_SOURCE when a path is missing
 * (and the configuration does not allow it) or a command cannot be started. */
MUST_USE int source_open(const struct conf_source *c, const struct source_options *o,
                         struct source **out, struct err *e);

/* The size of an entry that is known only when it was read. */
#define SOURCE_SIZE_UNKNOWN UINT64_MAX

/* 1 and the next entry (path, type, mode, uid, gid, size, times, rdev, ino,
 * link_group, flags are filled; the rest is empty), 0 at the end, -1. What
 * cannot be read is reported as an issue and left out. The slices live until
 * the next call. */
MUST_USE int source_next(struct source *s, struct entry *out, struct err *e);

/* Fills user, group, target and xattrs of the entry that source_next() gave
 * last. 1; 0 when it vanished or cannot be read (reported); -1. */
MUST_USE int source_describe(struct source *s, struct entry *en, struct err *e);

/* Opens the content of the file given last. 1, 0 (reported), -1. The entry's
 * size and times are read anew from the open file. */
MUST_USE int source_read_begin(struct source *s, struct entry *en, struct err *e);

/* Up to `len` bytes of content into `out`; *got 0: the end. A hole of the file
 * system is given as *hole > 0 with *got 0 and no bytes. -1 with ERR_SOURCE
 * when reading failed (the caller reports it, with path and cause, by
 * source_report()). */
MUST_USE int source_read(struct source *s, uint8_t *out, size_t len, size_t *got,
                         uint64_t *hole, struct err *e);

/* Ends reading. *changed: size or times are not what they were at the begin.
 * For a command: -1 (ERR_SOURCE) unless it exited 0. */
MUST_USE int source_read_end(struct source *s, bool *changed, struct err *e);

void source_report(struct source *s, enum source_issue kind, struct slice path,
                   const char *why);

unsigned source_traits(const struct source *s); /* enum source_trait */

/* What the source is ("" if that is not known): a guard compares it with the last
 * run's. A source with another one "lies on another file system", for example. */
const char *source_identity(const struct source *s);
const char *source_moved(const struct source *s);

/* How many bytes it guesses to have, behind the first entry; 0: it does not. */
uint64_t source_expected(const struct source *s);

/* What it told of itself by the end of the walk. Lives as long as the source. */
struct slice source_facts(const struct source *s);

void source_close(struct source *s);
DEFINE_CLEANUP(struct source, source_close)

#endif
