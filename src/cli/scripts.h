/* scripts: one completion script a shell. Private to complete.c. */
#ifndef CLI_SCRIPTS_H
#define CLI_SCRIPTS_H

#include "base/buf.h"
#include "cli/options.h"

void script_bash(const struct command *const *table, struct buf *out);
void script_zsh(const struct command *const *table, struct buf *out);
void script_fish(const struct command *const *table, struct buf *out);

#endif
