/*
 * wal: the files of a PostgreSQL server's write-ahead log, by their names and headers.
 *
 * A segment's first page says which server wrote it and where it belongs; a file whose
 * page does not fit its name is none. Pure functions but for wal_system_of().
 * Source: PostgreSQL's manual, "Continuous Archiving"; its xlog_internal.h.
 */
#ifndef SOURCE_WAL_H
#define SOURCE_WAL_H

#include "base/buf.h"

#define WAL_NAME_MAX 40  /* bytes, without the NUL */
#define WAL_PAGE_HEAD 40 /* bytes of a segment that wal_page_parse() looks at */
#define WAL_SEGMENT_MAX ((uint64_t)1 << 30) /* bytes, as the server allows */

enum wal_kind {
    WAL_SEGMENT, /* 00000001000000000000000A */
    WAL_PARTIAL, /* …0A.partial: the last of a timeline, which another one left */
    WAL_BACKUP,  /* …0A.00000028.backup: a base backup ended, for people */
    WAL_HISTORY, /* 00000002.history: from where a timeline branched off */
};

struct wal_name {
    enum wal_kind kind;
    uint32_t timeline;
    uint64_t place;  /* the last 16 digits of a segment; 0: WAL_HISTORY */
    uint32_t offset; /* WAL_BACKUP */
};

bool wal_name_parse(const char *text, struct wal_name *out);
void wal_name_text(const struct wal_name *n, char out[WAL_NAME_MAX + 1]);

/* The places of segments of `size` bytes as a number without gaps, and back. */
uint64_t wal_number(uint64_t place, uint64_t size);
uint64_t wal_place(uint64_t number, uint64_t size);
/* "16MB" as the server says it, to bytes; false when no segment has so many. */
bool wal_size_parse(const char *text, uint64_t *out);
/* "16/B374D848" to bytes since the log began. */
bool wal_lsn_parse(const char *text, uint64_t *out);
const char *wal_lsn_text(uint64_t lsn, char out[20]);

struct wal_page {
    uint64_t system_id;
    uint64_t size; /* of its segments, bytes; a power of two */
    uint64_t lsn;  /* of the page */
    uint32_t timeline;
};

/* `head`: at least WAL_PAGE_HEAD bytes. ERR_SOURCE when it is no first page. */
MUST_USE int wal_page_parse(struct slice head, struct wal_page *out, struct err *e);
/* Is it the page with which the file of that name begins? */
MUST_USE int wal_page_fits(const struct wal_page *p, const struct wal_name *n,
                           struct err *e);

/* The system of the data folder `dir`, by its control file. */
MUST_USE int wal_system_of(const char *dir, uint64_t *id, struct err *e);

/* A line of a timeline's history: `parent` was left at `lsn`. */
struct wal_branch {
    uint32_t parent;
    uint64_t lsn;
};
/* Takes the next one off `rest`; false at the end. What is no such line is passed
 * over. */
bool wal_branch_next(struct slice *rest, struct wal_branch *out);

#endif
