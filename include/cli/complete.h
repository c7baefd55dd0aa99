/*
 * complete: scripts for shells, made from the tables.
 *
 * What only a running system knows (targets, sources, snapshots) the script
 * asks of `drtool __complete KIND`, which prints one a line and is silent about
 * errors: a shell must never show one while somebody types.
 */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

#include "base/buf.h"
#include "cli/options.h"

#define COMPLETE_MAX ((size_t)1 << 20) /* bytes: the maximum of `out` */

const char *complete_word(enum complete kind);

/* The script for "bash", "zsh" or "fish"; ERR_USAGE for another. */
MUST_USE int complete_script(const struct command *const *table, const char *shell,
                             struct buf *out, struct err *e);

#endif
