/*
 * ListObjectsV2, a page at a time, and DeleteObjects, a thousand keys at a
 * time. Whatever a server tells is checked before it goes on to the caller:
 * keys, their order, sizes. Only a whole and well-formed page counts.
 */
#include "list.h"

#include "base/cancel.h"
#include "base/log.h"
#include "base/text.h"
#include "crypto/hash.h"
#include "xml.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ANSWER_MAX ((size_t)16 << 20) /* bytes of a page; 1000 long keys are 4 MiB */
#define PAGE_MAX 10000                /* entries of a page, whatever was asked for */
#define BATCH 1000                    /* keys of one DeleteObjects, its limit */

struct entry {
    char *key; /* as it came */
    uint64_t size;
    int64_t mtime_s;
};

struct page {
    struct entry *entries;
    size_t count, cap;
    struct entry now; /* the one that is being read */
    bool truncated, encoded, broken, whole;
    char *token;
    char code[64]; /* of an <Error>, which may come with status 200 */
};

static void
page_release(struct page *p)
{
    for (size_t i = 0; i < p->count; i++)
        mem_free(p->entries[i].key);
    mem_free(p->entries);
    mem_free(p->now.key);
    mem_free(p->token);
}

/* "2009-10-12T17:50:30.000Z"; 0: not told. */
static int64_t
parse_time(const char *text)
{
    struct tm tm = { 0 };

    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return (int64_t)timegm(&tm);
}

static void
add_entry(struct page *p)
{
    if (!p->now.key || p->count == PAGE_MAX) {
        p->broken = true;
        return;
    }
    p->entries = mem_grow(p->entries, &p->cap, p->count + 1, sizeof *p->entries);
    p->entries[p->count++] = p->now;
    p->now = (struct entry){ 0 };
}

static void
set_text(char **at, const char *text)
{
    mem_free(*at);
    *at = mem_strdup(text);
}

static void
take_leaf(void *arg, const char *path, const char *text)
{
    static const char root[] = "ListBucketResult";
    struct page *p = arg;
    const char *leaf = path + sizeof root;

    if (strcmp(path, "Error/Code") == 0)
        snprintf(p->code, sizeof p->code, "%s", text);
    if (strncmp(path, root, sizeof root - 1) != 0)
        return;
    if (path[sizeof root - 1] == 0)
        p->whole = true;
    else if (strcmp(leaf, "Contents/Key") == 0)
        set_text(&p->now.key, text);
    else if (strcmp(leaf, "Contents/Size") == 0)
        p->broken |= !text_uint(text, INT64_MAX, &p->now.size);
    else if (strcmp(leaf, "Contents/LastModified") == 0)
        p->now.mtime_s = parse_time(text);
    else if (strcmp(leaf, "Contents") == 0)
        add_entry(p);
    else if (strcmp(leaf, "IsTruncated") == 0)
        p->truncated = strcmp(text, "true") == 0;
    else if (strcmp(leaf, "EncodingType") == 0)
        p->encoded = strcmp(text, "url") == 0;
    else if (strcmp(leaf, "NextContinuationToken") == 0)
        set_text(&p->token, text);
}

/* Asks for the keys after `start` (a whole key of the server, or NULL), or for
 * those that `token` stands for. */
static int
fetch(struct s3 *s, const char *prefix, const char *start, const char *token,
      struct page *out, struct err *e)
{
    AUTOFREE char *full = mem_printf("%s%s", s->prefix, prefix);
    AUTOFREE char *page = mem_printf("%u", s->page);
    AUTOBUF struct buf text = BUF(ANSWER_MAX);
    CLEANUP(http_answer_release) struct http_answer a = HTTP_ANSWER;
    struct field query[5] = { { "list-type", "2" }, { "encoding-type", "url" },
                              { "max-keys", page }, { "prefix", full } };
    struct s3_call c = { .method = "GET", .query = query, .query_count = 4, .out = &text,
                         .expected = ANSWER_MAX };

