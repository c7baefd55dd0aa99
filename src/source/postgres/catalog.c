#include "catalog.h"

#include "base/log.h"
#include "base/text.h"
#include "source/facts.h"

#include <string.h>

#define VERSION_MIN 100000 /* with which pg_control_system() tells all that is asked */

/* "t" is how the server writes true. */
static bool
is_true(const PGresult *r, int row, int column)
{
    return strcmp(PQgetvalue(r, row, column), "t") == 0;
}

static int
open_in(struct connection *c, const struct conf_source *conf, const char *database,
        struct err *e)
{
    if (connection_open(c, conf, database, e) < 0)
        return -1;
    PGresult *r =
        connection_query(c, "SELECT pg_catalog.set_config('search_path', '', false)", e);
    PQclear(r);
    return r ? 0 : -1;
}

static int
ask_who(struct catalog *c, struct connection *conn, struct buf *facts, char **identity,
        struct err *e)
{
    PGresult *r = connection_query(
        conn,
        "SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', "
        "'EXECUTE'), pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')",
        e);

    if (!r)
        return -1;
    bool may_know = is_true(r, 0, 0);
    c->passwords = is_true(r, 0, 1);
    PQclear(r);
    *identity = mem_strdup("");
    if (may_know) {
        r = connection_query(
            conn, "SELECT system_identifier FROM pg_catalog.pg_control_system()", e);
        if (!r)
            return -1;
        mem_free(*identity);
        *identity = mem_strdup(PQgetvalue(r, 0, 0));
        facts_put(facts, "system-id", *identity);
        PQclear(r);
    }
    facts_put(facts, "version", PQparameterStatus(conn->pg, "server_version"));
    facts_put(facts, "role-passwords", c->passwords ? "yes" : "no");
    return 0;
}

static bool
is_wanted(const struct conf_source *conf, const char *name)
{
    for (char **d = conf->postgres.databases; *d; d++)
        if (strcmp(*d, name) == 0)
            return true;
    return false;
}

/* Name, whether it is dumped unless told otherwise, size. One whose removal was broken
 * off lets nobody connect, and has -2 as its limit. */
static void
take_databases(struct catalog *c, const struct conf_source *conf, const PGresult *r,
               struct buf *facts)
{
    c->names = mem_zalloc((size_t)PQntuples(r) * sizeof *c->names + 1);
    for (int i = 0; i < PQntuples(r); i++) {
        const char *name = PQgetvalue(r, i, 0);
        AUTOFREE char *fact = mem_printf("database/%s", name);
        if (conf->postgres.databases ? !is_wanted(conf, name) : !is_true(r, i, 1))
            continue;
        c->names[c->count++] = mem_strdup(name);
        if (!PQgetisnull(r, i, 2))
            facts_put(facts, fact, PQgetvalue(r, i, 2));
    }
}

static bool
has(const struct catalog *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->names[i], name) == 0)
            return true;
    return false;
}

static int
ask_databases(struct catalog *c, const struct conf_source *conf, struct connection *conn,
              struct buf *facts, struct err *e)
{
    PGresult *r = connection_query(
        conn,
        "SELECT datname, datallowconn AND NOT datistemplate AND datconnlimit <> -2, "
        "CASE WHEN pg_catalog.has_database_privilege(oid, 'CONNECT') "
        "THEN pg_catalog.pg_database_size(oid) END FROM pg_catalog.pg_database",
        e);

    if (!r)
        return -1;
    take_databases(c, conf, r, facts);
    PQclear(r);
    for (char **d = conf->postgres.databases; d && *d; d++)
        if (!has(c, *d))
            return err_set(e, ERR_SOURCE, 0,
                           "PostgreSQL: the server has no database \"%s\"",
                           text_of_name(slice_str(*d)));
    return 0;
}

int
catalog_ask(struct catalog *c, const struct conf_source *conf, const char *at,
            struct buf *facts, char **identity, struct err *e)
{
    CLEANUP(connection_close) struct connection conn = { 0 };

    *c = (struct catalog){ 0 };
    if (open_in(&conn, conf, at, e) < 0)
        return -1;
    if (PQserverVersion(conn.pg) < VERSION_MIN)
        return err_set(e, ERR_SOURCE, 0,
                       "PostgreSQL: the server has version %s; from 10 on its databases "
                       "can be dumped",
                       PQparameterStatus(conn.pg, "server_version"));
    return ask_who(c, &conn, facts, identity, e) < 0
             ? -1
             : ask_databases(c, conf, &conn, facts, e);
}

void
catalog_release(struct catalog *c)
{
    for (size_t i = 0; i < c->count; i++)
        mem_free(c->names[i]);
    mem_free(TAKE(c->names));
    c->count = 0;
}

static int
command(struct connection *c, const char *text, struct err *e)
{
    if (connection_send(c, text, e) < 0)
        return -1;
    PGresult *r = connection_result(c, PGRES_COMMAND_OK, e);
    bool good = r;

    while (r) {
        PQclear(r);
        r = PQgetResult(c->pg);
    }
    return good ? 0 : -1;
}

int
moment_begin(struct connection *c, const struct conf_source *conf, const char *database,
             char **id, struct err *e)
{
    /* It is idle while the dump is made, which may take long. */
    if (open_in(c, conf, database, e) < 0
        || command(c, "SET idle_in_transaction_session_timeout = 0", e) < 0
        || command(c, "SET statement_timeout = 0", e) < 0
        || command(c, "SET row_security = off", e) < 0
        || command(c, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", e) < 0)
        return -1;
    PGresult *r = connection_query(c, "SELECT pg_catalog.pg_export_snapshot()", e);
    if (!r)
        return -1;
    *id = mem_strdup(PQgetvalue(r, 0, 0));
    PQclear(r);
    return 0;
}

/* `table` is quoted, `name` is not. */
static int
count_rows(struct connection *c, const char *table, const char *name, struct buf *facts,
           struct err *e)
{
    AUTOFREE char *query = mem_printf("SELECT pg_catalog.count(*) FROM ONLY %s", table);
    PGresult *r = connection_query(c, query, e);

    if (!r)
        return -1;
    facts_put(facts, name, PQgetvalue(r, 0, 0));
    PQclear(r);
    return 0;
}

int
moment_count_rows(struct connection *c, const char *database, struct buf *facts,
                  struct err *e)
{
    PGresult *r = connection_rows(
        c,
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), n.nspname, c.relname "
        "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "
        "ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.relpersistence <> 't' "
        "AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') "
        "ORDER BY n.nspname, c.relname",
        e);
    int rc = r ? 0 : -1;

    for (int i = 0; rc == 0 && i < PQntuples(r); i++) {
        AUTOFREE char *name = mem_printf("rows/%s/%s.%s", database, PQgetvalue(r, i, 1),
                                         PQgetvalue(r, i, 2));
        rc = count_rows(c, PQgetvalue(r, i, 0), name, facts, e);
    }
    PQclear(r);
    if (rc == 0 || e->kind == ERR_CANCELLED)
        return rc;
    /* such as a table that was dropped since */
    log_info("the rows of %s are not all counted: %s", text_of_name(slice_str(database)),
             err_text(e));
    *e = (struct err){ 0 };
    return 0;
}
