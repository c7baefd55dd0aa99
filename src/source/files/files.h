/*
 * files: the state of a `files` source. walk.c finds the entries, meta.c
 * describes them, content.c reads them and leaves the page cache as it was, ahead.c
 * makes the disk ready for that; files.c is the driver's table.
 */
#ifndef SOURCE_FILES_FILES_H
#define SOURCE_FILES_FILES_H

#include "../driver.h"
#include "../owner.h"
#include "../xattr.h"
#include "ahead.h"
#include "walk.h"

#include "base/pages.h"

#define SPANS 8       /* more than the kernel reads ahead, even where that was set high */
#define WARY_FILES 64 /* that were cached, until files are read without a look before */

/* The file that is being read. */
struct content {
    int fd; /* -1: none */
    struct stat begin;
    uint64_t pos;
    uint64_t data_end; /* up to here there is no hole; UINT64_MAX: ask no more */
    uint64_t brought;  /* so much of its beginning is cached because of the second walk */
    bool ended;
};

struct files {
    struct source base; /* first: a struct files is a struct source */
    struct roots roots;
    struct exclude *rules;
    struct walk *walk;
    struct walk_item item;
    struct ahead *ahead;
    struct content content;
    struct pages seen[SPANS]; /* its pages, before they were read; forgotten with it */
    unsigned wary;            /* so many more have to be cached */

    bool described; /* the current entry was; its slices lie in these: */
    struct owners *owners;
    struct xattr_reader reader;
    struct buf user, group, target, xattrs;
};

/* Fills what a stat tells; path, flags and the rest stay as they are. */
void meta_fill(struct entry *en, const struct stat *st);
void meta_init(struct files *f);
void meta_release(struct files *f);
int meta_describe(struct files *f, struct entry *en, struct err *e);

/* Reports a failed call on the current entry and returns 0. */
int meta_lost(struct files *f, int cause);

int content_begin(struct files *f, struct entry *en, struct err *e);
int content_read(struct files *f, uint8_t *out, size_t len, size_t *got, uint64_t *hole,
                 struct err *e);
int content_end(struct files *f, bool *changed);
void content_drop(struct files *f);

#endif
