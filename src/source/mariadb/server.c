#include "server.h"

#include "base/fs.h"
#include "base/proc.h"
#include "base/text.h"
#include "conf/secret.h"
#include "crypto/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASK_MS 60000
#define SAID_MAX ((size_t)64 << 10)
#define PASSWORD_MAX 1000 /* bytes; a line of an option file has at most 4096 */
#define STDIN "/dev/stdin"

/* In double quotes a backslash keeps what comes behind it from meaning anything. */
static int
put_password(struct buf *out, const struct conf_secret *from, struct err *e)
{
    struct buf plain = BUF(SECRET_MAX + 1);
    int rc = secret_resolve(from, &plain, e);

    if (rc == 0 && (plain.len > PASSWORD_MAX || memchr(plain.ptr, '\n', plain.len)))
        rc = err_set(e, ERR_DENIED, 0,
                     "MariaDB: a password has at most %d bytes, and one line",
                     PASSWORD_MAX);
    if (rc == 0) {
        buf_put_str(out, "[client]\npassword=\"");
        for (size_t i = 0; i < plain.len; i++) {
            if (plain.ptr[i] == '\\' || plain.ptr[i] == '"')
                buf_put_u8(out, '\\');
            buf_put_u8(out, plain.ptr[i]);
        }
        buf_put_str(out, "\"\n");
    }
    if (plain.ptr)
        crypto_wipe(plain.ptr, plain.cap);
    buf_release(&plain);
    return rc;
}

/* A file without a name. The tools ignore option files that others may write. */
static int
make_options(struct server *s, struct err *e)
{
    const char *file = s->conf->mariadb.defaults_file;
    struct buf text = BUF(8192);
    int rc;

    buf_room(&text, text.max); /* it never grows: a copy would not be wiped */
    if (file)
        buf_printf(&text, "!include %s\n", file);
    rc = put_password(&text, &s->conf->mariadb.password, e);
    if (rc == 0)
        rc = fs_memory(buf_slice(&text), &s->options, e);
    crypto_wipe(text.ptr, text.cap);
    buf_release(&text);
    return rc;
}

static void
add_word(struct server *s, const char *name, const char *value)
{
    if (value)
        s->words[s->word_count++] = mem_printf("--%s=%s", name, value);
}

/* The option file has to come first. */
static void
make_words(struct server *s)
{
    const struct conf_source *c = s->conf;
    AUTOFREE char *port = c->mariadb.port ? mem_printf("%u", c->mariadb.port) : NULL;

    if (c->mariadb.defaults_file)
        add_word(s, "defaults-file", s->options ? STDIN : c->mariadb.defaults_file);
    else if (s->options)
        add_word(s, "defaults-extra-file", STDIN);
    add_word(s, "user", c->mariadb.user);
    add_word(s, "socket", c->mariadb.socket);
    add_word(s, "host", c->mariadb.host);
    add_word(s, "port", port);
}

size_t
server_argv(const struct server *s, const char *tool, const char *const *more,
            const char **argv)
{
    size_t n = 0;

    argv[n++] = tool;
    for (size_t i = 0; i < s->word_count; i++)
        argv[n++] = s->words[i];
    while (*more)
        argv[n++] = *more++;
    argv[n] = NULL;
    return n;
}

/* ~/.my.cnf is read behind ours, and may hold another password. */
const char *const *
server_env(const struct server *s)
{
    static const char *const homeless[] = { "HOME=/nonexistent", NULL };

    return s->options ? homeless : NULL;
}

const char *const server_telling[] = { "Error: ", "ERROR",         "denied",
                                       "Can't ",  "Can not ",      "annot ",
                                       " failed", "has gone away", "do not exist",
                                       NULL };

enum err_kind
server_kind(const char *said)
{
    static const char *const refusals[] = { "Access denied", "ERROR 1045", "ERROR 1698",
                                            "is not allowed to connect",
                                            "missing required privilege" };
    static const char *const silences[] = { "Can't connect",   "ERROR 2002",
                                            "ERROR 2003",      "ERROR 2005",
                                            "Lost connection", "has gone away" };

    for (size_t i = 0; i < COUNT_OF(refusals); i++)
        if (strstr(said, refusals[i]))
            return ERR_DENIED;
    for (size_t i = 0; i < COUNT_OF(silences); i++)
        if (strstr(said, silences[i]))
            return ERR_UNAVAIL;
    return ERR_SOURCE;
}

