/*
 * ListObjectsV2, a page at a time. Only a whole and well-formed page counts.
 */
#include "s3/s3.h"

#include "base/log.h"
#include "base/text.h"
#include "s3/xml.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ANSWER_MAX ((size_t)16 << 20) /* bytes of a page; 1000 long keys are 4 MiB */
#define PAGE_MAX 10000                /* entries of a page, whatever was asked for */

struct page {
    struct s3_object *objects;
    size_t count, cap;
    struct s3_object now; /* the one that is being read */
    bool truncated, encoded, broken, whole;
    char *token;
    char code[64]; /* of an <Error>, which may come with status 200 */
};

static void
object_release(struct s3_object *o)
{
    mem_free(o->key);
    mem_free(o->told);
    mem_free(o->etag);
    *o = (struct s3_object){ 0 };
}

static void
objects_free(struct s3_object *objects, size_t count)
{
    for (size_t i = 0; i < count; i++)
        object_release(&objects[i]);
    mem_free(objects);
}

static void
page_release(struct page *p)
{
    objects_free(p->objects, p->count);
    object_release(&p->now);
    mem_free(p->token);
}

/* "2009-10-12T17:50:30.000Z"; 0: not told. */
static int64_t
parse_time(const char *text)
{
    struct tm tm = { 0 };

    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec)
        != 6)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return (int64_t)timegm(&tm);
}

static void
add_object(struct page *p)
{
    if (!p->now.told || p->count == PAGE_MAX) {
        p->broken = true;
        return;
    }
    p->objects = mem_grow(p->objects, &p->cap, p->count + 1, sizeof *p->objects);
    p->objects[p->count++] = p->now;
    p->now = (struct s3_object){ 0 };
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
        set_text(&p->now.told, text);
    else if (strcmp(leaf, "Contents/ETag") == 0)
        set_text(&p->now.etag, text);
    else if (strcmp(leaf, "Contents/Size") == 0)
        p->broken |= !text_uint(text, INT64_MAX, &p->now.size);
    else if (strcmp(leaf, "Contents/LastModified") == 0)
        p->now.mtime_s = parse_time(text);
    else if (strcmp(leaf, "Contents") == 0)
        add_object(p);
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
    struct field query[5] = { { "list-type", "2" },
                              { "encoding-type", "url" },
                              { "max-keys", page },
                              { "prefix", full } };
    struct s3_call c = { .method = "GET",
                         .query = query,
                         .query_count = 4,
                         .out = &text,
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

/* The key below our prefix that an object has; NULL: it is not below, or cannot be
 * asked for. */
static char *
key_of(const struct s3 *s, const struct page *p, const struct s3_object *o)
{
    AUTOBUF struct buf name = BUF(XML_TEXT_MAX + 1);
    size_t prefix_len = strlen(s->prefix);

    if (!p->encoded)
        buf_put_str(&name, o->told);
    else if (!url_decode(&name, slice_str(o->told)))
        return NULL;
    const char *text = buf_cstr(&name);
    if (strlen(text) != name.len || strncmp(text, s->prefix, prefix_len) != 0)
        return NULL;
    return mem_strdup(text + prefix_len);
}

/* Where the next page begins: behind the last entry of this one. */
static char *
start_after(const struct page *p)
{
    AUTOBUF struct buf name = BUF(XML_TEXT_MAX + 1);
    const char *last = p->count ? p->objects[p->count - 1].told : NULL;

    if (!last || !p->encoded)
        return mem_strdup(last);
    return url_decode(&name, slice_str(last)) ? mem_strdup(buf_cstr(&name)) : NULL;
}

void
s3_list_begin(const struct s3 *s, struct s3_listing *l, const char *prefix,
              const char *after)
{
    *l = (struct s3_listing){ .prefix = prefix };
    l->start = *after ? mem_printf("%s%s", s->prefix, after) : NULL;
}

int
s3_list_page(struct s3 *s, struct s3_listing *l, struct err *e)
{
    CLEANUP(page_release) struct page p = { 0 };

    if (l->ended)
        return 0;
    if (fetch(s, l->prefix, l->start, l->token, &p, e) < 0)
        return err_in(e, "listing %s", l->prefix[0] ? l->prefix : "all objects");
    for (size_t i = 0; i < p.count; i++)
        p.objects[i].key = key_of(s, &p, &p.objects[i]);
    AUTOFREE char *start = start_after(&p);
    if (p.truncated && !p.token && !start)
        return err_set(e, ERR_CORRUPT, 0, "%s cut its listing without telling where",
                       s->place);
    objects_free(l->objects, l->count);
    mem_free(l->start);
    mem_free(l->token);
    l->count = p.count;
    l->objects = TAKE(p.objects);
    p.count = 0;
    l->token = TAKE(p.token);
    l->start = l->token ? NULL : TAKE(start);
    l->ended = !p.truncated;
    return 1;
}

void
s3_list_end(struct s3_listing *l)
{
    objects_free(l->objects, l->count);
    mem_free(l->start);
    mem_free(l->token);
    *l = (struct s3_listing){ 0 };
}
