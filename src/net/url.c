#include "net/url.h"

#include "base/text.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

#define URL_MAX 2048 /* bytes */

static bool
unreserved(uint8_t c)
{
    return isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

void
url_encode(struct buf *out, struct slice text, bool path)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (unreserved(c) || (path && c == '/')) {
            buf_put_u8(out, c);
            continue;
        }
        buf_put_u8(out, '%');
        buf_put_u8(out, (uint8_t)digits[c >> 4]);
        buf_put_u8(out, (uint8_t)digits[c & 15]);
    }
}

static int
digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (uint8_t)tolower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
url_decode(struct buf *out, struct slice text)
{
    size_t before = out->len;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '%') {
            int high = i + 2 < text.len ? digit(text.ptr[i + 1]) : -1;
            int low = high >= 0 ? digit(text.ptr[i + 2]) : -1;
            if (low < 0) {
                out->len = before;
                return false;
            }
            c = (uint8_t)(high << 4 | low);
            i += 2;
        }
        buf_put_u8(out, c);
    }
    return true;
}

static int
compare_fields(const struct field *a, const struct field *b)
{
    int c = strcmp(a->name, b->name);

    return c ? c : strcmp(a->value, b->value);
}

void
url_query(struct buf *out, const struct field *fields, size_t count)
{
    struct field sorted[URL_FIELDS_MAX];

    assert(count <= URL_FIELDS_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        while (at > 0 && compare_fields(&sorted[at - 1], &fields[i]) > 0) {
            sorted[at] = sorted[at - 1];
            at--;
        }
        sorted[at] = fields[i];
    }
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_put_u8(out, '&');
        url_encode(out, slice_str(sorted[i].name), false);
        buf_put_u8(out, '=');
        url_encode(out, slice_str(sorted[i].value), false);
    }
}

void
url_release(struct url *u)
{
    mem_free(u->scheme);
    mem_free(u->host);
    mem_free(u->path);
    *u = (struct url){ 0 };
}

void
url_authority(struct buf *out, const struct url *u)
{
    unsigned usual = strcmp(u->scheme, "https") == 0 ? 443
                     : strcmp(u->scheme, "http") == 0 ? 80 : 0;

    buf_printf(out, strchr(u->host, ':') ? "[%s]" : "%s", u->host);
    if (u->port != 0 && u->port != usual)
        buf_printf(out, ":%u", u->port);
}

/* host, host:port, [IPv6] or [IPv6]:port */
static int
parse_authority(struct url *u, struct slice text, struct err *e)
{
    bool v6 = text.len > 0 && text.ptr[0] == '[';
    const uint8_t *end = v6 ? memchr(text.ptr, ']', text.len)
                            : memchr(text.ptr, ':', text.len);
    struct slice host = text;
    uint64_t port = 0;

    if (v6 && !end)
        return err_set(e, ERR_USAGE, 0, "the URL has a '[' without its ']'");
    if (end) {
        size_t len = (size_t)(end - text.ptr);
        struct slice rest = slice_sub(text, len + v6, text.len - len - v6);
        AUTOFREE char *number = mem_printf("%.*s", (int)rest.len, (const char *)rest.ptr);
        host = slice_sub(text, v6, len - v6);
        if (rest.len > 0 && (number[0] != ':' || !text_uint(number + 1, 65535, &port)
                             || port == 0))
            return err_set(e, ERR_USAGE, 0, "the URL has a wrong port");
    }
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.ptr[i];
        if (v6 ? !isxdigit(c) && c != ':' && c != '.' : !unreserved(c) || c == '~')
            return err_set(e, ERR_USAGE, 0, "the URL has a wrong host name");
    }
    u->host = mem_printf("%.*s", (int)host.len, (const char *)host.ptr);
    u->port = (unsigned)port;
    return 0;
}

static int
parse_path(struct url *u, struct slice text, struct err *e)
{
    AUTOBUF struct buf path = BUF(URL_MAX + 1);

    if (memchr(text.ptr, '?', text.len) || memchr(text.ptr, '#', text.len))
        return err_set(e, ERR_USAGE, 0,
                       "the URL has a '?' or '#'; in a path write them as %%3F and %%23");
    if (!url_decode(&path, text) || (path.len > 0 && memchr(path.ptr, 0, path.len)))
        return err_set(e, ERR_USAGE, 0,
                       "the URL has a broken %% escape; write a plain '%%' as %%25");
    u->path = mem_strdup(buf_cstr(&path));
    return 0;
}

int
url_parse(struct url *out, const char *text, struct err *e)
{
    const char *colon = strstr(text, "://");
    CLEANUP(url_release) struct url u = { 0 };

    if (!colon || colon == text)
        return err_set(e, ERR_USAGE, 0,
                       "a URL begins with a scheme, such as file:///path "
                       "or s3://bucket/prefix");
    const char *at = colon + 3;
    const char *slash = strchr(at, '/');
    size_t len = slash ? (size_t)(slash - at) : strcspn(at, "?#");
    if (memchr(at, '@', len))
        return err_set(e, ERR_USAGE, 0,
                       "credentials do not belong in a URL, which is shown "
                       "in messages; use `credentials:`");
    if (strlen(text) > URL_MAX)
        return err_set(e, ERR_USAGE, 0, "the URL is longer than %d bytes", URL_MAX);
    u.scheme = mem_printf("%.*s", (int)(colon - text), text);
    for (char *p = u.scheme; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    if (parse_authority(&u, slice_of(at, len), e) < 0
        || parse_path(&u, slice_str(at + len), e) < 0)
        return -1;
    *out = u;
    u = (struct url){ 0 };
    return 0;
}