/* The first line without its end. */
static const char *
first_line(struct buf *said)
{
    size_t len = strcspn(buf_cstr(said), "\n");

    return len ? text_of_name(slice_of(said->ptr, len)) : "it said nothing";
}

static int
run_client(const struct server *s, const char *query, struct buf *out, struct err *e)
{
    const char *const words[] = {
        "--batch", "--skip-column-names", "--connect-timeout=30", "--execute", query, NULL
    };
    const char *argv[SERVER_WORDS + COUNT_OF(words)];
    struct proc_options o = { .argv = argv, .in = s->options, .env = server_env(s) };
    AUTOBUF struct buf said = BUF(SAID_MAX);
    int status = 0;

    server_argv(s, "mariadb", words, argv);
    if (proc_run(&o, ASK_MS, out, &said, &status, e) < 0)
        return e->kind == ERR_CANCELLED
                 ? -1
                 : err_set(e, ERR_SOURCE, e->cause,
                           "the program mariadb cannot be started: %s",
                           strerror(e->cause));
    if (status == 124)
        return err_set(e, ERR_UNAVAIL, 0, "MariaDB: the server does not answer");
    return status == 0 ? 0
                       : err_set(e, server_kind(buf_cstr(&said)), 0, "MariaDB: %s",
                                 first_line(&said));
}

/* The next column of a row; freed by the caller. */
static char *
take_column(const char **row)
{
    size_t len = strcspn(*row, "\t\n");
    char *column = mem_printf("%.*s", (int)len, *row);

    *row += len + ((*row)[len] == '\t');
    return column;
}

static int
ask(struct server *s, struct err *e)
{
    static const char base[] = "SELECT VERSION(), @@datadir, @@log_bin";
    static const char size[] = ", (SELECT SUM(FILE_SIZE) FROM "
                               "information_schema.INNODB_SYS_TABLESPACES)";
    AUTOFREE char *query = mem_printf("%s%s", base, s->conf->mariadb.logical ? "" : size);
    AUTOBUF struct buf out = BUF(SAID_MAX);

    if (run_client(s, query, &out, e) < 0)
        return -1;
    const char *row = buf_cstr(&out);
    s->version = take_column(&row);
    s->data = take_column(&row);
    s->binlog = row[0] == '1';
    mem_free(take_column(&row));
    s->expected = strtoull(row, NULL, 10);
    return s->version[0] && s->data[0] == '/'
             ? 0
             : err_set(e, ERR_SOURCE, 0,
                       "MariaDB: the server's answer is not understood");
}

int
server_open(struct server *s, const struct conf_source *conf, struct err *e)
{
    const char *file = conf->mariadb.defaults_file;

    *s = (struct server){ .conf = conf };
    if (file && access(file, R_OK) < 0) /* one that is included may be missing */
        return err_sys(e, errno, "reading %s", file);
    if (conf->mariadb.password.from != SECRET_NONE && make_options(s, e) < 0)
        return -1;
    make_words(s);
    return ask(s, e);
}

void
server_close(struct server *s)
{
    if (s->options > 0)
        close(s->options);
    s->options = 0;
    while (s->word_count > 0)
        mem_free(s->words[--s->word_count]);
    mem_free(TAKE(s->version));
    mem_free(TAKE(s->data));
}

/* What aria_log_control begins with: a magic number, a version, the number. */
enum { MAGIC_LEN = 4, UUID_LEN = 16 };

char *
server_identity(const struct server *s)
{
    static const uint8_t magic[MAGIC_LEN] = { 0xfe, 0xfe, 0x0c, 0x01 };
    AUTOFREE char *path = fs_join(s->data, "aria_log_control");
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t head[MAGIC_LEN + UUID_LEN];
    char hex[2 * UUID_LEN + 1];
    struct err none = { 0 };

    if (fd < 0 || fs_pread_all(fd, head, sizeof head, 0, &none) < 0
        || memcmp(head, magic, MAGIC_LEN) != 0)
        return NULL;
    text_hex(hex, head + MAGIC_LEN, UUID_LEN);
    return mem_strdup(hex);
}
