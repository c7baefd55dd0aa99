#include "s3/s3.h"

#include "base/clock.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "net/sign_s3.h"
#include "net/url.h"
#include "s3/xml.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX ((size_t)16384)
#define SKEW_MAX_S (14 * 60)  /* servers refuse what is 15 minutes off */
#define RETRY_AFTER_MAX_S 120 /* no server may make us wait longer than this */

/* The one list of what servers answer: the object and its place, or the place
 * alone, stand before the text. */
static const struct {
    const char *code;
    enum err_kind kind;
    const char *text;
} codes[] = {
    { "NoSuchBucket", ERR_NO_TARGET, "does not exist" },
    { "NoSuchKey", ERR_NOT_FOUND, "does not exist" },
    { "NoSuchVersion", ERR_NOT_FOUND, "does not exist in this version" },
    { "AccessDenied", ERR_DENIED,
      "was refused; check the credentials and what they may do" },
    { "AllAccessDisabled", ERR_DENIED, "was refused; all access is disabled there" },
    { "AccountProblem", ERR_DENIED, "was refused; the account has a problem" },
    { "InvalidAccessKeyId", ERR_DENIED,
      "was refused; the access key is not known there, check the credentials" },
    { "SignatureDoesNotMatch", ERR_DENIED,
      "was refused; the secret key is wrong, check the credentials" },
    { "ExpiredToken", ERR_DENIED, "was refused; the session token has expired" },
    { "InvalidToken", ERR_DENIED, "was refused; the session token is wrong" },
    { "InvalidObjectState", ERR_UNSUPPORTED, "is in an archive tier; thaw it first" },
    { "SlowDown", ERR_THROTTLED, "asks for fewer requests" },
    { "TooManyRequests", ERR_THROTTLED, "asks for fewer requests" },
    { "ServiceUnavailable", ERR_THROTTLED, "asks for fewer requests" },
    { "InternalError", ERR_UNAVAIL, "had an internal error" },
    { "RequestTimeout", ERR_UNAVAIL, "waited too long for our bytes" },
    { "IncompleteBody", ERR_UNAVAIL, "did not get all of our bytes" },
    { "OperationAborted", ERR_UNAVAIL, "is busy with another change of it" },
    { "ConditionalRequestConflict", ERR_UNAVAIL, "is busy with another change of it" },
    { "PreconditionFailed", ERR_EXISTS, "exists" },
    { "InsufficientStorage", ERR_FULL, "has no space left" },
    { "QuotaExceeded", ERR_FULL, "has reached its quota" },
    { "XMinioStorageFull", ERR_FULL, "has no space left" },
    { "BadDigest", ERR_CORRUPT, "did not get the bytes that were announced" },
    { "InvalidDigest", ERR_CORRUPT, "did not get the bytes that were announced" },
    { "XAmzContentSHA256Mismatch", ERR_CORRUPT,
      "did not get the bytes that were announced" },
    { "XAmzContentChecksumMismatch", ERR_CORRUPT,
      "did not get the bytes that were announced" },
};

struct failure {
    char code[64];
    char message[160];
    char region[64];
};

/* Error bodies have one level; a leaf's name is enough. */
static void
take_leaf(void *arg, const char *path, const char *text)
{
    struct failure *f = arg;

    if (strcmp(path, "Error/Code") == 0)
        snprintf(f->code, sizeof f->code, "%s", text);
    else if (strcmp(path, "Error/Message") == 0)
        snprintf(f->message, sizeof f->message, "%s", text);
    else if (strcmp(path, "Error/Region") == 0)
        snprintf(f->region, sizeof f->region, "%s", text);
}

static enum err_kind
kind_of_status(int status)
{
    if (status < 300) /* an unknown fault within a good answer */
        return ERR_UNAVAIL;
    if (status == 401 || status == 403)
        return ERR_DENIED;
    if (status == 404)
        return ERR_NOT_FOUND;
    if (status == 412)
        return ERR_EXISTS;
    if (status == 408 || status == 425)
        return ERR_UNAVAIL;
    if (status == 429 || status == 503)
        return ERR_THROTTLED;
    if (status == 507)
        return ERR_FULL;
    return status >= 500 && status != 501 ? ERR_UNAVAIL : ERR_UNSUPPORTED;
}

