/*
 * A Redis or Valkey server, copied as a replica is: the server writes its data as one
 * file, which is one moment, and the check tool reads it through.
 */
#include "../copy.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/proc.h"
#include "base/text.h"
#include "conf/secret.h"
#include "crypto/seal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGS_MAX 16
#define SAID_MAX ((size_t)64 << 10)
#define INFO_MS 60000

struct redis {
    struct copy copy; /* first */
    const struct conf_source *conf;
    char *client, *checker;
    char port[12];
};

static struct redis *
redis_of(struct copy *c)
{
    return (struct redis *)c;
}

/* The last line with something in it. */
static const char *
last_line(struct buf *said)
{
    size_t end = said->len;

    while (end > 0 && strchr(" \r\n", said->ptr[end - 1]))
        end--;
    size_t from = end;
    while (from > 0 && said->ptr[from - 1] != '\n' && said->ptr[from - 1] != '\r')
        from--;
    return end > from ? text_of_name(slice_of(said->ptr + from, end - from))
                      : "it said nothing";
}

/* The client tells in words alone whether nobody answers or we are refused. */
static enum err_kind
kind_of(const char *said)
{
    static const char *const refusals[] = { "NOAUTH", "WRONGPASS", "NOPERM",
                                            "AUTH failed" };

    for (size_t i = 0; i < COUNT_OF(refusals); i++)
        if (strstr(said, refusals[i]))
            return ERR_DENIED;
    return strstr(said, "Could not connect") ? ERR_UNAVAIL : ERR_SOURCE;
}

/* A file without a name that holds the password as a line, for stdin: it stands in no
 * argument and in no environment. 0: there is none. */
static int
password_line(const struct redis *r, int *out, struct err *e)
{
    struct buf line = BUF(SECRET_MAX + 1);
    int rc;

    *out = 0;
    if (r->conf->redis.password.from == SECRET_NONE)
        return 0;
    rc = secret_resolve(&r->conf->redis.password, &line, e);
    if (rc == 0) {
        buf_put_u8(&line, '\n');
        rc = fs_memory(buf_slice(&line), out, e);
    }
    if (line.ptr)
        crypto_wipe(line.ptr, line.cap);
    buf_release(&line);
    return rc;
}

/* Runs the client with these words behind those that say where the server is. */
static int
run_client(const struct redis *r, const char *const *words, int64_t limit_ms,
           struct buf *out, struct err *e)
{
    const char *argv[ARGS_MAX] = { r->client };
    struct proc_options o = { .argv = argv };
    AUTOBUF struct buf said = BUF(SAID_MAX);
    size_t n = 1;
    int status = 0;

    argv[n++] = r->conf->redis.socket ? "-s" : "-h";
    argv[n++] = r->conf->redis.socket ? r->conf->redis.socket
              : r->conf->redis.host   ? r->conf->redis.host
                                      : "127.0.0.1";
    if (!r->conf->redis.socket) {
        argv[n++] = "-p";
        argv[n++] = r->port;
    }
    if (r->conf->redis.user) {
        argv[n++] = "--user";
        argv[n++] = r->conf->redis.user;
    }
    if (password_line(r, &o.in, e) < 0)
        return -1;
    if (o.in > 0)
        argv[n++] = "--askpass";
    for (; *words; words++)
        argv[n++] = *words;
    argv[n] = NULL;
    int rc = proc_run(&o, limit_ms, out, &said, &status, e);
    if (o.in > 0)
        close(o.in);
    if (rc < 0)
        return e->kind == ERR_CANCELLED ? -1
                                        : err_set(e, ERR_SOURCE, e->cause,
                                                  "the program %s cannot be started: %s",
                                                  r->client, strerror(e->cause));
    if (status == 0)
        return 0;
    const char *why = last_line(said.len ? &said : out);
    return err_set(e, kind_of(why), 0, "Redis: %s exited with %d: %s", r->client, status,
                   why);
}

/* The value of "name:value" in INFO; NULL: it is not there. Freed by the caller. */
static char *
info_value(const struct buf *info, const char *name)
{
    AUTOFREE char *text = mem_printf("\n%.*s", (int)info->len, (const char *)info->ptr);
    AUTOFREE char *line = mem_printf("\n%s:", name);
    const char *at = strstr(text, line);

    if (!at)
        return NULL;
    at += strlen(line);
    return mem_printf("%.*s", (int)strcspn(at, "\r\n"), at);
}

