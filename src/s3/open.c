/*
 * Where a bucket is, and what is kept of it until the end.
 */
#include "s3/s3.h"

#include "base/text.h"

#include <ctype.h>
#include <string.h>

static void
wipe(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    mem_free(secret);
}

void
s3_free(struct s3 *s)
{
    if (!s)
        return;
    http_free(s->http);
    mem_free(s->bucket);
    mem_free(s->prefix);
    mem_free(s->origin);
    mem_free(s->host);
    mem_free(s->path);
    mem_free(s->region);
    mem_free(s->url);
    mem_free(s->place);
    mem_free(s->access_key);
    wipe(s->secret_key);
    wipe(s->session_token);
    mem_free(s);
}

static bool
bucket_valid(const char *bucket)
{
    size_t len = strlen(bucket);

    for (const char *p = bucket; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("-._", *p))
            return false;
    return len >= 3 && len <= 255 && isalnum((unsigned char)bucket[0]);
}

/* A blank or line end that came along from a file would end up in a header
 * field, and be told as a wrong signature at best. */
static int
check_key(const char *what, const char *key, struct err *e)
{
    for (const char *p = key ? key : ""; *p; p++)
        if (!isgraph((unsigned char)*p))
            return err_set(e, ERR_DENIED, 0,
                           "the %s has a blank or control character in it", what);
    return 0;
}

/* Where requests go: Amazon wants the bucket in the host name, most others take
 * it in the path. A bucket with dots fits no wildcard certificate. */
static int
find_place(struct s3 *s, const struct s3_options *o, struct err *e)
{
    AUTOFREE char *usual = mem_printf("https://s3.%s.amazonaws.com", o->region);
    const char *endpoint = o->endpoint ? o->endpoint : usual;
    CLEANUP(url_release) struct url u = { 0 };
    AUTOBUF struct buf host = BUF(512);

    if (url_parse(&u, endpoint, e) < 0)
        return err_in(e, "endpoint");
    bool web = strcmp(u.scheme, "https") == 0 || strcmp(u.scheme, "http") == 0;
    if (!web || !u.host[0] || strlen(u.host) > 255
        || (u.path[0] && strcmp(u.path, "/") != 0))
        return err_set(e, ERR_USAGE, 0, "an endpoint is http[s]://host[:port], not %s",
                       endpoint);
    url_authority(&host, &u);
    bool amazon = strstr(u.host, ".amazonaws.com") != NULL;
    bool in_host = o->style == STYLE_HOST
                || (o->style == STYLE_AUTO && amazon && !strchr(o->bucket, '.'));
    s->host = in_host ? mem_printf("%s.%s", o->bucket, buf_cstr(&host))
                      : mem_strdup(buf_cstr(&host));
    s->origin = mem_printf("%s://%s", u.scheme, s->host);
    s->path = in_host ? mem_strdup("/") : mem_printf("/%s/", o->bucket);
    s->place = mem_printf("%s at %s://%s", s->url, u.scheme, buf_cstr(&host));
    return 0;
}

int
s3_new(const struct s3_options *o, struct s3 **out, struct err *e)
{
    const char *prefix = o->prefix ? o->prefix : "";
    struct http_options http = { .ca = o->ca, .limits = o->limits };

    if (!bucket_valid(o->bucket))
        return err_set(e, ERR_USAGE, 0, "%s cannot be the name of a bucket",
                       text_of_name(slice_str(o->bucket)));
    if (check_key("access key", o->access_key, e) < 0
        || check_key("secret key", o->secret_key, e) < 0
        || check_key("session token", o->session_token, e) < 0)
        return -1;
    struct s3 *s = mem_zalloc(sizeof *s);
    s->url = mem_printf("s3://%s%s%s", o->bucket, prefix[0] ? "/" : "", prefix);
    s->bucket = mem_strdup(o->bucket);
    s->prefix = mem_printf("%s%s", prefix, prefix[0] ? "/" : "");
    s->region = mem_strdup(o->region);
    s->access_key = mem_strdup(o->access_key);
    s->secret_key = mem_strdup(o->secret_key);
    s->session_token = mem_strdup(o->session_token);
    s->page = o->page ? o->page : 1000;
    if (find_place(s, o, e) < 0) {
        s3_free(s);
        return -1;
    }
    s->http = http_new(&http);
    *out = s;
    return 0;
}
