/*
 * facts: what a source tells of itself beside its content, as names and values.
 *
 * Sizes, counts and positions in a log: for people, for restore, and for drills to
 * compare with. A name is said once. Values are text, numbers in decimal.
 */
#ifndef SOURCE_FACTS_H
#define SOURCE_FACTS_H

#include "base/buf.h"

#define FACTS_MAX ((size_t)16 << 10) /* bytes of all */

/* Adds one. What is not UTF-8, or no longer fits, is left out, and that is logged. */
void facts_put(struct buf *f, const char *name, const char *value);
void facts_put_number(struct buf *f, const char *name, uint64_t n);

/* Takes the next one off `rest`; false at the end. */
bool facts_next(struct slice *rest, const char **name, const char **value);

/* NULL: there is none of that name. */
const char *facts_get(struct slice facts, const char *name);

/* Whether bytes from outside are facts. */
bool facts_valid(struct slice facts);

#endif
