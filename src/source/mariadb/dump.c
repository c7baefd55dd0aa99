/*
 * A MariaDB server's rows as SQL, by mariadb-dump: all databases in one file, or each
 * that is named in one of its own.
 */
#include "mariadb.h"

#include "../command/programs.h"
#include "../owner.h"

#include "base/clock.h"
#include "base/text.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

#define END_MARK "-- Dump completed"
#define HEAD_MAX ((size_t)16 << 10) /* bytes, where the coordinates stand */
#define TAIL_MAX ((size_t)512)      /* bytes, where the end mark stands */
#define WORDS_MAX 16

struct dump {
    struct source base; /* first: a struct dump is a struct source */
    const struct conf_source *conf;
    struct server server;
    size_t given;         /* dumps that were begun */
    const char *database; /* of this one; NULL: all */
    char *name;           /* of its file */
    const char *argv[SERVER_WORDS + WORDS_MAX];
    const char *const *only[2]; /* argv, and NULL */
    struct programs tool;
    bool ended; /* the output is at its end */
    struct buf head, tail;
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

static int
dump_next(struct source *s, struct entry *out, struct err *e)
{
    struct dump *d = dump_of(s);
    char **list = d->conf->mariadb.databases;

    (void)e;
    programs_abort(&d->tool);
    if (list ? !list[d->given] : d->given > 0)
        return 0;
    d->database = list ? list[d->given] : NULL;
    d->given++;
    mem_free(d->name);
    d->name = d->database ? mem_printf("%s.sql", d->database) : mem_strdup("all.sql");
    *out = source_made(slice_str(d->name), clock_now());
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

/* A server that keeps no binlog has no coordinates, and the tool would fail. */
static void
make_argv(struct dump *d)
{
    const char *words[WORDS_MAX] = { "--single-transaction", "--routines", "--events",
                                     "--triggers",           "--hex-blob", "--comments" };
    size_t n = 6;

    if (d->server.binlog)
        words[n++] = "--master-data=2";
    words[n++] = d->database ? "--databases" : "--all-databases";
    words[n++] = d->database ? d->database : "--flush-privileges";
    words[n] = NULL;
    server_argv(&d->server, "mariadb-dump", words, d->argv);
}

static int
dump_read_begin(struct source *s, struct entry *en, struct err *e)
{
    struct dump *d = dump_of(s);

    (void)en;
    programs_abort(&d->tool);
    buf_clear(&d->head);
    buf_clear(&d->tail);
    d->ended = false;
    make_argv(d);
    return programs_start(&d->tool, server_env(&d->server), e) < 0 ? -1 : 1;
}

static int
dump_read(struct source *s, uint8_t *out, size_t len, size_t *got, uint64_t *hole,
          struct err *e)
{
    struct dump *d = dump_of(s);

    (void)hole;
    if (d->ended)
        return 0;
    if (programs_read(&d->tool, out, len, got, e) < 0)
        return -1;
    size_t room = d->head.max - d->head.len - 1;
    buf_put(&d->head, out, *got < room ? *got : room);
    buf_put_last(&d->tail, out, *got);
    d->ended = *got == 0;
    return 0;
}

static int
dump_read_end(struct source *s, bool *changed, struct err *e)
{
    struct dump *d = dump_of(s);

    (void)changed; /* never: it is made for us */
    if (!d->ended) {
        programs_abort(&d->tool);
        return err_set(e, ERR_SOURCE, 0, "mariadb-dump was stopped before its end");
    }
    if (programs_end(&d->tool, e) < 0) {
        if (e->kind == ERR_SOURCE)
            e->kind = server_kind(err_text(e));
        return -1;
    }
    if (d->tail.len == 0 || !memmem(d->tail.ptr, d->tail.len, END_MARK, strlen(END_MARK)))
        return err_set(e, ERR_SOURCE, 0,
                       "mariadb-dump did not print \"" END_MARK "\" at the end of %s",
                       text_of_name(slice_str(d->name)));
    AUTOFREE char *fact = d->database ? mem_printf("binlog/%s", d->database)
                                      : mem_strdup("binlog");
    mariadb_put_coordinates(&s->facts, fact, buf_cstr(&d->head));
    return 0;
}

static void
dump_close(struct source *s)
{
    struct dump *d = dump_of(s);

    programs_release(&d->tool);
    server_close(&d->server);
    mem_free(d->name);
    owners_free(d->owners);
    buf_release(&d->head);
    buf_release(&d->tail);
    buf_release(&d->user);
    buf_release(&d->group);
    mem_free(d);
}

static const struct source_ops dump_ops = {
    .traits = SOURCE_WHOLE | SOURCE_STREAM | SOURCE_UNORDERED,
    .moved = "is another server",
    .next = dump_next,
    .describe = dump_describe,
    .read_begin = dump_read_begin,
    .read = dump_read,
    .read_end = dump_read_end,
    .close = dump_close,
};

static int
open_server(struct dump *d, struct err *e)
{
    if (server_open(&d->server, d->conf, e) < 0)
        return -1;
    facts_put(&d->base.facts, "version", d->server.version);
    /* On another host, the folder of that name is another server's. */
    d->base.identity = d->conf->mariadb.host ? NULL : server_identity(&d->server);
    if (!d->base.identity)
        d->base.identity = mem_strdup("");
    make_argv(d);
    programs_init(&d->tool, d->only);
    d->tool.in = d->server.options;
    return programs_check(&d->tool, e);
}

int
mariadb_dump_open(const struct conf_source *c, const struct source_options *o,
                  struct source **out, struct err *e)
{
    struct dump *d = mem_zalloc(sizeof *d);

    d->base = (struct source){ .ops = &dump_ops, .opt = *o, .facts = BUF(FACTS_MAX) };
    d->conf = c;
    d->only[0] = d->argv;
    d->head = BUF(HEAD_MAX);
    d->tail = BUF(TAIL_MAX);
    d->owners = owners_new();
    d->user = d->group = BUF(256);
    if (open_server(d, e) < 0) {
        source_close(&d->base);
        return -1;
    }
    *out = &d->base;
    return 0;
}
