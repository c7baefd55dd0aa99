/*
 * stream: the base backup that a server sends, as archives and a manifest.
 *
 * One BASE_BACKUP command gives its start, its tablespaces, then in one COPY an archive
 * (tar) for the data folder, one for each tablespace and the manifest, and then its end
 * (PostgreSQL's protocol, "Streaming Replication Protocol", from version 15).
 */
#ifndef SOURCE_POSTGRES_STREAM_H
#define SOURCE_POSTGRES_STREAM_H

#include "connection.h"

#define OID_LEN 10

enum part { PART_NONE, PART_ARCHIVE, PART_MANIFEST, PART_END };

struct stream {
    struct connection conn;
    uint64_t expected;     /* bytes, as the server guesses */
    enum part part;        /* what the blocks belong to */
    char oid[OID_LEN + 1]; /* PART_ARCHIVE: of the tablespace; "": the data folder */
    bool over;             /* the COPY has come to its end */
    struct slice ahead;    /* a message that belongs to the next part; empty: none */
};

/* Connects and asks the server who it is: *identity is the system's identifier, which
 * the caller frees. */
MUST_USE int stream_open(struct stream *s, const struct conf_source *conf,
                         struct buf *facts, char **identity, struct err *e);
/* Has it begin. */
MUST_USE int stream_begin(struct stream *s, const struct conf_source *conf,
                          struct buf *facts, struct err *e);

/* Goes to the next part; what is left of this one is passed over. At PART_END the facts
 * of the end are told, and the server has said that the backup is whole. */
MUST_USE int stream_next(struct stream *s, struct buf *facts, struct err *e);
/* 1 and the next block of the part, which lives until the next call; 0 at its end. */
MUST_USE int stream_block(struct stream *s, struct slice *block, struct err *e);
void stream_end(struct stream *s);

#endif
