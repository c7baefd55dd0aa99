/* tree_content: the bytes of files in order, chunk by chunk. */
#ifndef ENGINE_TREE_CONTENT_H
#define ENGINE_TREE_CONTENT_H

#include "repo/repo.h"

struct content_sink {
    int (*data)(void *arg, struct slice data, struct err *e);
    int (*hole)(void *arg, uint64_t len, struct err *e); /* NULL: zeros as data */
    void *arg;
};

/* Keeps the bundle and the other chunk read last, since the files of a folder
 * lie in one bundle. One thread. */
struct content *content_new(struct repo *r);
void content_free(struct content *c);
DEFINE_CLEANUP(struct content, content_free)

/* Gives all of a file; ERR_CORRUPT when that is not as long as the entry says. */
MUST_USE int content_write(struct content *c, const struct entry *en,
                           const struct content_sink *to, struct err *e);

#endif