    if (token)
        query[c.query_count++] = (struct field){ "continuation-token", token };
    else if (start)
        query[c.query_count++] = (struct field){ "start-after", start };
    if (s3_send(s, &c, &a, e) < 0 || xml_read(buf_slice(&text), take_leaf, out, e) < 0)
        return -1;
    if (out->code[0])
        return s3_failed(s, NULL, a.status, out->code, "", e);
    if (out->broken || !out->whole)
        return err_set(e, ERR_UNAVAIL, a.status, "%s sent a listing that is none",
                       s->place);
    return 0;
}

/* The key below our prefix that an entry stands for; NULL: not one of ours. */
static const char *
key_of(const struct s3 *s, const struct page *p, const struct entry *o, struct buf *name)
{
    size_t prefix_len = strlen(s->prefix);

    if (strlen(o->key) >= name->max)
        return NULL;
    buf_clear(name);
    if (!p->encoded)
        buf_put_str(name, o->key);
    else if (!url_decode(name, slice_str(o->key)))
        return NULL;
    const char *text = buf_cstr(name);
    if (strlen(text) != name->len || strncmp(text, s->prefix, prefix_len) != 0
        || !storage_key_valid(text + prefix_len))
        return NULL;
    return text + prefix_len;
}

struct listing {
    const char *prefix;
    storage_list_fn *fn;
    void *arg;
    char last[STORAGE_KEY_MAX + 1]; /* told, or the `after` of the call */
};

/* A page whose keys do not rise would be told twice or for ever. */
static int
tell(struct s3 *s, const struct page *p, struct listing *l, struct err *e)
{
    AUTOBUF struct buf name = BUF(XML_TEXT_MAX + 1);

    for (size_t i = 0; i < p->count; i++) {
        const char *key = key_of(s, p, &p->entries[i], &name);
        if (!key) {
            log_debug("passed over in a listing of %s, not a key: %s", s->place,
                      text_of_name(slice_str(p->entries[i].key)));
            continue;
        }
        if (strncmp(key, l->prefix, strlen(l->prefix)) != 0 || strcmp(key, l->last) <= 0)
            return err_set(e, ERR_CORRUPT, 0,
                           "%s listed %s after %s, which was not asked "
                           "for or is out of order",
                           s->place, key, l->last[0] ? l->last : "nothing");
        struct object_info o = { .key = l->last, .size = p->entries[i].size,
                                 .mtime_s = p->entries[i].mtime_s, .version = "" };
        storage_key_copy(l->last, key);
        if (l->fn(l->arg, &o, e) < 0)
            return -1;
    }
    return 0;
}

/* Where the next page begins: behind the last entry of this one. */
static char *
start_after(const struct page *p)
{
    AUTOBUF struct buf name = BUF(XML_TEXT_MAX + 1);
    const char *last = p->count ? p->entries[p->count - 1].key : NULL;

    if (!last || !p->encoded)
        return mem_strdup(last);
    return url_decode(&name, slice_str(last)) ? mem_strdup(buf_cstr(&name)) : NULL;
}

int
s3_list(struct storage *storage, const char *prefix, const char *after,
        storage_list_fn *fn, void *arg, struct err *e)
{
    struct s3 *s = s3_of(storage);
    struct listing l = { .prefix = prefix, .fn = fn, .arg = arg };
    AUTOFREE char *start = *after ? mem_printf("%s%s", s->prefix, after) : NULL;
    AUTOFREE char *token = NULL;

    storage_key_copy(l.last, after);
    for (;;) {
        CLEANUP(page_release) struct page p = { 0 };
        if (cancel_check(e) < 0 || fetch(s, prefix, start, token, &p, e) < 0)
            return err_in(e, "listing %s", prefix[0] ? prefix : "all objects");
        if (tell(s, &p, &l, e) < 0)
            return -1;
        if (!p.truncated)
            return 0;
        mem_free(start);
        mem_free(token);
        token = TAKE(p.token);
        start = token ? NULL : start_after(&p);
        if (!token && !start)
            return err_set(e, ERR_CORRUPT, 0, "%s cut its listing without telling where",
                           s->place);
    }
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
    struct body body = body_of(buf_slice(&text));
    struct field query = { "delete", "" };
    struct field fields[] = { { "Content-MD5", md5_text },
                              { "Content-Type", "application/xml" } };
    struct s3_call c = { .method = "POST", .query = &query, .query_count = 1,
                         .fields = fields, .field_count = COUNT_OF(fields), .body = &body,
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
