/*
 * pages: which pages of a file are in the page cache, so that who reads the file
 * can leave the cache as it was.
 *
 * The kernel tells it to root, to the file's owner and to who may write it. For
 * others all pages seem to be there, so that none is given up.
 */
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGES_SPAN ((size_t)16 << 20) /* bytes: the most that is looked at at once */

struct pages {
    uint64_t at;
    size_t count, missing;            /* pages looked at; 0: none. Not there of these */
    uint8_t there[PAGES_SPAN / 4096]; /* the lowest bit of each, if some are missing */
};

/* Looks at up to PAGES_SPAN bytes of the file, from `at`, which is a multiple of that.
 * Touches no time of access if the file is open with O_NOATIME. */
void pages_look(struct pages *p, int fd, uint64_t at, uint64_t len);

/* Gives up the pages that were not there, except those that are in use or not yet
 * on the disk. What was looked at is forgotten. */
void pages_leave(struct pages *p, int fd);

/* Gives up all pages of a range. */
void pages_drop(int fd, uint64_t at, uint64_t len);

#endif