static const char *
text_of_kind(enum err_kind kind)
{
    switch (kind) {
    case ERR_DENIED:
        return "was refused; check the credentials and what they may do";
    case ERR_NOT_FOUND:
        return "does not exist";
    case ERR_EXISTS:
        return "exists";
    case ERR_THROTTLED:
        return "asks for fewer requests";
    case ERR_FULL:
        return "has no space left";
    case ERR_UNAVAIL:
        return "has a fault";
    default:
        return "did not accept the request";
    }
}

int
s3_failed(const struct s3 *s, const char *key, int status, const char *code,
          const char *message, struct err *e)
{
    enum err_kind kind = kind_of_status(status);
    const char *text = text_of_kind(kind);
    AUTOFREE char *about = key ? mem_printf("%s in %s", text_of_name(slice_str(key)),
                                            s->place)
                               : mem_strdup(s->place);
    AUTOFREE char *told = mem_printf("%s%s%s", code, message[0] ? ": " : "", message);

    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        if (strcmp(code, codes[i].code) != 0)
            continue;
        kind = codes[i].kind;
        text = codes[i].text;
    }
    return err_set(e, kind, status, "%s %s (%d%s%s)", about, text, status,
                   told[0] ? " " : "", text_of_name(slice_str(told)));
}

static int
wrong_region(const struct s3 *s, const char *region, int status, struct err *e)
{
    if (region && region[0] && strcmp(region, s->region) != 0)
        return err_set(e, ERR_NO_TARGET, status,
                       "bucket %s belongs to the region %s, not to "
                       "%s; set `region: %s` for %s",
                       s->bucket, text_of_name(slice_str(region)), s->region,
                       text_of_name(slice_str(region)), s->place);
    return err_set(e, ERR_NO_TARGET, status,
                   "bucket %s is not served by %s in the region %s; "
                   "check `endpoint` and `region`",
                   s->bucket, s->origin, s->region);
}

/* A request whose date is off is refused with several codes, or with none when
 * it was a HEAD: the difference itself is the sign. */
static bool
clocks_differ(int64_t date_s, int64_t *minutes)
{
    int64_t off = clock_now().s - date_s;

    *minutes = (llabs(off) + 30) / 60;
    return date_s > 0 && llabs(off) > SKEW_MAX_S;
}

static int
retry_after_s(const struct http_answer *a, int64_t date_s)
{
    const char *text = http_field(a, "retry-after");
    uint64_t s = 0;

    if (text && !text_uint(text, INT32_MAX, &s)) {
        int64_t until = http_date(text);
        s = until > date_s && date_s > 0 ? (uint64_t)(until - date_s) : 0;
    }
    return (int)(s < RETRY_AFTER_MAX_S ? s : RETRY_AFTER_MAX_S);
}

static int
explain(struct s3 *s, const struct s3_call *c, const struct http_answer *a, struct err *e)
{
    struct failure f = { 0 };
    struct err ignored;
    int64_t date_s = http_date(http_field(a, "date")), minutes;
    int status = a->status;

    if (a->error.len > 0)
        (void)!xml_read(buf_slice(&a->error), take_leaf, &f, &ignored);
    if (strcmp(f.code, "NoSuchBucket") == 0 || (status == 404 && !c->key && !f.code[0]))
        return err_set(e, ERR_NO_TARGET, status,
                       "bucket %s does not exist at %s; create it, "
                       "or correct the URL",
                       s->bucket, s->origin);
    if (status == 403 && clocks_differ(date_s, &minutes))
        return err_set(e, ERR_DENIED, status,
                       "this host's clock is %lld minutes off the "
                       "clock of %s; set the clock (NTP)",
                       (long long)minutes, s->host);
    if (strcmp(f.code, "RequestTimeTooSkewed") == 0)
        return err_set(e, ERR_DENIED, status,
                       "this host's clock is off the clock of %s; set "
                       "the clock (NTP)",
                       s->host);
    const char *region = http_field(a, "x-amz-bucket-region");
    if ((status >= 300 && status < 400)
        || strcmp(f.code, "AuthorizationHeaderMalformed") == 0
        || strcmp(f.code, "IllegalLocationConstraintException") == 0)
        return wrong_region(s, f.region[0] ? f.region : region, status, e);
    if (strcmp(f.code, "NoSuchKey") == 0)
        atomic_store(&s->seen, true);
    s3_failed(s, c->key, status, f.code, f.message, e);
    if (e->kind == ERR_THROTTLED)
        e->retry_after_s = retry_after_s(a, date_s);
    return -1;
}