/* "db0:keys=12,expires=0,avg_ttl=0" for each database. */
static uint64_t
count_keys(const struct buf *info)
{
    AUTOFREE char *text = mem_printf("%.*s", (int)info->len, (const char *)info->ptr);
    uint64_t sum = 0;

    for (const char *at = text; (at = strstr(at, ":keys="));) {
        at += strlen(":keys=");
        sum += strtoull(at, NULL, 10);
    }
    return sum;
}

/* What the server is. An answer that is none of INFO's is its refusal. */
static int
ask(struct redis *r, struct err *e)
{
    static const char *const words[] = { "INFO", NULL };
    AUTOBUF struct buf info = BUF(SAID_MAX);
    struct buf *facts = &r->copy.base.facts;

    if (run_client(r, words, INFO_MS, &info, e) < 0)
        return -1;
    AUTOFREE char *version = info_value(&info, "redis_version");
    AUTOFREE char *role = info_value(&info, "role");
    AUTOFREE char *link = info_value(&info, "master_link_status");
    if (!version || !role)
        return err_set(e, kind_of(last_line(&info)), 0, "Redis: %s", last_line(&info));
    if (link && strcmp(link, "up") != 0)
        return err_set(e, ERR_SOURCE, 0,
                       "Redis: the server is a replica that has lost its master, so its "
                       "data may be old");
    facts_put(facts, "version", version);
    facts_put(facts, "role", role);
    facts_put_number(facts, "keys", count_keys(&info));
    return 0;
}

static int
check(const struct redis *r, const char *path, struct err *e)
{
    const char *const argv[] = { r->checker, path, NULL };
    struct proc_options o = { .argv = argv };
    AUTOBUF struct buf out = BUF(SAID_MAX), said = BUF(SAID_MAX);
    int status = 0;

    if (proc_run(&o, 0, &out, &said, &status, e) < 0)
        return e->kind == ERR_CANCELLED ? -1
                                        : err_set(e, ERR_SOURCE, e->cause,
                                                  "the program %s cannot be started: %s",
                                                  r->checker, strerror(e->cause));
    return status == 0 ? 0
                       : err_set(e, ERR_SOURCE, 0, "Redis: the copy is damaged: %s: %s",
                                 r->checker, last_line(out.len ? &out : &said));
}

static int
make(struct copy *c, const char *path, struct err *e)
{
    struct redis *r = redis_of(c);
    const char *const words[] = { "--rdb", path, NULL };
    AUTOBUF struct buf out = BUF(SAID_MAX);
    struct clock_time now = clock_now();

    if (ask(r, e) < 0 || run_client(r, words, 0, &out, e) < 0 || check(r, path, e) < 0)
        return -1;
    c->from = (struct stat){ .st_mode = 0600,
                             .st_uid = geteuid(),
                             .st_gid = getegid(),
                             .st_mtim = { now.s, now.ns } };
    return 0;
}

static void
redis_close(struct source *s)
{
    struct redis *r = (struct redis *)s;

    copy_release(&r->copy);
    mem_free(r->client);
    mem_free(r->checker);
    mem_free(r);
}

static const struct source_ops redis_ops = {
    .traits = SOURCE_WHOLE | SOURCE_STREAM,
    .moved = "is another server",
    .next = copy_next,
    .describe = copy_describe,
    .read_begin = copy_read_begin,
    .read = copy_read,
    .read_end = copy_read_end,
    .close = redis_close,
};

/* The check tool of redis-cli is redis-check-rdb, that of valkey-cli valkey-check-rdb. */
static char *
checker_of(const char *client)
{
    size_t len = strlen(client), end = strlen("-cli");

    if (len > end && strcmp(client + len - end, "-cli") == 0)
        len -= end;
    return mem_printf("%.*s-check-rdb", (int)len, client);
}

int
redis_open(const struct conf_source *c, const struct source_options *o,
           struct source **out, struct err *e)
{
    struct redis *r = mem_zalloc(sizeof *r);
    unsigned port = c->redis.port ? c->redis.port : 6379;

    (void)e;
    copy_init(&r->copy, &redis_ops, c, o);
    r->copy.make = make;
    r->copy.as = "dump.rdb";
    r->conf = c;
    r->client = mem_strdup(c->redis.client ? c->redis.client : "redis-cli");
    r->checker = checker_of(r->client);
    snprintf(r->port, sizeof r->port, "%u", port);
    r->copy.base.identity = c->redis.socket
                              ? mem_strdup(c->redis.socket)
                              : mem_printf("%s:%u",
                                           c->redis.host ? c->redis.host : "127.0.0.1",
                                           port);
    *out = &r->copy.base;
    return 0;
}
