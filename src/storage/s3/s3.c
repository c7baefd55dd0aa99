/*
 * One object, one request. What differs between servers is found out as we
 * go: conditional puts (501), checksums (a HEAD that tells none).
 */
#include "storage/s3.h"

#include "base/text.h"
#include "crypto/hash.h"
#include "impl.h"
#include "open.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const struct storage_ops s3_ops;

static struct s3_storage *
storage_of(struct storage *s)
{
    assert(s->ops == &s3_ops);
    return (struct s3_storage *)s;
}

struct s3 *
s3_of(struct storage *s)
{
    return storage_of(s)->s3;
}

struct s3_body
s3_body_of(const struct body *b)
{
    return (struct s3_body){ .data = b->data,
                             .fd = b->fd,
                             .size = b->size,
                             .sha256 = b->sha256,
                             .pace = b->pace };
}

/* Puts without looking first. `unless` is set for If-None-Match. */
static int
put(struct s3 *s, const char *key, const struct body *body, bool unless, int *status,
    struct err *e)
{
    CLEANUP(http_answer_release) struct http_answer a = HTTP_ANSWER;
    char checksum[4 * (SHA256_LEN + 2) / 3 + 1];
    struct field fields[2] = { { "x-amz-checksum-sha256", checksum },
                               { "If-None-Match", "*" } };
    struct s3_body sent = s3_body_of(body);
    struct s3_call c = { .method = "PUT",
                         .key = key,
                         .body = &sent,
                         .fields = fields,
                         .field_count = unless ? 2 : 1 };

    base64(checksum, slice_of(body->sha256, SHA256_LEN));
    int rc = s3_send(s, &c, &a, e);
    *status = a.status;
    return rc;
}

/* Looking first costs a request, but only header and key slots are put this
 * way, and there are servers that take If-None-Match and overwrite. */
static int
put_if_absent(struct s3_storage *t, const char *key, const struct body *body,
              struct err *e)
{
    struct s3 *s = t->s3;
    struct object_info o;
    struct err why = { 0 };
    int status;

    int rc = t->base.ops->head(&t->base, key, &o, &why);
    if (rc == 0)
        return err_set(e, ERR_EXISTS, 0, "%s in %s exists", key, s->place);
    if (why.kind != ERR_NOT_FOUND) {
        *e = why;
        return -1;
    }
    if (!atomic_load(&t->plain_only)) {
        if (put(s, key, body, true, &status, &why) == 0)
            return 0;
        if (status != 501) {
            *e = why;
            return -1;
        }
        atomic_store(&t->plain_only, true);
    }
    return put(s, key, body, false, &status, e);
}

static int
s3_put(struct storage *storage, const char *key, const struct body *body, unsigned flags,
       struct err *e)
{
    struct s3_storage *t = storage_of(storage);
    int status;
    int rc = flags & PUT_IF_ABSENT ? put_if_absent(t, key, body, e)
                                   : put(t->s3, key, body, false, &status, e);

    return rc < 0 ? err_in(e, "storing %s", key) : 0;
}

/* Asks for one byte, because an answer to HEAD has no body that would tell
 * the reason of a refusal. Never returns 0. */
static int
ask_reason(struct s3 *s, const char *key, const struct err *head, struct err *e)
{
    CLEANUP(http_answer_release) struct http_answer a = HTTP_ANSWER;
    struct field range = { "Range", "bytes=0-0" };
    struct s3_call c = {
        .method = "GET", .key = key, .fields = &range, .field_count = 1
    };

    if (s3_send(s, &c, &a, e) < 0 && a.status != 416)
        return -1;
    if (head->kind == ERR_NOT_FOUND)
        return err_set(e, ERR_UNAVAIL, 0, "%s in %s appeared while it was looked for",
                       key, s->place);
    *e = *head;
    return -1;
}

