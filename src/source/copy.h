/*
 * copy: what sources have in common that are one file, copied before it is read.
 *
 * A database cannot be read in place while it is written to: its own tools make a
 * copy, which is checked and then read like any file. The driver embeds a struct copy
 * as its first member and names the functions below in its table. The copy lies in a
 * folder of the temporary one, named after the source, without a name as soon as it
 * is there; what a kill has left goes at the next run.
 */
#ifndef SOURCE_COPY_H
#define SOURCE_COPY_H

#include "driver.h"
#include "owner.h"

struct copy {
    struct source base; /* first: a struct copy is a struct source */
    const char *as;     /* the name of the entry */
    /* Writes the copy to `path`, which is not there, and checks it. Fills `from` with
     * the owner, mode and times that the entry gets. */
    int (*make)(struct copy *c, const char *path, struct err *e);
    struct stat from;
    char *dir;
    int fd; /* the copy; -1: not made yet */
    bool given;
    struct owners *owners;
    struct buf user, group;
};

void copy_init(struct copy *c, const struct source_ops *ops,
               const struct conf_source *conf, const struct source_options *o);
void copy_release(struct copy *c);

/* In long work: tells the caller of the source, and looks whether it was cancelled. */
MUST_USE int copy_tick(const struct copy *c, struct err *e);

int copy_next(struct source *s, struct entry *out, struct err *e);
int copy_describe(struct source *s, struct entry *en, struct err *e);
int copy_read_begin(struct source *s, struct entry *en, struct err *e);
int copy_read(struct source *s, uint8_t *out, size_t len, size_t *got, uint64_t *hole,
              struct err *e);
int copy_read_end(struct source *s, bool *changed, struct err *e);

#endif
