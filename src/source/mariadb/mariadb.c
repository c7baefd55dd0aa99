/*
 * A MariaDB server, its files copied by mariadb-backup.
 *
 * The stream that it writes is taken apart as it comes, so that every file is an entry:
 * tables are cut at fixed positions, and a later backup stores the pages that changed.
 * Owner, mode and times are those of the files themselves, which the stream does not
 * tell: mariadb-backup reads them on this host.
 */
#include "mariadb.h"

#include "../command/programs.h"
#include "../owner.h"
#include "untangle.h"

#include "base/clock.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDERS_MAX ((size_t)8 << 20) /* bytes of the names of all databases */
#define INFO_MAX ((size_t)16 << 10)
#define WORKED "completed OK!" /* its last words, if all went well */

struct mariadb {
    struct source base; /* first: a struct mariadb is a struct source */
    struct server server;
    const char *argv[SERVER_WORDS + 4];
    const char *const *only[2]; /* argv, and NULL */
    struct programs tool;
    struct untangle files;
    bool begun, broken_off; /* the tool was started; its output is at its end */
    bool has_log;           /* which it gives at the end */
    int data;               /* the server's folder; -1 */
    struct stat above;      /* of it */
    struct clock_time now;
    struct buf folders; /* given ones, each "/name" and a NUL */
    struct buf folder;  /* given last */
    struct slice held;  /* a file whose folder was given first; empty: none */
    uint64_t held_size;
    struct buf info; /* what a small file says that facts are in */
    bool listens;    /* the file given last is one */
    struct owners *owners;
    struct buf user, group;
};

static const struct source_ops mariadb_ops;

static struct mariadb *
mariadb_of(struct source *s)
{
    assert(s->ops == &mariadb_ops);
    return (struct mariadb *)s;
}

/* An xbstream_read_fn. */
static int
read_tool(void *arg, uint8_t *out, size_t len, size_t *got, struct err *e)
{
    struct mariadb *m = arg;

    *got = 0;
    if (!m->broken_off && programs_read(&m->tool, out, len, got, e) < 0)
        return -1;
    m->broken_off = *got == 0;
    return 0;
}

/* Waits for the tool, which says last whether all went well. */
static int
finish(struct mariadb *m, struct err *e)
{
    if (programs_end(&m->tool, e) < 0) {
        if (e->kind == ERR_SOURCE)
            e->kind = server_kind(err_text(e));
        return -1;
    }
    struct slice said = programs_said(&m->tool);
    return said.len > 0 && memmem(said.ptr, said.len, WORKED, strlen(WORKED))
             ? 0
             : err_set(e, ERR_SOURCE, 0,
                       "mariadb-backup did not say at its end that it " WORKED);
}

/* A stream of no files at all is well-formed, too. */
static int
check_whole(const struct mariadb *m, struct err *e)
{
    return m->has_log ? 0
                      : err_set(e, ERR_SOURCE, 0,
                                "mariadb-backup gave no redo log, without which nothing "
                                "can be restored");
}

/* A stream that breaks off does so because the tool failed, and that knows why. */
static int
explain(struct mariadb *m, struct err *e)
{
    struct err why = { 0 };

    if (e->kind == ERR_SOURCE && m->broken_off && finish(m, &why) < 0)
        *e = why;
    programs_abort(&m->tool);
    return -1;
}

static void
fill(const struct mariadb *m, struct entry *out, struct slice path, enum entry_type type)
{
    AUTOFREE char *name = mem_printf("%.*s", (int)path.len, (const char *)path.ptr);
    struct stat st = { .st_mode = type == ENTRY_DIR ? 0700 : 0660,
                       .st_uid = m->above.st_uid,
                       .st_gid = m->above.st_gid,
                       .st_mtim = { m->now.s, m->now.ns } };
    struct stat real;

    /* The tool's own files are not there, and a table may have been dropped since. */
    if (m->data >= 0 && fstatat(m->data, name, &real, 0) == 0
        && entry_type_of(real.st_mode) == type)
        st = real;
    *out = (struct entry){ .path = path,
                           .type = type,
                           .mode = st.st_mode & 07777,
                           .uid = st.st_uid,
                           .gid = st.st_gid,
                           .mtime_s = st.st_mtim.tv_sec,
                           .mtime_ns = (uint32_t)st.st_mtim.tv_nsec,
                           /* no later run may take it for unchanged */
                           .ctime_s = m->now.s,
                           .ctime_ns = (uint32_t)m->now.ns };
}

/* Has this folder been given? It counts as such from now on. */
static bool
was_given(struct mariadb *m, struct slice folder)
{
    struct buf *all = &m->folders;

    if (slice_equal(buf_slice(&m->folder), folder))
        return true;
    buf_clear(&m->folder);
    buf_put_slice(&m->folder, folder);
    AUTOFREE char *name = mem_printf("/%s", buf_cstr(&m->folder));
    size_t len = strlen(name) + 1;
    if (all->len > 0 && memmem(all->ptr, all->len, name, len))
        return true;
    buf_put(all, name, len);
    return false;
}

/* The first folder above the file in hand that was not yet given: 1; none: 0; -1. */
static int
give_folder(struct mariadb *m, struct entry *out, struct err *e)
{
    struct slice path = m->held;

    for (size_t i = 0; i < path.len; i++) {
        if (path.ptr[i] != '/')
            continue;
        if (m->folders.max - m->folders.len < i + 2)
            return err_set(e, ERR_SOURCE, 0,
                           "MariaDB: the server has too many databases");
        if (was_given(m, slice_sub(path, 0, i)))
            continue;
        fill(m, out, buf_slice(&m->folder), ENTRY_DIR);
        return 1;
    }
    return 0;
}

