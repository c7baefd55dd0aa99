/*
 * progress: one line on the terminal that says how far a run is.
 *
 * Drawn on stderr, at most five times a second, only when stderr is a terminal
 * and progress_begin() allowed it; else every call returns at once. It clears
 * its line before the log writes one. Any thread may call; one run at a time.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* "backing up uploads"; a literal or owned by the caller */
    uint64_t bytes_done;
    uint64_t bytes_total; /* 0: unknown */
    uint64_t files_done;
};

void progress_begin(bool allowed); /* false with -q or --json */
void progress_update(const struct progress *p);
void progress_end(void); /* clears the line */

/* The line for `p` after `elapsed_ms` at `rate` bytes a second, at most `width`
 * columns, in a buffer of this thread. */
const char *progress_line(const struct progress *p, int64_t elapsed_ms, double rate,
                          unsigned width);

#endif
