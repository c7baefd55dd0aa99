/*
 * The calls that speak of many objects. Whatever a server tells is checked before it
 * goes on to the caller: keys, their order, sizes.
 */
#include "impl.h"

#include "base/cancel.h"
#include "base/log.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "s3/xml.h"

#include <stdio.h>
#include <string.h>

#define ANSWER_MAX ((size_t)16 << 20) /* bytes */
#define BATCH 1000                    /* keys of one DeleteObjects, its limit */

struct listing {
    const char *prefix;
    storage_list_fn *fn;
    void *arg;
    char last[STORAGE_KEY_MAX + 1]; /* told, or the `after` of the call */
};

/* A page whose keys do not rise would be told twice or for ever. */
static int
tell(struct s3 *s, const struct s3_listing *p, struct listing *l, struct err *e)
{
    for (size_t i = 0; i < p->count; i++) {
        const char *key = p->objects[i].key;
        if (!key || !storage_key_valid(key)) {
            log_debug("passed over in a listing of %s, not a key: %s", s->place,
                      text_of_name(slice_str(p->objects[i].told)));
            continue;
        }
        if (strncmp(key, l->prefix, strlen(l->prefix)) != 0 || strcmp(key, l->last) <= 0)
            return err_set(e, ERR_CORRUPT, 0,
                           "%s listed %s after %s, which was not asked "
                           "for or is out of order",
                           s->place, key, l->last[0] ? l->last : "nothing");
        struct object_info o = { .key = l->last,
                                 .size = p->objects[i].size,
                                 .mtime_s = p->objects[i].mtime_s,
                                 .version = "" };
        storage_key_copy(l->last, key);
        if (l->fn(l->arg, &o, e) < 0)
            return -1;
    }
    return 0;
}

int
s3_list(struct storage *storage, const char *prefix, const char *after,
        storage_list_fn *fn, void *arg, struct err *e)
{
    struct s3 *s = s3_of(storage);
    struct listing l = { .prefix = prefix, .fn = fn, .arg = arg };
    CLEANUP(s3_list_end) struct s3_listing pages;
    int rc;

    storage_key_copy(l.last, after);
    s3_list_begin(s, &pages, prefix, after);
    while ((rc = cancel_check(e)) == 0 && (rc = s3_list_page(s, &pages, e)) == 1)
        if (tell(s, &pages, &l, e) < 0)
            return -1;
    return rc;
}

struct removal {
    const struct s3 *s;
    bool whole;
    char key[STORAGE_KEY_MAX + 1], code[64], message[160];
    int failures;
    struct err *e; /* filled by the first failure */
};

static void
end_removal_error(struct removal *r)
{
    if (strcmp(r->code, "NoSuchKey") != 0 && strcmp(r->code, "NoSuchVersion") != 0
        && r->failures++ == 0)
        s3_failed(r->s, r->key[0] ? r->key : NULL, 200, r->code, r->message, r->e);
    r->key[0] = r->code[0] = r->message[0] = 0;
}

static void
take_removal(void *arg, const char *path, const char *text)
{
    struct removal *r = arg;
    size_t prefix_len = strlen(r->s->prefix);
    const char *leaf = strrchr(path, '/');
    bool error = strcmp(path, "Error") == 0 || strcmp(path, "DeleteResult/Error") == 0;

    if (strcmp(path, "DeleteResult") == 0)
        r->whole = true;
    if (error)
        end_removal_error(r);
    if (!leaf || !strstr(path, "Error/"))
        return;
    if (strcmp(leaf, "/Code") == 0)
        snprintf(r->code, sizeof r->code, "%s", text);
    else if (strcmp(leaf, "/Message") == 0)
        snprintf(r->message, sizeof r->message, "%s", text);
    else if (strcmp(leaf, "/Key") == 0 && strlen(text) > prefix_len)
        snprintf(r->key, sizeof r->key, "%s", text + prefix_len);
}

static int
remove_batch(struct s3 *s, const char *const *keys, size_t count, struct err *e)
{
    AUTOBUF struct buf text = BUF(ANSWER_MAX), reply = BUF(ANSWER_MAX);
    CLEANUP(http_answer_release) struct http_answer a = HTTP_ANSWER;
    struct removal r = { .s = s, .e = e };
    uint8_t digest[16];
    char md5_text[32];

    buf_put_str(&text, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                       "<Quiet>true</Quiet>");
    for (size_t i = 0; i < count; i++) {
        buf_put_str(&text, "<Object><Key>");
        xml_escape(&text, s->prefix);
        xml_escape(&text, keys[i]);
        buf_put_str(&text, "</Key></Object>");
    }
    buf_put_str(&text, "</Delete>");
    md5(buf_slice(&text), digest);
    base64(md5_text, slice_of(digest, sizeof digest));
    struct body all = body_of(buf_slice(&text));
    struct s3_body body = s3_body_of(&all);
    struct field query = { "delete", "" };
    struct field fields[] = { { "Content-MD5", md5_text },
                              { "Content-Type", "application/xml" } };
    struct s3_call c = { .method = "POST",
                         .query = &query,
                         .query_count = 1,
                         .fields = fields,
                         .field_count = COUNT_OF(fields),
                         .body = &body,
                         .out = &reply };

    if (s3_send(s, &c, &a, e) < 0)
        return -1;
    struct err parse;
    if (xml_read(buf_slice(&reply), take_removal, &r, &parse) < 0 && r.failures == 0) {
        *e = parse;
        return -1;
    }
    if (r.failures > 0)
        return -1;
    return r.whole ? 0
                   : err_set(e, ERR_UNAVAIL, a.status, "%s did not say what it removed",
                             s->place);
}

static int
remove_one(struct s3 *s, const char *key, struct err *e)
{
    CLEANUP(http_answer_release) struct http_answer a = HTTP_ANSWER;
    struct s3_call c = { .method = "DELETE", .key = key };
    struct err why;

    if (s3_send(s, &c, &a, &why) < 0 && why.kind != ERR_NOT_FOUND) {
        *e = why;
        return -1;
    }
    return 0;
}

/* Batches keep the order of the keys: what a caller wants gone first is gone
 * before the next batch is sent. */
int
s3_remove(struct storage *storage, const char *const *keys, size_t count, struct err *e)
{
    struct s3 *s = s3_of(storage);

    for (size_t i = 0; i < count; i += BATCH) {
        size_t n = count - i < BATCH ? count - i : BATCH;
        int rc = cancel_check(e);
        if (rc == 0)
            rc = n == 1 ? remove_one(s, keys[i], e) : remove_batch(s, keys + i, n, e);
        if (rc < 0)
            return err_in(e, "removing %s%s", keys[i], n > 1 ? " and others" : "");
    }
    return 0;
}
