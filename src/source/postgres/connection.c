#include "connection.h"

#include "base/cancel.h"
#include "base/clock.h"
#include "base/log.h"
#include "conf/secret.h"
#include "crypto/seal.h"

#include <poll.h>
#include <string.h>

#define ASK_EVERY_MS 100 /* whether the run was cancelled */
#define CONNECT_MS 60000
#define NOTICED_MAX 2048 /* bytes */

/* Its words as one line; they end with a newline and may go on in others. */
static int
fail(struct connection *c, const char *words, const char *what, struct err *e)
{
    AUTOFREE char *line = mem_strdup(words ? words : "");
    size_t len = strlen(line);

    while (len > 0 && line[len - 1] == '\n')
        line[--len] = 0;
    for (char *p = line; *p; p++)
        if (*p == '\n')
            *p = ' ';
    (void)c;
    return err_set(e, ERR_SOURCE, 0, "PostgreSQL: %s: %.700s", what,
                   line[0] ? line : "no reason was given");
}

static void
on_notice(void *arg, const char *message)
{
    struct connection *c = arg;
    size_t len = strlen(message), room = c->noticed.max - c->noticed.len;

    log_info("PostgreSQL: %.*s", (int)strcspn(message, "\n"), message);
    buf_put(&c->noticed, message, len < room ? len : room);
}

/* Waits until the socket can be read (or written to); -1 when cancelled. */
static int
await(struct connection *c, short events, int64_t until_ms, struct err *e)
{
    for (;;) {
        struct pollfd fd = { PQsocket(c->pg), events, 0 };
        if (cancel_check(e) < 0)
            return -1;
        if (until_ms && clock_mono_ms() >= until_ms)
            return err_set(e, ERR_UNAVAIL, 0, "PostgreSQL: the server does not answer");
        if (poll(&fd, 1, ASK_EVERY_MS) > 0)
            return 0;
    }
}

static int
lost(struct connection *c, struct err *e)
{
    fail(c, PQerrorMessage(c->pg), "the connection was lost", e);
    e->kind = ERR_UNAVAIL;
    return -1;
}

/* Not connected: nobody is there, or we may not come in. */
static int
refused(struct connection *c, struct err *e)
{
    fail(c, c->pg ? PQerrorMessage(c->pg) : "out of memory", "connecting", e);
    e->kind = c->pg
                   && (PQconnectionNeedsPassword(c->pg)
                       || PQconnectionUsedPassword(c->pg))
                ? ERR_DENIED
                : ERR_UNAVAIL;
    return -1;
}

static int
connect_to(struct connection *c, const char *const *names, const char *const *values,
           struct err *e)
{
    int64_t until = clock_mono_ms() + CONNECT_MS;
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;

    c->pg = PQconnectStartParams(names, values, 1);
    if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD)
        return refused(c, e);
    PQsetNoticeProcessor(c->pg, on_notice, c);
    while (next != PGRES_POLLING_OK) {
        if (next == PGRES_POLLING_FAILED)
            return refused(c, e);
        if (await(c, next == PGRES_POLLING_READING ? POLLIN : POLLOUT, until, e) < 0)
            return -1;
        next = PQconnectPoll(c->pg);
    }
    return 0;
}

int
connection_open(struct connection *c, const struct conf_source *conf,
                const char *database, struct err *e)
{
    /* The first dbname may be a whole connection string, the second is a name. */
    static const char *const names[] = {
        "dbname", "replication", "fallback_application_name", "password", "dbname", NULL
    };
    const char *values[] = { conf->postgres.dsn ? conf->postgres.dsn : "",
                             database ? NULL : "true",
                             "drtool",
                             NULL,
                             database,
                             NULL };
    struct buf password = BUF(SECRET_MAX + 1);
    int rc = 0;

    *c = (struct connection){ .noticed = BUF(NOTICED_MAX) };
    if (conf->postgres.password.from != SECRET_NONE) {
        rc = secret_resolve(&conf->postgres.password, &password, e);
        values[3] = rc < 0 ? NULL : buf_cstr(&password);
    }
    if (rc == 0)
        rc = connect_to(c, names, values, e);
    if (password.ptr)
        crypto_wipe(password.ptr, password.cap);
    buf_release(&password);
    if (rc < 0)
        connection_close(c);
    return rc;
}

void
connection_close(struct connection *c)
{
    if (c->block)
        PQfreemem(TAKE(c->block));
    if (c->pg)
        PQfinish(TAKE(c->pg));
    buf_release(&c->noticed);
}

int
connection_send(struct connection *c, const char *query, struct err *e)
{
    return PQsendQuery(c->pg, query) ? 0 : fail(c, PQerrorMessage(c->pg), "asking", e);
}

PGresult *
connection_result(struct connection *c, ExecStatusType want, struct err *e)
{
    while (PQisBusy(c->pg)) {
        if (await(c, POLLIN, 0, e) < 0)
            return NULL;
        if (!PQconsumeInput(c->pg)) {
            (void)!lost(c, e);
            return NULL;
        }
    }
    PGresult *r = PQgetResult(c->pg);
    if (r && PQresultStatus(r) == want)
        return r;
    if (r && c->noticed.len) {
        AUTOFREE char *all = mem_printf("%s %s", PQresultErrorMessage(r),
                                        buf_cstr(&c->noticed));
        fail(c, all, "the server", e);
    } else {
        fail(c, r ? PQresultErrorMessage(r) : "it gave no answer", "the server", e);
    }
    PQclear(r);
    return NULL;
}

PGresult *
connection_rows(struct connection *c, const char *query, struct err *e)
{
    PGresult *r = connection_send(c, query, e) < 0
                    ? NULL
                    : connection_result(c, PGRES_TUPLES_OK, e);

    if (!r)
        return NULL;
    for (PGresult *more; (more = PQgetResult(c->pg));)
        PQclear(more);
    return r;
}

PGresult *
connection_query(struct connection *c, const char *query, struct err *e)
{
    PGresult *r = connection_rows(c, query, e);

    if (!r || PQntuples(r) > 0)
        return r;
    PQclear(r);
    fail(c, query, "no row came back for", e);
    return NULL;
}

int
connection_copy(struct connection *c, struct slice *block, struct err *e)
{
    if (c->block)
        PQfreemem(TAKE(c->block));
    for (;;) {
        int n = PQgetCopyData(c->pg, &c->block, 1);
        if (n > 0) {
            *block = slice_of(c->block, (size_t)n);
            return 1;
        }
        if (n == -1)
            return 0;
        if (n < 0)
            return lost(c, e);
        if (await(c, POLLIN, 0, e) < 0)
            return -1;
        if (!PQconsumeInput(c->pg))
            return lost(c, e);
    }
}
