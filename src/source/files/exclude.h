/*
 * exclude: gitignore's rules over paths relative to a configured path.
 *
 * A rule without a slash (but at its end) matches a name at any depth, one
 * with a slash matches the whole relative path; a slash at the end restricts
 * it to folders, "!" takes back, the last rule that matches decides, "**" is
 * any number of folders. What lies below an excluded folder is not asked for.
 * Source: gitignore(5) PATTERN FORMAT.
 */
#ifndef SOURCE_FILES_EXCLUDE_H
#define SOURCE_FILES_EXCLUDE_H

#include "base/buf.h"

struct exclude;

struct exclude *exclude_new(char *const *patterns); /* NULL-terminated; may be NULL */
void exclude_free(struct exclude *x);

/* True when `path` (not empty, ends with a NUL) is to be left out. */
bool exclude_match(struct exclude *x, const char *path, bool folder);

#endif
