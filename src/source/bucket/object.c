#include "object.h"

#include "base/text.h"
#include "crypto/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE ((uint64_t)8 << 20) /* bytes of one request */
#define FIELDS_MAX 64             /* extended attributes that are kept */
#define XATTR_NAME "user.s3."
#define META_PREFIX "x-amz-meta-"

char *
etag_of(const char *text)
{
    size_t len = text ? strlen(text) : 0;

    return len >= 2 && text[0] == '"' && text[len - 1] == '"'
             ? mem_printf("%.*s", (int)(len - 2), text + 1)
             : mem_strdup(text ? text : "");
}

uint64_t
etag_number(const char *etag)
{
    uint8_t hash[SHA256_LEN];

    sha256(slice_str(etag), hash);
    return get_u64(hash);
}

void
object_init(struct object *o, struct s3 *s3, struct retry *retry)
{
    *o = (struct object){
        .s3 = s3, .retry = retry, .piece = BUF(PIECE), .xattrs = BUF(ENTRY_XATTR_MAX)
    };
}

void
object_release(struct object *o)
{
    mem_free(o->etag);
    buf_release(&o->piece);
    buf_release(&o->xattrs);
}

/* Fills the piece from `at` on. With `ranged` it is a range, with an ETag of that
 * version only. */
static int
ask(struct object *o, bool ranged, const char *etag, struct http_answer *a, struct err *e)
{
    AUTOFREE char *match = etag && etag[0] ? mem_printf("\"%s\"", etag) : NULL;
    uint64_t end = o->at + PIECE - 1;
    uint64_t left = o->size - o->at;
    char range[64];
    struct field fields[2];
    struct s3_call c = { .method = "GET",
                         .key = o->key,
                         .fields = fields,
                         .out = &o->piece,
                         .expected = left < PIECE ? left : PIECE };
    unsigned tried = 0;
    int rc;

    snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)o->at,
             (unsigned long long)end);
    if (ranged)
        fields[c.field_count++] = (struct field){ "Range", range };
    if (match)
        fields[c.field_count++] = (struct field){ "If-Match", match };
    do {
        http_answer_release(a);
        *a = HTTP_ANSWER;
        buf_clear(&o->piece);
        o->used = 0;
        rc = s3_send(o->s3, &c, a, e);
    } while (retry_again(o->retry, text_of_name(slice_str(o->key)), o->s3->place, ++tried,
                         NULL, rc, e));
    return rc;
}

/* The whole size that an answer tells, if it is the piece that was asked for. */
static int
total_of(const struct object *o, const struct http_answer *a, uint64_t *out,
         struct err *e)
{
    const char *told = http_field(a, "content-range");
    unsigned long long first = 0, last = 0, total = a->received;

    if (a->status != 206) {
        first = 0;
        last = total - 1;
    } else if (!told
               || sscanf(told, "bytes %llu-%llu/%llu", &first, &last, &total) != 3) {
        first = UINT64_MAX;
    }
    *out = total;
    if (first == o->at && last + 1 - first == a->received
        && (last + 1 == total || a->received == PIECE))
        return 0;
    return err_set(e, ERR_CORRUPT, a->status,
                   "%s answered another range of %s than asked", o->s3->place,
                   text_of_name(slice_str(o->key)));
}

struct pair {
    const char *name, *value; /* the name without "x-amz-meta-" */
};

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->name, ((const struct pair *)b)->name);
}

/* The type and what the owner of the object said of it. */
static void
take_metadata(struct object *o, const struct http_answer *a)
{
    const char *type = http_field(a, "content-type");
    const char *p = (const char *)a->fields.ptr, *end = p + a->fields.len;
    struct pair pairs[FIELDS_MAX];
    size_t n = 0;

    buf_clear(&o->xattrs);
    if (type)
        entry_xattr_put(&o->xattrs, SLICE(XATTR_NAME "content-type"), slice_str(type));
    for (; p < end && n < FIELDS_MAX; p += strlen(p) + 1 + strlen(p + strlen(p) + 1) + 1)
        if (strncmp(p, META_PREFIX, strlen(META_PREFIX)) == 0 && strlen(p) < 200)
            pairs[n++] = (struct pair){ p + strlen(META_PREFIX), p + strlen(p) + 1 };
    qsort(pairs, n, sizeof *pairs, by_name);
    for (size_t i = 0; i < n; i++) {
        AUTOFREE char *name = mem_printf(XATTR_NAME "meta.%s", pairs[i].name);
        if (i == 0 || strcmp(pairs[i].name, pairs[i - 1].name) != 0)
            entry_xattr_put(&o->xattrs, slice_str(name), slice_str(pairs[i].value));
    }
}

/* A range of nothing cannot be asked for (416), and only a piece of much. */
static int
ask_first(struct object *o, uint64_t size, struct http_answer *a, struct err *e)
{
    bool ranged = size > 0;
    int rc = ask(o, ranged, NULL, a, e);

    if (rc < 0 && (ranged ? a->status == 416 : e->kind == ERR_CORRUPT))
        rc = ask(o, !ranged, NULL, a, e); /* it is not what was listed any more */
    return rc;
}

int
object_begin(struct object *o, const char *key, uint64_t size, struct err *e)
{
    CLEANUP(http_answer_release) struct http_answer a = HTTP_ANSWER;

    o->key = key;
    o->size = size;
    o->at = 0;
    o->changed = false;
    if (ask_first(o, size, &a, e) < 0 || total_of(o, &a, &o->size, e) < 0)
        return -1;
    mem_free(o->etag);
    o->etag = etag_of(http_field(&a, "etag"));
    int64_t mtime_s = http_date(http_field(&a, "last-modified"));
    o->mtime_s = mtime_s > 0 ? mtime_s : 0;
    o->at = a.received;
    take_metadata(o, &a);
    return 0;
}

/* 1; 0: it has changed; -1. */
static int
next_piece(struct object *o, struct err *e)
{
    CLEANUP(http_answer_release) struct http_answer a = HTTP_ANSWER;
    struct err why = { 0 };
    uint64_t size;

    if (ask(o, true, o->etag, &a, &why) < 0) {
        if (why.kind == ERR_NOT_FOUND || a.status == 412 || a.status == 416)
            return 0;
        *e = why;
        return -1;
    }
    AUTOFREE char *etag = etag_of(http_field(&a, "etag"));
    if (strcmp(etag, o->etag) != 0)
        return 0; /* the server does not know the condition */
    if (total_of(o, &a, &size, e) < 0)
        return -1;
    if (size != o->size)
        return 0;
    o->at += a.received;
    return 1;
}

int
object_read(struct object *o, uint8_t *out, size_t len, size_t *got, struct err *e)
{
    *got = 0;
    if (o->used == o->piece.len) {
        if (o->changed || o->at == o->size)
            return 0;
        int rc = next_piece(o, e);
        if (rc < 0)
            return -1;
        if (rc == 0 && o->again)
            return err_set(e, ERR_SOURCE, 0,
                           "it was overwritten twice while it was read");
        if (rc == 0) {
            buf_clear(&o->piece);
            o->used = 0;
            o->changed = o->again = true;
            return 0;
        }
    }
    size_t left = o->piece.len - o->used;
    *got = left < len ? left : len;
    memcpy(out, o->piece.ptr + o->used, *got);
    o->used += *got;
    return 0;
}