static void
note_answer(struct s3 *s, const struct http_answer *a)
{
    int64_t date_s = http_date(http_field(a, "date"));

    if (date_s > 0)
        atomic_store(&s->date_s, date_s);
    if (a->status >= 200 && a->status < 300)
        atomic_store(&s->seen, true);
}

/* The fields of every request, those of the call, and the signature of all. */
static void
sign(const struct s3 *s, const struct s3_call *c, const char *path, const char *query,
     struct http_request *r, char payload[2 * SHA256_LEN + 1],
     char when[SIGN_S3_TIME_LEN], struct buf *authorization)
{
    struct sign_s3 d = { .access_key = s->access_key,
                         .secret_key = s->secret_key,
                         .region = s->region,
                         .service = "s3",
                         .time_s = clock_now().s,
                         .method = c->method,
                         .path = path,
                         .query = query,
                         .payload = payload };
    uint8_t hash[SHA256_LEN];

    sha256(slice_of("", 0), hash);
    text_hex(payload, c->body ? c->body->sha256 : hash, SHA256_LEN);
    sign_s3_time(when, d.time_s);
    r->fields[r->field_count++] = (struct field){ "Host", s->host };
    r->fields[r->field_count++] = (struct field){ "x-amz-content-sha256", payload };
    r->fields[r->field_count++] = (struct field){ "x-amz-date", when };
    if (s->session_token)
        r->fields[r->field_count++] = (struct field){ "x-amz-security-token",
                                                      s->session_token };
    for (size_t i = 0; i < c->field_count; i++)
        r->fields[r->field_count++] = c->fields[i];
    d.fields = r->fields;
    d.field_count = r->field_count;
    assert(r->field_count < HTTP_FIELDS_MAX);
    sign_s3(&d, authorization);
    r->fields[r->field_count++] = (struct field){ "Authorization",
                                                  buf_cstr(authorization) };
}

int
s3_send(struct s3 *s, const struct s3_call *c, struct http_answer *a, struct err *e)
{
    AUTOBUF struct buf path = BUF(URL_MAX), query = BUF(URL_MAX), auth = BUF(URL_MAX);
    char payload[2 * SHA256_LEN + 1], when[SIGN_S3_TIME_LEN];
    size_t before = c->out ? c->out->len : 0;

    buf_put_str(&path, s->path);
    if (c->key) {
        url_encode(&path, slice_str(s->prefix), true);
        url_encode(&path, slice_str(c->key), true);
    }
    url_query(&query, c->query, c->query_count);
    AUTOFREE char *url = mem_printf("%s%s%s%s", s->origin, buf_cstr(&path),
                                    query.len ? "?" : "", buf_cstr(&query));
    struct http_request r = { .method = c->method,
                              .url = url,
                              .fd = -1,
                              .out = c->out,
                              .expected = c->expected,
                              .take_pace = c->pace,
                              .stop = c->stop };
    if (c->body) {
        r.data = c->body->data;
        r.fd = c->body->fd;
        r.size = c->body->size;
        r.feed_pace = c->body->pace;
    }
    sign(s, c, buf_cstr(&path), buf_cstr(&query), &r, payload, when, &auth);
    int rc = http_send(s->http, &r, a, e);
    if (rc == 0) {
        note_answer(s, a);
        rc = a->status >= 200 && a->status < 300 ? 0 : explain(s, c, a, e);
    }
    if (rc < 0 && c->out)
        c->out->len = before;
    return rc;
}
