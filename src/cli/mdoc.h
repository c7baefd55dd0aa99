/*
 * mdoc: pieces of manual pages. Private to man.c.
 */
#ifndef CLI_MDOC_H
#define CLI_MDOC_H

#include "base/buf.h"
#include "cli/options.h"

/* From the comment line to the end of NAME. */
void mdoc_head(struct buf *out, const char *name, const char *section,
               const char *about);

/* Text in lines of at most 80, one sentence a line, safe from being taken for
 * a macro. */
void mdoc_text(struct buf *out, const char *text);
void mdoc_sentence(struct buf *out, const char *text); /* with capital and full stop */

void mdoc_synopsis(struct buf *out, const struct command *c);
void mdoc_options(struct buf *out, const struct option *options); /* NULL: none */
/* The examples of all commands whose first word is `word`. */
void mdoc_examples(struct buf *out, const struct command *const *table,
                   const char *word);

/* The parts of a prose: up to its first section, sections that belong to the
 * end, and all others. */
enum mdoc_part { MDOC_DESCRIPTION, MDOC_MIDDLE, MDOC_END };

void mdoc_prose(struct buf *out, struct buf *prose, enum mdoc_part part);

#endif
