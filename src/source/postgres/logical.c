/*
 * Dumps of a PostgreSQL server's databases, made by its own programs.
 *
 * Each database is an entry, DATABASE.dump, in the custom format and not compressed, so
 * that what did not change is found again; what belongs to no database is another,
 * globals.sql. One is made after the other, and each is one moment.
 */
#include "../command/programs.h"
#include "../driver.h"
#include "../owner.h"
#include "catalog.h"
#include "conninfo.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/text.h"
#include "conf/secret.h"
#include "crypto/seal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GLOBALS "globals.sql"
#define BEGIN_MARK "PGDMP"                                      /* of the custom format */
#define END_MARK "-- PostgreSQL database cluster dump complete" /* of globals.sql */
#define TAIL ((size_t)512) /* bytes in which the end mark must stand */
#define ARGS_MAX 10
#define NAME_LEN_MAX 255

struct item {
    char *path;
    const char *database; /* NULL: what belongs to none */
};

struct dump {
    struct source base; /* first: a struct dump is a struct source */
    const struct conf_source *conf;
    struct catalog catalog;
    struct item *items; /* in the manifest's order */
    size_t count, next;
    char *at;     /* the database in which what belongs to none is asked for */
    int passfile; /* in memory; 0: there is none */
    /* Of the item that is read: */
    const struct item *item;
    struct connection moment; /* rows are counted in it */
    char *moment_id, *conninfo;
    const char *argv[ARGS_MAX];
    struct programs program;
    struct buf head, tail;
    bool ended; /* the output is at its end */
    struct owners *owners;
    struct buf user, group;
};

static const struct source_ops dump_ops;

static struct dump *
dump_of(struct source *s)
{
    assert(s->ops == &dump_ops);
    return (struct dump *)s;
}

/* Ends what is being read. */
static void
drop(struct dump *d)
{
    programs_release(&d->program);
    d->program = (struct programs){ 0 };
    connection_close(&d->moment);
    mem_free(TAKE(d->moment_id));
    mem_free(TAKE(d->conninfo));
    buf_clear(&d->head);
    buf_clear(&d->tail);
    d->ended = false;
}

static int
dump_next(struct source *s, struct entry *out, struct err *e)
{
    struct dump *d = dump_of(s);

    (void)e;
    drop(d);
    if (d->next == d->count)
        return 0;
    d->item = &d->items[d->next++];
    *out = source_made(slice_str(d->item->path), clock_now());
    return 1;
}

static int
dump_describe(struct source *s, struct entry *en, struct err *e)
{
    struct dump *d = dump_of(s);

    (void)e;
    owner_describe(d->owners, en, &d->user, &d->group);
    return 1;
}

/* The command of the item, which never asks for a password. */
static void
make_argv(struct dump *d)
{
    size_t n = 0;

    if (d->item->database) {
        d->argv[n++] = "pg_dump";
        d->argv[n++] = "--format=custom";
        d->argv[n++] = "--compress=0";
        if (d->moment_id) {
            d->argv[n++] = "--snapshot";
            d->argv[n++] = d->moment_id;
        }
    } else {
        d->argv[n++] = "pg_dumpall";
        d->argv[n++] = "--globals-only";
        if (!d->catalog.passwords)
            d->argv[n++] = "--no-role-passwords";
        d->argv[n++] = "--database"; /* it overlooks that of the connection string */
        d->argv[n++] = d->at;
    }
    d->argv[n++] = "--no-password";
    d->argv[n++] = "--dbname";
    d->argv[n++] = d->conninfo;
    d->argv[n] = NULL;
    assert(n < ARGS_MAX);
}

static int
dump_read_begin(struct source *s, struct entry *en, struct err *e)
{
    struct dump *d = dump_of(s);
    const char *database = d->item->database ? d->item->database : d->at;
    const char *const *const only[] = { d->argv, NULL };
    const char *env[] = { "LC_ALL=C", d->passfile ? "PGPASSWORD=" : NULL, NULL };

    (void)en;
    drop(d);
    if (conninfo_make(d->conf->postgres.dsn, database, d->passfile > 0, &d->conninfo, e)
        < 0)
        return -1;
    if (d->conf->postgres.count_rows && d->item->database
        && moment_begin(&d->moment, d->conf, database, &d->moment_id, e) < 0)
        return -1;
    make_argv(d);
    programs_init(&d->program, only);
    d->program.in = d->passfile;
    return programs_start(&d->program, env, e) < 0 ? -1 : 1;
}

static int
dump_read(struct source *s, uint8_t *out, size_t len, size_t *got, uint64_t *hole,
          struct err *e)
{
    struct dump *d = dump_of(s);

    (void)hole;
    if (d->ended)
        return 0;
    if (programs_read(&d->program, out, len, got, e) < 0)
        return -1;
    d->ended = *got == 0;
    size_t room = d->head.max - d->head.len;
    buf_put(&d->head, out, *got < room ? *got : room);
    buf_put_last(&d->tail, out, *got);
    return 0;
}

/* The programs tell the cause first and then what they were doing: all of that, from the
 * first line that is an error. */
static int
explain(const struct dump *d, struct err *e)
{
    const struct buf *said = &d->program.list[0].said;
    AUTOFREE char *text = mem_printf("%.*s", (int)said->len, (const char *)said->ptr);
    const char *error = strstr(text, "error: ");
    struct slice words;

    if (!error || e->kind != ERR_SOURCE)
        return -1;
    while (error > text && error[-1] != '\n')
        error--;
    words = slice_str(error);
    while (words.len > 0 && words.ptr[words.len - 1] == '\n')
        words.len--;
    for (char *p = text; *p; p++)
        if (*p == '\n')
            *p = ' ';
    return err_set(e, ERR_SOURCE, 0, "PostgreSQL: making %s: %.400s",
                   text_of_name(slice_str(d->item->path)), text_of_name(words));
}

