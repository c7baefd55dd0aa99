/*
 * names: the names of one folder, sorted bytewise, however many there are.
 *
 * Names are collected in one arena that all folders of a walk share, because
 * only one folder is listed at a time. What fits the limit stays in memory
 * while its folder is walked; more is written as sorted runs to an unlinked
 * file and merged. Folders end in the reverse order of their beginning, so
 * that file is a stack. One thread.
 */
#ifndef SOURCE_FILES_NAMES_H
#define SOURCE_FILES_NAMES_H

#include "base/buf.h"

#define NAMES_LIMIT ((size_t)8 << 20) /* bytes collected, and again bytes kept */

struct names_pool {
    char *tmp_dir;
    size_t limit;
    size_t kept;       /* bytes of all folders that are in memory now */
    struct buf arena;  /* the folder being listed: names, each with its NUL */
    uint32_t *offsets; /* of the names in the arena */
    size_t count, cap;
    bool sorted; /* they came in order */
    int spill;   /* -1: not open yet */
    uint64_t spill_end;
    struct run *runs; /* of the folder being listed */
    size_t run_count, run_cap;
};

struct names {
    char *block; /* names in order, each with its NUL; NULL: in the runs */
    size_t len, at;
    struct run *runs;
    size_t run_count;
    uint64_t spill_start;
    char *last; /* what names_next() gave last, of runs */
};

void names_pool_init(struct names_pool *p, const char *tmp_dir, size_t limit);
void names_pool_release(struct names_pool *p);

/* Adds a name of the folder being listed; a name may come twice. */
MUST_USE int names_add(struct names_pool *p, const char *name, struct err *e);

/* Ends the listing: `out` gives its names, and the next folder may begin. */
MUST_USE int names_finish(struct names_pool *p, struct names *out, struct err *e);

/* 1 and the next name, each once; 0 at the end; -1. It lives until the next
 * call with the same `n`. */
MUST_USE int names_next(struct names_pool *p, struct names *n, const char **name,
                        struct err *e);

void names_release(struct names_pool *p, struct names *n);

#endif
