/*
 * A PostgreSQL server, copied whole over its replication protocol.
 *
 * The archives that it sends are taken apart as they come, so that every file is an
 * entry: relation files are cut at fixed positions, and a later backup stores the pages
 * that changed. A tablespace's files stand in pg_tblspc/OID as if it were a folder there,
 * so that the snapshot is one tree that can be restored anywhere.
 */
#include "../driver.h"
#include "../owner.h"
#include "stream.h"

#include "base/clock.h"
#include "base/text.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct postgres {
    struct source base; /* first: a struct postgres is a struct source */
    const struct conf_source *conf;
    struct stream stream;
    bool begun;
    struct clock_time now;
    struct archive *tar; /* of the part that is read; NULL: none */
    struct err broken;   /* why the archive's bytes do not come */
    struct slice rest;   /* of a block of the manifest */
    struct buf path, target, user, group;
    uint64_t relations;
};

static const struct source_ops postgres_ops;

static struct postgres *
postgres_of(struct source *s)
{
    assert(s->ops == &postgres_ops);
    return (struct postgres *)s;
}

static void
close_tar(struct postgres *p)
{
    archive_read_free(p->tar);
    p->tar = NULL;
}

/* An archive_read_callback. */
static la_ssize_t
give_block(struct archive *tar, void *arg, const void **out)
{
    struct postgres *p = arg;
    struct slice block;
    int rc = stream_block(&p->stream, &block, &p->broken);

    if (rc < 0) {
        archive_set_error(tar, EIO, "the stream broke off");
        return ARCHIVE_FATAL;
    }
    *out = rc == 1 ? block.ptr : NULL;
    return rc == 1 ? (la_ssize_t)block.len : 0;
}

static int
tar_failed(struct postgres *p, struct err *e)
{
    const char *why = archive_error_string(p->tar);

    if (p->broken.kind != ERR_NONE) {
        *e = p->broken;
        return -1;
    }
    return err_set(e, ERR_SOURCE, 0, "PostgreSQL: the server's archive is damaged: %s",
                   why ? why : "no reason was given");
}

static int
open_tar(struct postgres *p, struct err *e)
{
    p->tar = archive_read_new();
    if (!p->tar)
        return err_set(e, ERR_IO, ENOMEM, "out of memory");
    return archive_read_support_format_tar(p->tar) != ARCHIVE_OK
                || archive_read_open(p->tar, p, NULL, give_block, NULL) != ARCHIVE_OK
             ? tar_failed(p, e)
             : 0;
}

/* The path in the manifest: without "./" before it and a slash at its end, a
 * tablespace's below its place. */
static int
take_path(struct postgres *p, const char *name, struct err *e)
{
    if (name && strncmp(name, "./", 2) == 0)
        name += 2;
    size_t len = name ? strlen(name) : 0;
    while (len > 0 && name[len - 1] == '/')
        len--;
    buf_clear(&p->path);
    if (len + 64 > ENTRY_PATH_MAX)
        return err_set(e, ERR_SOURCE, 0,
                       "PostgreSQL: the server sent a path of %zu bytes", len);
    if (p->stream.oid[0])
        buf_printf(&p->path, "pg_tblspc/%s/", p->stream.oid);
    buf_put(&p->path, name, len);
    if (!entry_path_valid(buf_slice(&p->path)))
        return err_set(e, ERR_SOURCE, 0, "PostgreSQL: the server sent the path %s",
                       text_of_name(buf_slice(&p->path)));
    return 0;
}

/* The link to a tablespace becomes the folder that has its files. */
static bool
is_tablespace(const struct postgres *p)
{
    static const char above[] = "pg_tblspc/";
    size_t len = sizeof above - 1;

    return p->path.len > len && memcmp(p->path.ptr, above, len) == 0
        && !memchr(p->path.ptr + len, '/', p->path.len - len);
}

/* "base/5/1259" is a relation; "1259_vm" and "1259.1" belong to it. */
static bool
is_relation(struct slice path)
{
    AUTOFREE char *text = mem_printf("%.*s", (int)path.len, (const char *)path.ptr);
    const char *name = strrchr(text, '/');

    return name && name[1] && strspn(name + 1, "0123456789") == strlen(name + 1)
        && (text_match("base/*/*", text) || text_match("global/*", text)
            || text_match("pg_tblspc/*/*/*/*", text));
}

static int
take_entry(struct postgres *p, struct archive_entry *from, struct entry *out,
           struct err *e)
{
    mode_t type = archive_entry_filetype(from);