/* Did it print what a whole dump has? */
static int
judge(const struct dump *d, struct err *e)
{
    bool good = d->item->database
                  ? slice_equal(buf_slice(&d->head), SLICE(BEGIN_MARK))
                  : memmem(d->tail.ptr, d->tail.len, END_MARK, strlen(END_MARK)) != NULL;

    return good ? 0
                : err_set(e, ERR_SOURCE, 0,
                          "PostgreSQL: making %s: %s printed what is no whole dump",
                          text_of_name(slice_str(d->item->path)), d->argv[0]);
}

static int
dump_read_end(struct source *s, bool *changed, struct err *e)
{
    struct dump *d = dump_of(s);

    (void)changed; /* never: it is read once */
    if (!d->ended) {
        programs_abort(&d->program);
        return err_set(e, ERR_SOURCE, 0, "%s was stopped before its end", d->argv[0]);
    }
    if (programs_end(&d->program, e) < 0)
        return explain(d, e);
    if (judge(d, e) < 0)
        return -1;
    return d->moment_id ? moment_count_rows(&d->moment, d->item->database, &s->facts, e)
                        : 0;
}

static void
dump_close(struct source *s)
{
    struct dump *d = dump_of(s);

    drop(d);
    for (size_t i = 0; i < d->count; i++)
        mem_free(d->items[i].path);
    mem_free(d->items);
    catalog_release(&d->catalog);
    mem_free(d->at);
    if (d->passfile > 0)
        close(d->passfile);
    owners_free(d->owners);
    buf_release(&d->head);
    buf_release(&d->tail);
    buf_release(&d->user);
    buf_release(&d->group);
    mem_free(d);
}

static const struct source_ops dump_ops = {
    .traits = SOURCE_WHOLE | SOURCE_STREAM,
    .moved = "is another database system",
    .next = dump_next,
    .describe = dump_describe,
    .read_begin = dump_read_begin,
    .read = dump_read,
    .read_end = dump_read_end,
    .close = dump_close,
};

static int
make_passfile(struct dump *d, struct err *e)
{
    struct buf password = BUF(SECRET_MAX + 1), line = BUF(2 * SECRET_MAX + 16);
    int rc;

    if (d->conf->postgres.password.from == SECRET_NONE)
        return 0;
    (void)buf_room(&line, line.max); /* so that it is never copied */
    rc = secret_resolve(&d->conf->postgres.password, &password, e) < 0
              || conninfo_put_password(&line, buf_slice(&password), e) < 0
           ? -1
           : fs_memory(buf_slice(&line), &d->passfile, e);
    if (password.ptr)
        crypto_wipe(password.ptr, password.cap);
    if (line.ptr)
        crypto_wipe(line.ptr, line.cap);
    buf_release(&password);
    buf_release(&line);
    return rc;
}

static int
by_path(const void *a, const void *b)
{
    const struct item *x = a, *y = b;

    return entry_order(slice_str(x->path), slice_str(y->path));
}

/* A slash would make it two names: it is written as in a URL. */
static char *
path_of(const char *database)
{
    AUTOBUF struct buf path = BUF(3 * NAME_LEN_MAX + 16);

    for (; *database; database++)
        if (*database == '/' || *database == '%')
            buf_printf(&path, "%%%02X", (unsigned)*database);
        else
            buf_put_u8(&path, (uint8_t)*database);
    buf_put_str(&path, ".dump");
    return mem_strdup(buf_cstr(&path));
}

static int
list_items(struct dump *d, struct err *e)
{
    d->items = mem_zalloc((d->catalog.count + 1) * sizeof *d->items);
    d->items[d->count++].path = mem_strdup(GLOBALS);
    for (size_t i = 0; i < d->catalog.count; i++) {
        struct item *x = &d->items[d->count++];
        x->database = d->catalog.names[i];
        if (strlen(x->database) <= NAME_LEN_MAX)
            x->path = path_of(x->database);
        if (!x->path || strlen(x->path) > NAME_LEN_MAX
            || !entry_path_valid(slice_str(x->path)))
            return err_set(e, ERR_SOURCE, 0,
                           "PostgreSQL: the database \"%.300s\" has a name that no file "
                           "can have",
                           text_of_name(slice_str(x->database)));
    }
    qsort(d->items, d->count, sizeof *d->items, by_path);
    return 0;
}

int
postgres_dump_open(const struct conf_source *c, const struct source_options *o,
                   struct source **out, struct err *e)
{
    struct dump *d = mem_zalloc(sizeof *d);

    d->base = (struct source){ .ops = &dump_ops, .opt = *o, .facts = BUF(FACTS_MAX) };
    d->conf = c;
    d->head = BUF(strlen(BEGIN_MARK));
    d->tail = BUF(TAIL);
    d->user = d->group = BUF(256);
    d->owners = owners_new();
    if (conninfo_database(c->postgres.dsn, &d->at, e) < 0 || make_passfile(d, e) < 0
        || catalog_ask(&d->catalog, c, d->at, &d->base.facts, &d->base.identity, e) < 0
        || list_items(d, e) < 0) {
        source_close(&d->base);
        return -1;
    }
    if (!d->catalog.passwords)
        log_warn("source %s: its role may not read the passwords of roles, so " GLOBALS
                 " is without them",
                 c->name);
    *out = &d->base;
    return 0;
}
