/* What the log's files are called on targets. */
#ifndef ENGINE_WAL_NAMES_H
#define ENGINE_WAL_NAMES_H

#include "repo/log.h"
#include "source/wal.h"

#define WAL_PLACE_DIGITS 16 /* of a segment's place */

/* The part of an object's name that tells the file within its timeline. */
void wal_pos(const struct wal_name *n, char out[LOG_POS_MAX + 1]);
/* And back. */
bool wal_of_pos(uint32_t timeline, const char *pos, struct wal_name *out);

#endif