    if (take_path(p, archive_entry_pathname(from), e) < 0)
        return -1;
    *out = (struct entry){ .path = buf_slice(&p->path),
                           .type = entry_type_of(type),
                           .mode = archive_entry_perm(from) & 07777,
                           .uid = (uint32_t)archive_entry_uid(from),
                           .gid = (uint32_t)archive_entry_gid(from),
                           .mtime_s = archive_entry_mtime(from),
                           .mtime_ns = (uint32_t)archive_entry_mtime_nsec(from),
                           .ctime_s = p->now.s,
                           .ctime_ns = (uint32_t)p->now.ns };
    buf_clear(&p->target);
    if (out->type == ENTRY_LINK && is_tablespace(p)) {
        out->type = ENTRY_DIR;
        out->mode = 0700;
    } else if (out->type == ENTRY_LINK) {
        const char *target = archive_entry_symlink(from);
        buf_put_str(&p->target, target && strlen(target) < p->target.max ? target : "");
    } else if (out->type == ENTRY_FILE) {
        out->size = (uint64_t)archive_entry_size(from);
        p->relations += is_relation(out->path);
    } else if (out->type != ENTRY_DIR) {
        return err_set(e, ERR_SOURCE, 0, "PostgreSQL: %s is neither file nor folder",
                       text_of_name(out->path));
    }
    buf_clear(&p->user);
    buf_clear(&p->group);
    const char *user = archive_entry_uname(from), *group = archive_entry_gname(from);
    buf_put_str(&p->user, user && strlen(user) < p->user.max ? user : "");
    buf_put_str(&p->group, group && strlen(group) < p->group.max ? group : "");
    return 1;
}

/* What tells whether the copy is whole; pg_verifybackup(1) reads it. */
static void
give_manifest(struct postgres *p, struct entry *out)
{
    buf_clear(&p->path);
    buf_put_str(&p->path, "backup_manifest");
    p->rest = slice_of(NULL, 0);
    *out = source_made(buf_slice(&p->path), p->now);
}

static int
postgres_next(struct source *s, struct entry *out, struct err *e)
{
    struct postgres *p = postgres_of(s);

    if (!p->begun) {
        if (stream_begin(&p->stream, p->conf, &s->facts, e) < 0)
            return -1;
        p->begun = true;
        s->expected = p->stream.expected;
    }
    while (p->stream.part != PART_END || p->tar) {
        struct archive_entry *from = NULL;
        int rc = p->tar ? archive_read_next_header(p->tar, &from) : ARCHIVE_EOF;
        if (rc == ARCHIVE_OK)
            return take_entry(p, from, out, e);
        if (rc != ARCHIVE_EOF)
            return tar_failed(p, e);
        close_tar(p);
        if (stream_next(&p->stream, &s->facts, e) < 0)
            return -1;
        if (p->stream.part == PART_ARCHIVE && open_tar(p, e) < 0)
            return -1;
        if (p->stream.part == PART_MANIFEST) {
            give_manifest(p, out);
            return 1;
        }
    }
    facts_put_number(&s->facts, "relations", p->relations);
    return 0;
}

static int
postgres_describe(struct source *s, struct entry *en, struct err *e)
{
    struct postgres *p = postgres_of(s);

    (void)e;
    en->user = buf_slice(&p->user);
    en->group = buf_slice(&p->group);
    en->target = en->type == ENTRY_LINK ? buf_slice(&p->target) : slice_of(NULL, 0);
    return 1;
}

static int
postgres_read_begin(struct source *s, struct entry *en, struct err *e)
{
    (void)s;
    (void)en;
    (void)e;
    return 1;
}

static int
read_manifest(struct postgres *p, uint8_t *out, size_t len, size_t *got, struct err *e)
{
    if (p->rest.len == 0 && stream_block(&p->stream, &p->rest, e) < 0)
        return -1;
    *got = p->rest.len < len ? p->rest.len : len;
    if (*got > 0)
        memcpy(out, p->rest.ptr, *got);
    p->rest = slice_sub(p->rest, *got, p->rest.len - *got);
    return 0;
}

static int
postgres_read(struct source *s, uint8_t *out, size_t len, size_t *got, uint64_t *hole,
              struct err *e)
{
    struct postgres *p = postgres_of(s);

    (void)hole;
    if (!p->tar)
        return read_manifest(p, out, len, got, e);
    la_ssize_t n = archive_read_data(p->tar, out, len);
    if (n < 0)
        return tar_failed(p, e);
    *got = (size_t)n;
    return 0;
}

static int
postgres_read_end(struct source *s, bool *changed, struct err *e)
{
    (void)s;
    (void)changed; /* never: it comes once */
    (void)e;
    return 0;
}

static void
postgres_close(struct source *s)
{
    struct postgres *p = postgres_of(s);

    close_tar(p);
    stream_end(&p->stream);
    buf_release(&p->path);
    buf_release(&p->target);
    buf_release(&p->user);
    buf_release(&p->group);
    mem_free(p);
}

static const struct source_ops postgres_ops = {
    .traits = SOURCE_WHOLE | SOURCE_UNORDERED,
    .moved = "is another database system",
    .next = postgres_next,
    .describe = postgres_describe,
    .read_begin = postgres_read_begin,
    .read = postgres_read,
    .read_end = postgres_read_end,
    .close = postgres_close,
};

int
postgres_open(const struct conf_source *c, const struct source_options *o,
              struct source **out, struct err *e)
{
    if (c->postgres.logical)
        return postgres_dump_open(c, o, out, e);
    struct postgres *p = mem_zalloc(sizeof *p);

    p->base = (struct source){ .ops = &postgres_ops, .opt = *o, .facts = BUF(FACTS_MAX) };
    p->conf = c;
    p->now = clock_now();
    p->path = BUF(ENTRY_PATH_MAX);
    p->target = BUF(4096);
    p->user = p->group = BUF(256);
    if (stream_open(&p->stream, c, &p->base.facts, &p->base.identity, e) < 0) {
        source_close(&p->base);
        return -1;
    }
    *out = &p->base;
    return 0;
}
