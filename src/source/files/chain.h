/*
 * chain: the folders from "/" to the one that is being walked.
 *
 * However long the chain is, only the innermost CHAIN_OPEN_MAX folders are
 * open. Going back to a closed one opens ".." of the one that is left; when
 * that is not the same folder (one was moved, or was reached by a link), it
 * is opened from "/" again, name by name, so that no path has to be short.
 */
#ifndef SOURCE_FILES_CHAIN_H
#define SOURCE_FILES_CHAIN_H

#include "names.h"
#include "roots.h"

#include <sys/types.h>

#define CHAIN_OPEN_MAX 32   /* a source may walk twice at once */
#define CHAIN_PART_MAX 4096 /* bytes of one name with its NUL */

struct frame {
    int fd; /* -1: closed */
    dev_t dev;
    ino_t ino;
    struct names names; /* still to be walked */
    size_t path_len;
    size_t rules_at;    /* where in the path the part begins that rules match */
    struct range roots; /* that lie below */
    bool listed;        /* else it only leads to them */
    bool follow;        /* if it is a link */
};

struct chain {
    struct frame *frames;
    size_t depth, cap;
    size_t lowest_open; /* the frames from here on are open */
};

struct frame *chain_top(struct chain *c);                /* NULL: empty */
void chain_push(struct chain *c, const struct frame *f); /* takes it */

/* Leaves the innermost folder. False when the one above it, which is the
 * innermost now, cannot be opened again: it was moved or removed. `path` begins
 * with the path of that folder. */
bool chain_pop(struct chain *c, struct names_pool *pool, const uint8_t *path);
void chain_release(struct chain *c, struct names_pool *pool);

#endif