static bool
ends_with(struct slice path, const char *end)
{
    size_t len = strlen(end);

    return path.len >= len && memcmp(path.ptr + path.len - len, end, len) == 0;
}

/* The next file. What tells where a table is that lies elsewhere (.isl) is left out: the
 * copy has it in place, and a server that read it would go for the original. */
static int
next_file(struct mariadb *m, struct err *e)
{
    int rc;

    do {
        rc = untangle_next(&m->files, &m->held, &m->held_size, e);
    } while (rc == 1 && ends_with(m->held, ".isl"));
    if (rc < 0)
        return explain(m, e);
    return rc;
}

static int
mariadb_next(struct source *s, struct entry *out, struct err *e)
{
    struct mariadb *m = mariadb_of(s);

    if (!m->begun && programs_start(&m->tool, server_env(&m->server), e) < 0)
        return -1;
    m->begun = true;
    if (m->held.len == 0) {
        int rc = next_file(m, e);
        if (rc <= 0)
            return rc < 0 || finish(m, e) < 0 || check_whole(m, e) < 0 ? -1 : 0;
    }
    int rc = give_folder(m, out, e);
    if (rc != 0)
        return rc;
    fill(m, out, m->held, ENTRY_FILE);
    out->size = m->held_size;
    m->held = slice_of(NULL, 0);
    buf_clear(&m->info);
    m->listens = mariadb_has_facts(out->path);
    m->has_log |= slice_equal(out->path, SLICE("ib_logfile0"));
    return 1;
}

static int
mariadb_describe(struct source *s, struct entry *en, struct err *e)
{
    struct mariadb *m = mariadb_of(s);

    (void)e;
    owner_describe(m->owners, en, &m->user, &m->group);
    return 1;
}

static int
mariadb_read_begin(struct source *s, struct entry *en, struct err *e)
{
    (void)s;
    (void)en;
    (void)e;
    return 1;
}

static int
mariadb_read(struct source *s, uint8_t *out, size_t len, size_t *got, uint64_t *hole,
             struct err *e)
{
    struct mariadb *m = mariadb_of(s);

    (void)hole;
    if (untangle_read(&m->files, out, len, got, e) < 0)
        return explain(m, e);
    if (m->listens && *got <= m->info.max - m->info.len)
        buf_put(&m->info, out, *got);
    return 0;
}

static int
mariadb_read_end(struct source *s, bool *changed, struct err *e)
{
    struct mariadb *m = mariadb_of(s);

    (void)changed; /* never: it comes once */
    (void)e;
    if (m->listens)
        mariadb_put_facts(&s->facts, buf_cstr(&m->info));
    return 0;
}

static void
mariadb_close(struct source *s)
{
    struct mariadb *m = mariadb_of(s);

    programs_release(&m->tool);
    untangle_release(&m->files);
    server_close(&m->server);
    if (m->data >= 0)
        close(m->data);
    buf_release(&m->folders);
    buf_release(&m->folder);
    buf_release(&m->info);
    owners_free(m->owners);
    buf_release(&m->user);
    buf_release(&m->group);
    mem_free(m);
}

static const struct source_ops mariadb_ops = {
    .traits = SOURCE_WHOLE | SOURCE_UNORDERED,
    .moved = "is another server",
    .next = mariadb_next,
    .describe = mariadb_describe,
    .read_begin = mariadb_read_begin,
    .read = mariadb_read,
    .read_end = mariadb_read_end,
    .close = mariadb_close,
};

static int
open_server(struct mariadb *m, const struct conf_source *c, struct err *e)
{
    static const char *const words[] = { "--backup", "--stream=xbstream", NULL };

    if (server_open(&m->server, c, e) < 0)
        return -1;
    facts_put(&m->base.facts, "version", m->server.version);
    m->base.expected = m->server.expected;
    m->base.identity = server_identity(&m->server);
    if (!m->base.identity)
        m->base.identity = mem_strdup("");
    m->data = open(m->server.data, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (m->data < 0 || fstat(m->data, &m->above) < 0)
        return err_set(e, ERR_SOURCE, errno,
                       "MariaDB: the server's folder %s cannot be seen here: %s",
                       m->server.data, strerror(errno));
    server_argv(&m->server, "mariadb-backup", words, m->argv);
    m->only[0] = m->argv;
    programs_init(&m->tool, m->only);
    m->tool.in = m->server.options;
    m->tool.telling = server_telling;
    return programs_check(&m->tool, e);
}

int
mariadb_open(const struct conf_source *c, const struct source_options *o,
             struct source **out, struct err *e)
{
    if (c->mariadb.logical)
        return mariadb_dump_open(c, o, out, e);
    struct mariadb *m = mem_zalloc(sizeof *m);
    m->base = (struct source){ .ops = &mariadb_ops, .opt = *o, .facts = BUF(FACTS_MAX) };
    m->data = -1;
    m->now = clock_now();
    m->folders = BUF(FOLDERS_MAX);
    m->folder = BUF(XBSTREAM_PATH_MAX + 1);
    m->info = BUF(INFO_MAX);
    m->owners = owners_new();
    m->user = m->group = BUF(256);
    untangle_init(&m->files, read_tool, m, o->tmp_dir);
    if (open_server(m, c, e) < 0) {
        source_close(&m->base);
        return -1;
    }
    *out = &m->base;
    return 0;
}
