#include "source/facts.h"

#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

void
facts_put(struct buf *f, const char *name, const char *value)
{
    struct slice n = slice_str(name), v = slice_str(value);

    if (n.len == 0 || !text_is_utf8(n) || !text_is_utf8(v)
        || n.len + v.len + 2 > f->max - f->len) {
        log_info("the fact %s is left out", text_of_name(n));
        return;
    }
    buf_put(f, name, n.len + 1);
    buf_put(f, value, v.len + 1);
}

void
facts_put_number(struct buf *f, const char *name, uint64_t n)
{
    char text[24];

    snprintf(text, sizeof text, "%llu", (unsigned long long)n);
    facts_put(f, name, text);
}

/* The bytes up to the next NUL; NULL: there is none. */
static const char *
take(struct slice *rest)
{
    const char *s = (const char *)rest->ptr;
    const uint8_t *end = rest->len ? memchr(rest->ptr, 0, rest->len) : NULL;

    if (!end)
        return NULL;
    *rest = slice_sub(*rest, (size_t)(end - rest->ptr) + 1,
                      rest->len - (size_t)(end - rest->ptr) - 1);
    return s;
}

bool
facts_next(struct slice *rest, const char **name, const char **value)
{
    *name = take(rest);
    *value = *name ? take(rest) : NULL;
    return *value != NULL;
}

const char *
facts_get(struct slice facts, const char *name)
{
    const char *n, *v;

    while (facts_next(&facts, &n, &v))
        if (strcmp(n, name) == 0)
            return v;
    return NULL;
}

bool
facts_valid(struct slice facts)
{
    const char *n, *v;

    while (facts.len > 0)
        if (!facts_next(&facts, &n, &v) || !n[0] || !text_is_utf8(slice_str(n))
            || !text_is_utf8(slice_str(v)))
            return false;
    return true;
}
