/*
 * ahead: a second walk of the same tree, in a thread of its own, that goes some
 * files before the first one and asks the kernel for what that one is going to
 * read.
 *
 * One thread that reads many small files waits for the disk at each of them,
 * though the disk could serve dozens at once. The second walk meets the same
 * names in the same order, so that folders and inodes are in the cache too when
 * the first one comes, and its requests for content do not wait.
 *
 * It starts when most of the files passed are read and reads wait for the disk,
 * and rests as soon as either is no longer so: an unchanged tree or one in the
 * page cache never sees it. It reports nothing, fails silently and touches no
 * time of access. The first walk never waits for it.
 *
 * It asks only for files that are not in the page cache at all, and remembers them
 * until the first walk has passed, so that they leave the cache again: the first walk
 * gives up what it reads, the second one what was passed over.
 */
#ifndef SOURCE_FILES_AHEAD_H
#define SOURCE_FILES_AHEAD_H

#include "roots.h"

#include "source/source.h"

struct ahead;

/* Borrows `roots`. */
struct ahead *ahead_new(const struct conf_source *c, const struct source_options *o,
                        const struct roots *roots);
void ahead_free(struct ahead *a); /* ends the thread */

/* What the first walk does: it came to `path`, it reads the file there, and the
 * first bytes of that file were not in the page cache. ahead_read() gives how many
 * bytes of its beginning were not there before they were asked for; they are the
 * caller's to give up. */
void ahead_pass(struct ahead *a, struct slice path, bool file);
uint64_t ahead_read(struct ahead *a, struct slice path);
void ahead_wait(struct ahead *a, struct slice path);

#endif
