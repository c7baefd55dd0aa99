#include "stream.h"

#include "base/log.h"
#include "source/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_MIN 150000 /* the protocol changed with it */

/* What a block of the COPY begins with. */
enum message {
    MESSAGE_ARCHIVE = 'n',
    MESSAGE_MANIFEST = 'm',
    MESSAGE_DATA = 'd',
    MESSAGE_PROGRESS = 'p'
};

static int
malformed(struct err *e)
{
    return err_set(e, ERR_SOURCE, 0,
                   "PostgreSQL: the server sent what its protocol does not know");
}

static int
ask_who(struct stream *s, struct buf *facts, char **identity, struct err *e)
{
    PGresult *r = connection_query(&s->conn, "IDENTIFY_SYSTEM", e);

    if (!r)
        return -1;
    *identity = mem_strdup(PQgetvalue(r, 0, 0));
    facts_put(facts, "system-id", *identity);
    PQclear(r);
    r = connection_query(&s->conn, "SHOW wal_segment_size", e);
    if (!r)
        return -1;
    facts_put(facts, "wal-segment-size", PQgetvalue(r, 0, 0));
    PQclear(r);
    facts_put(facts, "version", PQparameterStatus(s->conn.pg, "server_version"));
    return 0;
}

int
stream_open(struct stream *s, const struct conf_source *conf, struct buf *facts,
            char **identity, struct err *e)
{
    *s = (struct stream){ .part = PART_NONE };
    if (connection_open(&s->conn, conf, NULL, e) < 0)
        return -1;
    if (PQserverVersion(s->conn.pg) < VERSION_MIN)
        return err_set(e, ERR_SOURCE, 0,
                       "PostgreSQL: the server has version %s; from 15 on it can be "
                       "backed up",
                       PQparameterStatus(s->conn.pg, "server_version"));
    return ask_who(s, facts, identity, e);
}

void
stream_end(struct stream *s)
{
    connection_close(&s->conn);
}

/* A position in the log and its timeline. */
static int
take_position(struct stream *s, const char *name, struct buf *facts, struct err *e)
{
    PGresult *r = connection_result(&s->conn, PGRES_TUPLES_OK, e);
    AUTOFREE char *lsn = mem_printf("%s-lsn", name);
    AUTOFREE char *timeline = mem_printf("%s-timeline", name);

    if (!r)
        return -1;
    bool good = PQntuples(r) == 1 && PQnfields(r) >= 2;
    if (good) {
        facts_put(facts, lsn, PQgetvalue(r, 0, 0));
        facts_put(facts, timeline, PQgetvalue(r, 0, 1));
    }
    PQclear(r);
    return good ? 0 : malformed(e);
}

/* For each tablespace its number, place and size in KiB; the data folder has only a
 * size. */
static int
take_tablespaces(struct stream *s, struct buf *facts, struct err *e)
{
    PGresult *r = connection_result(&s->conn, PGRES_TUPLES_OK, e);

    if (!r)
        return -1;
    bool good = PQnfields(r) >= 3;
    for (int i = 0; good && i < PQntuples(r); i++) {
        AUTOFREE char *name = mem_printf("tablespace/%s", PQgetvalue(r, i, 0));
        s->expected += strtoull(PQgetvalue(r, i, 2), NULL, 10) << 10;
        if (PQgetisnull(r, i, 0))
            continue;
        const char *number = PQgetvalue(r, i, 0); /* restore makes a path of it */
        good = number[0] && number[strspn(number, "0123456789")] == 0;
        /* A restore knows tablespaces by these alone: none may be left out. */
        facts_put(facts, name, PQgetvalue(r, i, 1));
        if (!facts_get(buf_slice(facts), name)) {
            PQclear(r);
            return err_set(e, ERR_SOURCE, 0,
                           "PostgreSQL: there are too many tablespaces, or the place of "
                           "one is not UTF-8");
        }
    }
    PQclear(r);
    return good ? 0 : malformed(e);
}

int
stream_begin(struct stream *s, const struct conf_source *conf, struct buf *facts,
             struct err *e)
{
    AUTOBUF struct buf query = BUF(512);

    /* With the log that the copy needs, it can be started by itself. */
    buf_printf(&query,
               "BASE_BACKUP ( LABEL 'drtool', PROGRESS, CHECKPOINT '%s', WAL, WAIT 0, "
               "MANIFEST 'yes'",
               conf->postgres.spread ? "spread" : "fast");
    if (conf->postgres.max_rate)
        buf_printf(&query, ", MAX_RATE %llu",
                   (unsigned long long)(conf->postgres.max_rate >> 10));
    buf_printf(&query, " )");
    if (connection_send(&s->conn, buf_cstr(&query), e) < 0
        || take_position(s, "start", facts, e) < 0 || take_tablespaces(s, facts, e) < 0)
        return -1;
    PGresult *r = connection_result(&s->conn, PGRES_COPY_OUT, e);
    PQclear(r);
    return r ? 0 : -1;
}

int
stream_block(struct stream *s, struct slice *block, struct err *e)
{
    while (s->ahead.len == 0 && !s->over) {
        struct slice m;
        int rc = connection_copy(&s->conn, &m, e);
        if (rc < 0)
            return -1;
        if (rc == 0) {
            s->over = true;
            return 0;
        }
        if (m.ptr[0] == MESSAGE_DATA && s->part != PART_NONE) {
            *block = slice_sub(m, 1, m.len - 1);
            return 1;
        }
        if (m.ptr[0] == MESSAGE_ARCHIVE || m.ptr[0] == MESSAGE_MANIFEST)
            s->ahead = m;
        else if (m.ptr[0] != MESSAGE_PROGRESS)
            return malformed(e);
    }
    return 0;
}

/* "16385.tar" is that of a tablespace, "base.tar" that of the data folder. */
static int
begin_archive(struct stream *s, struct slice name, struct err *e)
{
    const uint8_t *end = memchr(name.ptr, 0, name.len);
    const char *text = (const char *)name.ptr;
    size_t digits = end ? strspn(text, "0123456789") : 0;

    s->part = PART_ARCHIVE;
    s->oid[0] = 0;
    if (!end)
        return malformed(e);
    if (strcmp(text, "base.tar") == 0)
        return 0;
    if (digits == 0 || digits > OID_LEN || strcmp(text + digits, ".tar") != 0)
        return malformed(e);
    snprintf(s->oid, sizeof s->oid, "%.*s", (int)digits, text);
    return 0;
}

/* The server says behind the last byte where the copy ends, and whether all was well:
 * pages with a wrong checksum, too, are told only now. */
static int
finish(struct stream *s, struct buf *facts, struct err *e)
{
    if (take_position(s, "stop", facts, e) < 0)
        return -1;
    PGresult *r = connection_result(&s->conn, PGRES_COMMAND_OK, e);
    PQclear(r);
    return r ? 0 : -1;
}

int
stream_next(struct stream *s, struct buf *facts, struct err *e)
{
    struct slice passed;
    int rc;

    while ((rc = stream_block(s, &passed, e)) == 1)
        continue;
    if (rc < 0)
        return -1;
    if (s->over) {
        s->part = PART_END;
        return finish(s, facts, e);
    }
    struct slice m = s->ahead;

    s->ahead = slice_of(NULL, 0);
    if (m.ptr[0] == MESSAGE_ARCHIVE)
        return begin_archive(s, slice_sub(m, 1, m.len - 1), e);
    s->part = PART_MANIFEST;
    return 0;
}
