/*
 * progress: says how far a run is, while it runs.
 *
 *   on a terminal     one line on stderr, at most five times a second; it is
 *                     cleared before the log writes one, and at the end
 *   with --progress   where stderr is no terminal: a line every 5 s
 *   with both --progress and --json
 *                     an object on stdout, a line each, at most one a second
 *
 * The last two tell the end of the run as well, so that there is always one.
 * Else every call returns at once. Any thread may call; one run at a time.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "engine/restore.h"
#include "engine/sync.h"

#include <jansson.h>

struct app;

struct progress_counts {
    uint64_t bytes_done;
    uint64_t bytes_total; /* 0: unknown */
    uint64_t files_done;
};

/* `doing` for people: "backing up"; the command's name is for programs. `source`
 * is NULL for none. Both live until progress_end(). */
void progress_begin(const struct app *app, const char *doing, const char *source);
/* What is done stays done: counts that go back are those of a second pass. */
void progress_update(const struct progress_counts *counts);
void progress_end(void);

/* The ticks of engines that several commands use; `arg` is ignored. */
void progress_restore(void *arg, const struct restore_progress *p);
void progress_sync(void *arg, const struct sync_progress *p);

/* What is told at one moment. */
struct progress {
    const char *what, *doing, *source;
    struct progress_counts counts;
    int64_t elapsed_ms;
    double rate; /* bytes a second */
};

/* The line for people, at most `width` columns (0: as it comes), in a buffer of
 * this thread. */
const char *progress_line(const struct progress *p, unsigned width);

/* The object for programs: drtool(1). */
json_t *progress_json(const struct progress *p);

#endif
