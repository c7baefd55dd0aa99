/*
 * driver: what a kind of source provides.
 *
 * A driver embeds `struct source` as its first member and fills a const
 * table. The calls in source.c check arguments and their order, then call the
 * slot; a slot that returns -1 must have filled `e`. A driver drops an open
 * content in next(), read_begin() and close(), because a caller may give up
 * in the middle. The configuration must live as long as the source.
 */
#ifndef SOURCE_DRIVER_H
#define SOURCE_DRIVER_H

#include "base/clock.h"
#include "source/source.h"

struct source_ops {
    unsigned traits;   /* enum source_trait */
    const char *moved; /* what one with another identity does: see source_moved() */
    int (*next)(struct source *s, struct entry *out, struct err *e);
    int (*describe)(struct source *s, struct entry *en, struct err *e);
    int (*read_begin)(struct source *s, struct entry *en, struct err *e);
    int (*read)(struct source *s, uint8_t *out, size_t len, size_t *got, uint64_t *hole,
                struct err *e);
    int (*read_end)(struct source *s, bool *changed, struct err *e);
    void (*close)(struct source *s); /* frees s */
};

struct source {
    const struct source_ops *ops;
    struct source_options opt;
    char *identity;    /* owned; freed by source_close() */
    struct buf facts;  /* the same; filled by the end of the walk */
    uint64_t expected; /* bytes in all, if they can be guessed at the beginning */
    bool given;        /* an entry was given and not yet followed by another */
    bool reading;      /* between read_begin and read_end */
};

/* The entry of a file that is made for the backup at `now`: ours, and its size is known
 * when it was read. */
struct entry source_made(struct slice path, struct clock_time now);

int files_open(const struct conf_source *c, const struct source_options *o,
               struct source **out, struct err *e);
int postgres_open(const struct conf_source *c, const struct source_options *o,
                  struct source **out, struct err *e);
int postgres_dump_open(const struct conf_source *c, const struct source_options *o,
                       struct source **out, struct err *e); /* for postgres_open() */
int redis_open(const struct conf_source *c, const struct source_options *o,
               struct source **out, struct err *e);
int mariadb_open(const struct conf_source *c, const struct source_options *o,
                 struct source **out, struct err *e);
int sqlite_open(const struct conf_source *c, const struct source_options *o,
                struct source **out, struct err *e);
int bucket_open(const struct conf_source *c, const struct source_options *o,
                struct source **out, struct err *e);
int command_open(const struct conf_source *c, const struct source_options *o,
                 struct source **out, struct err *e);

#endif
