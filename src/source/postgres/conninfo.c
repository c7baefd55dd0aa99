#include "conninfo.h"

#include <libpq-fe.h>
#include <string.h>

#define CONNINFO_MAX ((size_t)64 << 10)

static void
free_options(PQconninfoOption **options)
{
    PQconninfoFree(*options);
}

/* libpq's own rule. */
static bool
is_name(const char *dsn)
{
    return !strchr(dsn, '=') && strncmp(dsn, "postgres://", 11) != 0
        && strncmp(dsn, "postgresql://", 13) != 0;
}

static int
parse(const char *dsn, PQconninfoOption **out, struct err *e)
{
    char *why = NULL;

    *out = PQconninfoParse(dsn && !is_name(dsn) ? dsn : "", &why);
    if (*out)
        return 0;
    err_set(e, ERR_USAGE, 0, "PostgreSQL: the dsn: %.*s",
            why ? (int)strcspn(why, "\n") : 13, why ? why : "out of memory");
    PQfreemem(why);
    return -1;
}

int
conninfo_database(const char *dsn, char **out, struct err *e)
{
    CLEANUP(free_options) PQconninfoOption *options = NULL;
    const char *found = dsn && dsn[0] && is_name(dsn) ? dsn : "postgres";

    if (parse(dsn, &options, e) < 0)
        return -1;
    for (const PQconninfoOption *o = options; o->keyword; o++)
        if (strcmp(o->keyword, "dbname") == 0 && o->val && o->val[0])
            found = o->val;
    *out = mem_strdup(found);
    return 0;
}

static void
put(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "%s%s='", out->len ? " " : "", name);
    for (; *value; value++) {
        if (*value == '\'' || *value == '\\')
            buf_put_u8(out, '\\');
        buf_put_u8(out, (uint8_t)*value);
    }
    buf_put_u8(out, '\'');
}

int
conninfo_make(const char *dsn, const char *database, bool on_stdin, char **out,
              struct err *e)
{
    CLEANUP(free_options) PQconninfoOption *options = NULL;
    AUTOBUF struct buf text = BUF(CONNINFO_MAX);

    if (parse(dsn, &options, e) < 0)
        return -1;
    for (const PQconninfoOption *o = options; o->keyword; o++)
        if (o->val && o->dispchar[0] != '*' /* a secret */
            && strcmp(o->keyword, "dbname") != 0
            && !(on_stdin && strcmp(o->keyword, "passfile") == 0))
            put(&text, o->keyword, o->val);
    put(&text, "dbname", database);
    if (on_stdin) {
        put(&text, "password", ""); /* or that of the environment would come first */
        put(&text, "passfile", "/dev/stdin");
    }
    *out = mem_strdup(buf_cstr(&text));
    return 0;
}

int
conninfo_put_password(struct buf *out, struct slice password, struct err *e)
{
    buf_put_str(out, "*:*:*:*:");
    for (size_t i = 0; i < password.len; i++) {
        uint8_t c = password.ptr[i];
        if (c == '\n' || c == '\r' || c == 0)
            return err_set(e, ERR_DENIED, 0,
                           "PostgreSQL: the password has more than one line, which its "
                           "programs cannot be given");
        if (c == ':' || c == '\\')
            buf_put_u8(out, '\\');
        buf_put_u8(out, c);
    }
    buf_put_u8(out, '\n');
    return 0;
}
