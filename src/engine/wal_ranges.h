/*
 * wal_ranges: which segments of a stream are stored, as ranges without holes.
 *
 * Memory depends on the number of holes, not of files.
 */
#ifndef ENGINE_WAL_RANGES_H
#define ENGINE_WAL_RANGES_H

#include "repo/repo.h"

struct wal_range {
    uint32_t timeline;
    uint64_t first, last; /* numbers of segments, both there */
};

struct wal_ranges {
    struct wal_range *list; /* by timeline and number */
    size_t count, cap;
    uint32_t newest; /* timeline of which anything is stored */
    bool proves;     /* so many targets answered that no file of the quorum is unseen */
};

/* What any target that is up has. `unit`: bytes of a segment. */
MUST_USE int wal_ranges_list(struct repo *r, const char stream[17], uint64_t unit,
                             struct wal_ranges *out, struct err *e);
void wal_ranges_release(struct wal_ranges *x);

/* The range that has the segment, or NULL. */
const struct wal_range *wal_ranges_find(const struct wal_ranges *x, uint32_t timeline,
                                        uint64_t number);

#endif
