/* reader: one file's content into chunks, or into the open bundle. */
#ifndef ENGINE_READER_H
#define ENGINE_READER_H

#include "codec/cut.h"
#include "pipeline.h"

#define SMALL_MAX ((size_t)64 << 10) /* below it files are bundled */

struct content_reader {
    struct repo *repo;
    struct source *source;
    struct pipeline *pipeline;
    struct backup_progress *progress;
    void (*tick)(void *arg); /* called while a big file is read */
    void *tick_arg;
    struct gear gear;
    const struct conf_source *rules;
    unsigned traits; /* of the source */
    /* The window that big files are cut from. */
    struct block *block;
    size_t start, fill;
    /* The open bundle. */
    struct block *bundle;
    size_t bundle_fill;
    unsigned bundle_files, bundle_wait;
    uint32_t bundle_owner;
    int64_t bundle_number;
};

void reader_init(struct content_reader *r);
void reader_release(struct content_reader *r);

/* Reads the entry that the source gave last and passes it on, with its
 * content. `kept` (may be NULL) is the parent's entry: a small file whose
 * content id is the same keeps its extents. 1; 0 when it could not be read
 * (reported); -1 when the run must end. */
MUST_USE int reader_file(struct content_reader *r, struct entry *en,
                         const struct entry *kept, struct err *e);

/* Tells that an entry goes by without content, so that no bundle holds up
 * too many. */
MUST_USE int reader_pass(struct content_reader *r, struct err *e);
MUST_USE int reader_finish(struct content_reader *r, struct err *e);

#endif
