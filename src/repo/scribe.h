/*
 * scribe: writes what packs are made of in threads of its own, while their writers
 * gather the next bytes. Windows of one file go to it in order; the last of them, which
 * need not be whole pages, is written when the others are.
 */
#ifndef REPO_SCRIBE_H
#define REPO_SCRIBE_H

#include "repo/pack.h"

#define SCRIBE_WINDOW ((size_t)1 << 20)

/* A file that is being written. All but `fd`, `direct` and `path`, set at the start,
 * is the scribe's until scribe_wait(). */
struct scribed {
    int fd;
    bool direct; /* open with O_DIRECT */
    const char *path;
    unsigned pending;
    struct err error;
};

/* An aligned window to fill; of the scribe's few, or with NULL one more. */
uint8_t *scribe_window(struct pack_scribe *s);
void scribe_give_back(struct pack_scribe *s, uint8_t *window);

/* Appends the first `len` bytes of the window, which are those at `at`, and gives
 * another one to fill. Only the last may be no multiple of 4096 bytes. With NULL it is
 * done at once. -1 also for an earlier window. */
MUST_USE int scribe_write(struct pack_scribe *s, struct scribed *f, uint8_t **window,
                          size_t len, uint64_t at, struct err *e);
/* Until everything is written. */
MUST_USE int scribe_wait(struct pack_scribe *s, struct scribed *f, struct err *e);

#endif
