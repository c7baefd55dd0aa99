/*
 * programs: one or more programs, each reading what the one before prints.
 *
 * Their words (stderr) are heard all the time, so that none is held up by them, and
 * the last of them are kept. Every stage must exit with 0. One thread.
 */
#ifndef SOURCE_COMMAND_PROGRAMS_H
#define SOURCE_COMMAND_PROGRAMS_H

#include "base/proc.h"
#include "conf/config.h"

struct program {
    const char *const *argv; /* borrowed */
    struct proc proc;
    struct buf said; /* the end of its stderr */
};

struct programs {
    struct program list[STAGES_MAX];
    size_t count;
    int in; /* what the first one gets as stdin; 0: nothing. It stays open */
    /* A failure is told by the last line that has one of these words, or by the last one
     * if there is none; NULL: by the last one. */
    const char *const *telling;
};

/* `argvs` has 1 to STAGES_MAX commands and then NULL; it must outlive them. */
void programs_init(struct programs *s, const char *const *const *argvs);
void programs_release(struct programs *s);

/* ERR_SOURCE when a program cannot be found. Nothing is started. */
MUST_USE int programs_check(const struct programs *s, struct err *e);

/* Starts all, with `env` added to their environment (may be NULL). */
MUST_USE int programs_start(struct programs *s, const char *const *env, struct err *e);

/* Up to `len` bytes of what the last one prints; *got 0: the end. */
MUST_USE int programs_read(struct programs *s, uint8_t *out, size_t len, size_t *got,
                           struct err *e);

/* Waits for all behind the end. ERR_SOURCE unless each exited with 0: it names the
 * first that failed by itself, and its last words. */
MUST_USE int programs_end(struct programs *s, struct err *e);

/* The last words of the last one, until it is aborted or started again. */
struct slice programs_said(const struct programs *s);

void programs_abort(struct programs *s);

#endif
