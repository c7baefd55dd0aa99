#include "base/err.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int number;
    const char *meaning;
} statuses[] = {
#define X(name, number, meaning) { #name, number, meaning },
    STATUSES(X)
#undef X
};

static const struct {
    const char *name;
    enum status status;
    bool retry;
} kinds[] = {
    { "none", STATUS_OK, false },
#define X(name, status, retry) { #name, STATUS_##status, retry },
    ERR_KINDS(X)
#undef X
};

/* "NO_QUORUM" -> "no-quorum"; a ring of buffers, so two may be printed at once. */
static const char *
kebab(const char *name)
{
    static _Thread_local char ring[4][24];
    static _Thread_local unsigned next;
    char *out = ring[next++ % 4];
    size_t i;

    for (i = 0; name[i] && i < sizeof ring[0] - 1; i++)
        out[i] = name[i] == '_' ? '-' : (char)tolower((unsigned char)name[i]);
    out[i] = 0;
    return out;
}

int
status_number(enum status s)
{
    assert(s < STATUS_COUNT);
    return statuses[s].number;
}

const char *
status_name(enum status s)
{
    assert(s < STATUS_COUNT);
    return kebab(statuses[s].name);
}

const char *
status_meaning(enum status s)
{
    assert(s < STATUS_COUNT);
    return statuses[s].meaning;
}

enum status
status_worse(enum status a, enum status b)
{
    return a < b ? a : b;
}

int
err_set(struct err *e, enum err_kind kind, int cause, const char *fmt, ...)
{
    va_list ap;

    assert(kind != ERR_NONE);
    e->kind = kind;
    e->cause = cause;
    e->retry_after_s = 0;
    e->where[0] = 0;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
    return -1;
}

static enum err_kind
kind_of_errno(int cause)
{
    switch (cause) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return ERR_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_FULL;
    case EEXIST:
        return ERR_EXISTS;
    default:
        return ERR_IO;
    }
}

int
err_sys(struct err *e, int cause, const char *fmt, ...)
{
    va_list ap;
    char what[sizeof e->text];

    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    what[400] = 0; /* leaves room for the description */
    return err_set(e, kind_of_errno(cause), cause, "%s: %s", what, strerror(cause));
}

int
err_in(struct err *e, const char *fmt, ...)
{
    char old[sizeof e->where];
    va_list ap;

    assert(e->kind != ERR_NONE);
    memcpy(old, e->where, sizeof old);
    va_start(ap, fmt);
    vsnprintf(e->where, sizeof e->where, fmt, ap);
    va_end(ap);
    size_t len = strlen(e->where);
    if (old[0] && len + 3 < sizeof e->where)
        snprintf(e->where + len, sizeof e->where - len, ": %.*s",
                 (int)(sizeof e->where - len - 3), old);
    return -1;
}

const char *
err_text(const struct err *e)
{
    static _Thread_local char out[sizeof e->where + sizeof e->text + 4];

    snprintf(out, sizeof out, "%s%s%s", e->where, e->where[0] ? ": " : "", e->text);
    return out;
}

enum status
err_status(enum err_kind kind)
{
    return kinds[kind].status;
}

const char *
err_name(enum err_kind kind)
{
    return kebab(kinds[kind].name);
}

bool
err_retryable(enum err_kind kind)
{
    return kinds[kind].retry;
}
