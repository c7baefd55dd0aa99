/*
 * Configuration first, then the environment, then the shared credentials
 * file: the order of Amazon's own tools. A profile named in the configuration
 * is the configuration, and the environment does not stand before it.
 */
#include "s3/s3.h"

#include "base/fs.h"
#include "conf/env.h"
#include "conf/secret.h"

#include <ctype.h>
#include <string.h>

#define FILE_MAX ((size_t)1 << 20) /* bytes */

struct credentials {
    struct buf access_key, secret_key, session_token;
};

#define CREDENTIALS                                                  \
    ((struct credentials){ BUF(SECRET_MAX + 1), BUF(SECRET_MAX + 1), \
                           BUF(SECRET_MAX + 1) })

static void
wipe(struct buf *b)
{
    if (b->ptr)
        explicit_bzero(b->ptr, b->cap);
    buf_release(b);
}

static void
credentials_release(struct credentials *c)
{
    wipe(&c->access_key);
    wipe(&c->secret_key);
    wipe(&c->session_token);
}

static int
from_conf(const struct conf_credentials *t, struct credentials *out, struct err *e)
{
    if (t->secret_key.from == SECRET_NONE)
        return err_set(e, ERR_USAGE, 0, "credentials: access-key without secret-key");
    if (secret_resolve(&t->access_key, &out->access_key, e) < 0
        || secret_resolve(&t->secret_key, &out->secret_key, e) < 0)
        return err_in(e, "credentials");
    if (t->session_token.from != SECRET_NONE
        && secret_resolve(&t->session_token, &out->session_token, e) < 0)
        return err_in(e, "credentials");
    return 0;
}

static bool
from_env(struct credentials *out)
{
    const char *access = env_get("AWS_ACCESS_KEY_ID");
    const char *secret = env_get("AWS_SECRET_ACCESS_KEY");
    const char *token = env_get("AWS_SESSION_TOKEN");

    if (!access || !secret || strlen(access) > SECRET_MAX || strlen(secret) > SECRET_MAX)
        return false;
    buf_put_str(&out->access_key, access);
    buf_put_str(&out->secret_key, secret);
    if (token && strlen(token) <= SECRET_MAX)
        buf_put_str(&out->session_token, token);
    return true;
}

static struct slice
trim(struct slice s)
{
    while (s.len > 0 && isspace(s.ptr[0]))
        s = slice_sub(s, 1, s.len - 1);
    while (s.len > 0 && isspace(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

static void
take_setting(struct credentials *out, struct slice name, struct slice value)
{
    struct buf *to = slice_equal(name, SLICE("aws_access_key_id"))     ? &out->access_key
                   : slice_equal(name, SLICE("aws_secret_access_key")) ? &out->secret_key
                   : slice_equal(name, SLICE("aws_session_token")) ? &out->session_token
                                                                   : NULL;

    if (!to || value.len > SECRET_MAX)
        return;
    buf_clear(to);
    buf_put_slice(to, value);
}

/* [profile], then lines name = value; # and ; begin a comment. */
static void
parse_file(struct slice text, const char *profile, struct credentials *out)
{
    AUTOFREE char *wanted = mem_printf("[%s]", profile);
    bool mine = false;

    while (text.len > 0) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - text.ptr) : text.len;
        struct slice line = trim(slice_sub(text, 0, len));
        text = slice_sub(text, len + (end != NULL), text.len - len - (end != NULL));
        if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == ';')
            continue;
        if (line.ptr[0] == '[') {
            mine = slice_equal(line, slice_str(wanted));
            continue;
        }
        const uint8_t *equals = memchr(line.ptr, '=', line.len);
        if (!mine || !equals)
            continue;
        size_t at = (size_t)(equals - line.ptr);
        take_setting(out, trim(slice_sub(line, 0, at)),
                     trim(slice_sub(line, at + 1, line.len - at - 1)));
    }
}

static int
from_file(const struct conf_credentials *t, struct credentials *out, struct err *e)
{
    const char *named = t->file ? t->file : env_get("AWS_SHARED_CREDENTIALS_FILE");
    const char *profile = t->profile ? t->profile : env_get("AWS_PROFILE");
    AUTOFREE char *path = env_path(named ? named : "~/.aws/credentials");
    CLEANUP(wipe) struct buf text = BUF(FILE_MAX);
    struct err why;

    profile = profile ? profile : "default";
    if (fs_read(path, FILE_MAX, &text, &why) < 0) {
        if (named || t->profile)
            return err_set(e, ERR_DENIED, why.cause, "the credentials: %s", why.text);
        return err_set(e, ERR_DENIED, 0,
                       "no credentials: neither `credentials:` in the configuration nor "
                       "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY nor %s",
                       path);
    }
    parse_file(buf_slice(&text), profile, out);
    if (out->access_key.len == 0 || out->secret_key.len == 0)
        return err_set(e, ERR_DENIED, 0,
                       "%s has no access key and secret key for the "
                       "profile %s",
                       path, profile);
    return 0;
}

static int
find_credentials(const struct conf_credentials *t, struct credentials *out, struct err *e)
{
    if (t->access_key.from != SECRET_NONE)
        return from_conf(t, out, e);
    if (!t->profile && !t->file && from_env(out))
        return 0;
    return from_file(t, out, e);
}

static const char *
first(const char *a, const char *b, const char *c, const char *d)
{
    return a ? a : b ? b : c ? c : d;
}

int
s3_open(const struct s3_conf *t, const struct url *u, struct s3 **out, struct err *e)
{
    CLEANUP(credentials_release) struct credentials c = CREDENTIALS;
    const char *from = u->path;
    size_t len;

    while (*from == '/')
        from++;
    for (len = strlen(from); len > 0 && from[len - 1] == '/'; len--)
        continue;
    AUTOFREE char *prefix = mem_printf("%.*s", (int)len, from);
    if (u->port != 0)
        return err_set(e, ERR_USAGE, 0, "s3://%s has a port; that belongs to `endpoint:`",
                       u->host);
    if (find_credentials(t->credentials, &c, e) < 0)
        return -1;
    struct s3_options o = {
        .bucket = u->host,
        .prefix = prefix,
        .endpoint = first(t->endpoint, env_get("AWS_ENDPOINT_URL_S3"),
                          env_get("AWS_ENDPOINT_URL"), NULL),
        .region = first(t->region, env_get("AWS_REGION"), env_get("AWS_DEFAULT_REGION"),
                        "us-east-1"),
        .ca = first(t->ca, env_get("AWS_CA_BUNDLE"), NULL, NULL),
        .style = (int)t->style,
        .access_key = buf_cstr(&c.access_key),
        .secret_key = buf_cstr(&c.secret_key),
        .session_token = c.session_token.len ? buf_cstr(&c.session_token) : NULL,
    };
    return s3_new(&o, out, e);
}
