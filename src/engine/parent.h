/*
 * parent: what this host remembers of a source's last snapshot.
 *
 * A key of role writer cannot open the snapshots it made, and with no target
 * in reach nobody can: the root of the manifest, kept here, and its nodes in
 * the local cache let the next backup be incremental all the same.
 */
#ifndef ENGINE_PARENT_H
#define ENGINE_PARENT_H

#include "repo/repo.h"

void parent_remember(struct repo *r, const struct snapshot *s);
/* Fills row->info; false when nothing is remembered. */
bool parent_recall(struct repo *r, const char *source, struct snapshot_row *row);

#endif
