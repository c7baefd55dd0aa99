/*
 * help: usage texts, made from the tables; at most 80 columns.
 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "base/buf.h"
#include "cli/options.h"

#define HELP_WIDTH 80
#define HELP_MAX ((size_t)64 << 10) /* bytes: the maximum of `out` */

void help_overview(const struct command *const *table, struct buf *out);
void help_command(const struct command *c, struct buf *out);

/* All commands whose first word is `word`: "key". False: there are none. */
bool help_group(const struct command *const *table, const char *word, struct buf *out);

/* Appends `text` in lines of HELP_WIDTH; the first begins at column `at`, the
 * others are indented by `indent`. Ends with a newline. */
void help_wrap(struct buf *out, const char *text, size_t at, size_t indent);

#endif
