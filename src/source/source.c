#include "source/source.h"
#include "driver.h"

#include <assert.h>
#include <unistd.h>

/* The one list of kinds, by enum source_kind. */
static int (*const kinds[])(const struct conf_source *, const struct source_options *,
                            struct source **, struct err *) = {
    [SOURCE_FILES] = files_open,
    [SOURCE_COMMAND] = command_open,
    [SOURCE_POSTGRES] = postgres_open,
    [SOURCE_SQLITE] = sqlite_open,
    [SOURCE_REDIS] = redis_open,
    [SOURCE_MARIADB] = mariadb_open,
    [SOURCE_BUCKET] = bucket_open,
};

int
source_open(const struct conf_source *c, const struct source_options *o,
            struct source **out, struct err *e)
{
    assert((size_t)c->kind < COUNT_OF(kinds));
    assert(o->tmp_dir);

    if (kinds[c->kind](c, o, out, e) < 0)
        return -1;
    assert((*out)->identity && (*out)->ops->moved);
    return 0;
}

int
source_next(struct source *s, struct entry *out, struct err *e)
{
    s->reading = false;
    int rc = s->ops->next(s, out, e);

    assert(rc >= 0 || e->kind != ERR_NONE);
    assert(rc != 1 || out->path.len <= ENTRY_PATH_MAX);
    s->given = rc == 1;
    return rc;
}

int
source_describe(struct source *s, struct entry *en, struct err *e)
{
    assert(s->given);
    int rc = s->ops->describe(s, en, e);

    assert(rc >= 0 || e->kind != ERR_NONE);
    assert(en->xattrs.len <= ENTRY_XATTR_MAX);
    return rc;
}

int
source_read_begin(struct source *s, struct entry *en, struct err *e)
{
    assert(s->given);
    assert(en->type == ENTRY_FILE);
    int rc = s->ops->read_begin(s, en, e);

    assert(rc >= 0 || e->kind != ERR_NONE);
    s->reading = rc == 1;
    return rc;
}

int
source_read(struct source *s, uint8_t *out, size_t len, size_t *got, uint64_t *hole,
            struct err *e)
{
    assert(s->reading);
    assert(len > 0);
    *got = 0;
    *hole = 0;
    int rc = s->ops->read(s, out, len, got, hole, e);

    assert(rc == 0 || (rc == -1 && e->kind != ERR_NONE));
    assert(*got <= len);
    assert(*got == 0 || *hole == 0);
    return rc;
}

int
source_read_end(struct source *s, bool *changed, struct err *e)
{
    assert(s->reading);
    s->reading = false;
    *changed = false;
    int rc = s->ops->read_end(s, changed, e);

    assert(rc == 0 || (rc == -1 && e->kind != ERR_NONE));
    return rc;
}

struct entry
source_made(struct slice path, struct clock_time now)
{
    return (struct entry){ .path = path,
                           .type = ENTRY_FILE,
                           .mode = 0600,
                           .uid = geteuid(),
                           .gid = getegid(),
                           .size = SOURCE_SIZE_UNKNOWN,
                           .mtime_s = now.s,
                           .mtime_ns = (uint32_t)now.ns,
                           .ctime_s = now.s,
                           .ctime_ns = (uint32_t)now.ns };
}

void
source_report(struct source *s, enum source_issue kind, struct slice path,
              const char *why)
{
    if (s->opt.issue)
        s->opt.issue(s->opt.arg, kind, path, why);
}

unsigned
source_traits(const struct source *s)
{
    return s->ops->traits;
}

const char *
source_identity(const struct source *s)
{
    return s->identity;
}

const char *
source_moved(const struct source *s)
{
    return s->ops->moved;
}

uint64_t
source_expected(const struct source *s)
{
    return s->expected;
}

struct slice
source_facts(const struct source *s)
{
    return buf_slice(&s->facts);
}

void
source_close(struct source *s)
{
    if (!s)
        return;
    mem_free(TAKE(s->identity));
    buf_release(&s->facts);
    s->ops->close(s);
}
