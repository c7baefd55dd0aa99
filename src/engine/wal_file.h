/*
 * wal_file: a file of the log on this host's disk, checked.
 */
#ifndef ENGINE_WAL_FILE_H
#define ENGINE_WAL_FILE_H

#include "base/clock.h"
#include "source/wal.h"

struct wal_file {
    char *path;
    char text[WAL_NAME_MAX + 1]; /* its name */
    struct wal_name name;
    uint64_t system;
    uint64_t size; /* bytes */
    uint64_t unit; /* bytes of a segment; 0: it is none */
    struct clock_time time;
    int fd;
};

/* ERR_SOURCE when it is no file of a log, or not what its name says. */
MUST_USE int wal_file_open(struct wal_file *f, const char *path, struct err *e);
void wal_file_close(struct wal_file *f);

/* Its bytes, a megabyte at a time, from the beginning. */
typedef void wal_file_fn(void *arg, struct slice piece);
MUST_USE int wal_file_read(const struct wal_file *f, wal_file_fn *fn, void *arg,
                           struct err *e);
MUST_USE int wal_file_hash(const struct wal_file *f, uint8_t sha[32], struct err *e);

#endif