/* Only a hash of the whole object counts; "…-3" is one of parts. */
static bool
parse_base64(const char *text, uint8_t out[SHA256_LEN])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                 "0123456789+/";
    uint32_t bits = 0;
    size_t n = 0;

    if (!text || strlen(text) != 44 || text[43] != '=')
        return false;
    for (size_t i = 0; i < 43; i++) {
        const char *d = strchr(digits, text[i]);
        if (!d)
            return false;
        bits = bits << 6 | (uint32_t)(d - digits);
        if (i % 4 != 0)
            out[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    return n == SHA256_LEN;
}

static int
head(struct s3 *s, const char *key, struct object_info *out, struct err *e)
{
    CLEANUP(http_answer_release) struct http_answer a = HTTP_ANSWER;
    struct field mode = { "x-amz-checksum-mode", "ENABLED" };
    struct s3_call c = {
        .method = "HEAD", .key = key, .fields = &mode, .field_count = 1
    };
    struct err why;

    if (s3_send(s, &c, &a, &why) < 0) {
        bool plain = why.kind == ERR_NOT_FOUND && atomic_load(&s->seen);
        if (!plain && a.status >= 300 && a.status < 500)
            return ask_reason(s, key, &why, e);
        *e = why;
        return -1;
    }
    if (a.length < 0)
        return err_set(e, ERR_UNAVAIL, a.status, "%s did not tell the size of %s",
                       s->place, key);
    int64_t mtime_s = http_date(http_field(&a, "last-modified"));
    out->size = (uint64_t)a.length;
    out->mtime_s = mtime_s > 0 ? mtime_s : 0;
    out->attested = parse_base64(http_field(&a, "x-amz-checksum-sha256"), out->sha256);
    return 0;
}

static int
s3_head(struct storage *storage, const char *key, struct object_info *out, struct err *e)
{
    struct s3 *s = s3_of(storage);

    return head(s, key, out, e) < 0 ? err_in(e, "looking for %s", key) : 0;
}

/* Whether the answer is the range that was asked for. */
static int
check_range(const struct s3 *s, const struct range *r, const struct http_answer *a,
            struct err *e)
{
    const char *told = http_field(a, "content-range");
    unsigned long long first, last, total;

    if (a->status != 206 || !told
        || sscanf(told, "bytes %llu-%llu/%llu", &first, &last, &total) != 3)
        return err_set(e, ERR_CORRUPT, a->status, "%s does not answer ranges", s->place);
    if (first != r->offset || last < first || last - first + 1 != a->received)
        return err_set(e, ERR_CORRUPT, a->status, "%s answered another range of %s: %s",
                       s->place, r->key, text_of_name(slice_str(told)));
    if (r->len ? a->received != r->len : last + 1 != total)
        return err_set(e, ERR_CORRUPT, a->status, "%s in %s has %llu bytes, not %llu",
                       r->key, s->place, total, (unsigned long long)(r->offset + r->len));
    return 0;
}

/* 416: the range lies behind the end. "From the end to the end" is no error,
 * but only the size tells it apart. */
static int
behind_the_end(struct s3 *s, const struct range *r, struct err *e)
{
    struct object_info o = { 0 };

    if (head(s, r->key, &o, e) < 0)
        return -1;
    if (r->len == 0 && r->offset == o.size)
        return 0;
    return err_set(e, ERR_CORRUPT, 416, "%s in %s has %llu bytes", r->key, s->place,
                   (unsigned long long)o.size);
}

static int
get(struct s3 *s, const struct range *r, struct buf *out, struct err *e)
{
    CLEANUP(http_answer_release) struct http_answer a = HTTP_ANSWER;
    size_t before = out->len;
    char text[64];
    struct field range = { "Range", text };
    struct field version = { "versionId", r->version };
    bool part = r->offset > 0 || r->len > 0;
    struct s3_call c = { .method = "GET",
                         .key = r->key,
                         .query = &version,
                         .query_count = r->version && r->version[0],
                         .fields = &range,
                         .field_count = part,
                         .out = out,
                         .expected = r->len ? r->len : STORAGE_OBJECT_MAX,
                         .pace = r->pace,
                         .stop = r->stop };

    if (r->len > 0)
        snprintf(text, sizeof text, "bytes=%llu-%llu", (unsigned long long)r->offset,
                 (unsigned long long)(r->offset + r->len - 1));
    else
        snprintf(text, sizeof text, "bytes=%llu-", (unsigned long long)r->offset);
    int rc = s3_send(s, &c, &a, e);
    if (a.status == 416)
        return behind_the_end(s, r, e);
    if (rc == 0 && part)
        rc = check_range(s, r, &a, e);
    if (rc == 0 && !part && (a.status != 200 || out->len - before != a.received))
        rc = err_set(e, ERR_UNAVAIL, a.status, "%s answered %d to a get", s->place,
                     a.status);
    if (rc < 0)
        out->len = before;
    return rc;
}

static int
s3_get(struct storage *storage, const struct range *r, struct buf *out, struct err *e)
{
    struct s3 *s = s3_of(storage);

    return get(s, r, out, e) < 0 ? err_in(e, "reading %s", r->key) : 0;
}

static int
stop(void *arg, const struct object_info *o, struct err *e)
{
    (void)o;
    *(bool *)arg = true;
    return err_set(e, ERR_CANCELLED, 0, "one is enough");
}

static int
s3_now(struct storage *storage, int64_t *out_s, struct err *e)
{
    struct s3 *s = s3_of(storage);
    struct err why;
    bool stopped = false;

    if (atomic_load(&s->date_s) == 0
        && s3_list(storage, "drt.repo", "", stop, &stopped, &why) < 0 && !stopped) {
        *e = why;
        return -1;
    }
    *out_s = atomic_load(&s->date_s);
    return *out_s > 0 ? 0
                      : err_set(e, ERR_UNAVAIL, 0, "%s does not tell the time", s->place);
}

static void
s3_close(struct storage *storage)
{
    struct s3_storage *t = storage_of(storage);

    s3_free(t->s3);
    mem_free(t);
}

static const struct storage_ops s3_ops = {
    .put = s3_put,
    .get = s3_get,
    .head = s3_head,
    .list = s3_list,
    .remove = s3_remove,
    .now = s3_now,
    .close = s3_close,
};

static struct storage *
storage_new(struct s3 *s)
{
    struct s3_storage *t = mem_zalloc(sizeof *t);

    t->base = (struct storage){ .ops = &s3_ops, .traits = STORAGE_IF_ABSENT };
    t->base.url = mem_strdup(s->url);
    t->s3 = s;
    return &t->base;
}

int
storage_s3(const struct s3_options *o, struct storage **out, struct err *e)
{
    struct s3 *s;

    if (s3_new(o, &s, e) < 0)
        return -1;
    *out = storage_new(s);
    return 0;
}

int
storage_s3_open(const struct conf_target *t, const struct url *u, struct storage **out,
                struct err *e)
{
    struct s3_conf c = { .endpoint = t->endpoint,
                         .region = t->region,
                         .ca = t->ca,
                         .style = t->style,
                         .credentials = &t->credentials };
    struct s3 *s;

    if (s3_open(&c, u, &s, e) < 0)
        return -1;
    *out = storage_new(s);
    return 0;
}
