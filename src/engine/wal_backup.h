/*
 * wal_backup: where in its server's log a backup ended, by the snapshot's facts.
 */
#ifndef ENGINE_WAL_BACKUP_H
#define ENGINE_WAL_BACKUP_H

#include "repo/repo.h"

struct wal_backup {
    const char *system; /* the facts' */
    char stream[17];
    uint32_t timeline;
    uint64_t lsn;    /* the end of the backup */
    uint64_t unit;   /* bytes of a segment */
    uint64_t number; /* of the segment in which the backup ended */
};

/* False when the snapshot does not tell. */
bool wal_backup_of(const struct repo *r, const struct snapshot *s,
                   struct wal_backup *out);

#endif
