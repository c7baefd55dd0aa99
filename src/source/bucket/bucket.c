/*
 * A bucket: its objects as files, read from the server as they are needed.
 *
 * What is in the parent snapshot with the same ETag, size and time is not asked for: the
 * ETag stands in for the inode. So a backup costs a request for a thousand objects, and
 * one or more for each that is new.
 */
#include "../driver.h"
#include "../owner.h"
#include "listing.h"
#include "object.h"

#include "base/log.h"
#include "base/text.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

struct bucket {
    struct source base; /* first: a struct bucket is a struct source */
    const struct conf_source *conf;
    struct s3 *s3;
    struct retry retry;
    struct listing listing;
    bool missing; /* there is no bucket, and it need not be there */
    struct listed now;
    struct object object;
    struct owners *owners;
    struct buf user, group;
    uint64_t objects, bytes;           /* seen */
    uint64_t read_objects, read_bytes; /* of them */
};

static const struct source_ops bucket_ops;

static struct bucket *
bucket_of(struct source *s)
{
    assert(s->ops == &bucket_ops);
    return (struct bucket *)s;
}

/* What a server says of a source is not what it says of a target: only who we are and
 * whether it is there are told apart. */
static int
blame(struct err *e)
{
    if (e->kind != ERR_DENIED && e->kind != ERR_CANCELLED && e->kind != ERR_USAGE
        && !err_retryable(e->kind))
        e->kind = ERR_SOURCE;
    return -1;
}

static void
tell_facts(struct bucket *b)
{
    facts_put_number(&b->base.facts, "objects", b->objects);
    facts_put_number(&b->base.facts, "bytes", b->bytes);
    log_info("source %s: %llu of %llu objects were read, %s", b->conf->name,
             (unsigned long long)b->read_objects, (unsigned long long)b->objects,
             text_of_size(b->read_bytes));
}

static int
bucket_next(struct source *s, struct entry *out, struct err *e)
{
    struct bucket *b = bucket_of(s);
    struct listed *l = &b->now;
    int rc = b->missing ? 0 : listing_next(&b->listing, l, e);

    if (rc < 0)
        return blame(e);
    if (rc == 0) {
        tell_facts(b);
        return 0;
    }
    b->object.again = false;
    *out = (struct entry){ .path = l->path,
                           .type = l->folder ? ENTRY_DIR : ENTRY_FILE,
                           .mode = l->folder ? 0700 : 0600,
                           .uid = geteuid(),
                           .gid = getegid(),
                           .mtime_s = l->mtime_s,
                           .ctime_s = l->mtime_s };
    if (l->folder)
        return 1;
    out->size = l->size;
    out->ino = etag_number(l->etag);
    b->objects++;
    b->bytes += l->size;
    return 1;
}

static int
bucket_describe(struct source *s, struct entry *en, struct err *e)
{
    struct bucket *b = bucket_of(s);

    (void)e;
    owner_describe(b->owners, en, &b->user, &b->group);
    return 1;
}

/* Why the object cannot be read, if the server is there and lets us in otherwise: then
 * it is left out. */
static int
judge(struct bucket *b, struct slice path, struct err *e)
{
    if (e->kind == ERR_DENIED) { /* it, or everything? */
        CLEANUP(s3_list_end) struct s3_listing l;
        s3_list_begin(b->s3, &l, b->now.key, "");
        struct err why = { 0 };
        if (s3_list_page(b->s3, &l, &why) < 0) {
            *e = why;
            return blame(e);
        }
    } else if (e->kind == ERR_NO_TARGET || e->kind == ERR_CANCELLED
               || err_retryable(e->kind)) {
        return blame(e);
    }
    source_report(&b->base,
                  e->kind == ERR_NOT_FOUND ? SOURCE_VANISHED : SOURCE_UNREADABLE, path,
                  err_text(e));
    *e = (struct err){ 0 };
    return 0;
}

static int
bucket_read_begin(struct source *s, struct entry *en, struct err *e)
{
    struct bucket *b = bucket_of(s);
    struct object *o = &b->object;

    if (object_begin(o, b->now.key, b->now.size, e) < 0)
        return judge(b, en->path, e);
    b->read_objects += !o->again;
    if (o->size != b->now.size || strcmp(o->etag, b->now.etag) != 0) {
        en->size = o->size; /* overwritten since it was listed */
        en->mtime_s = en->ctime_s = o->mtime_s;
        en->ino = etag_number(o->etag);
    }
    en->xattrs = buf_slice(&o->xattrs);
    return 1;
}

static int
bucket_read(struct source *s, uint8_t *out, size_t len, size_t *got, uint64_t *hole,
            struct err *e)
{
    struct bucket *b = bucket_of(s);

    (void)hole;
    if (object_read(&b->object, out, len, got, e) < 0)
        return blame(e);
    b->read_bytes += *got;
    return 0;
}

static int
bucket_read_end(struct source *s, bool *changed, struct err *e)
{
    (void)e;
    *changed = bucket_of(s)->object.changed;
    return 0;
}

static void
bucket_close(struct source *s)
{
    struct bucket *b = bucket_of(s);

    listing_end(&b->listing);
    exclude_free(b->listing.exclude);
    object_release(&b->object);
    s3_free(b->s3);
    owners_free(b->owners);
    buf_release(&b->user);
    buf_release(&b->group);
    mem_free(b);
}

static const struct source_ops bucket_ops = {
    .traits = SOURCE_UNORDERED,
    .moved = "is another bucket",
    .next = bucket_next,
    .describe = bucket_describe,
    .read_begin = bucket_read_begin,
    .read = bucket_read,
    .read_end = bucket_read_end,
    .close = bucket_close,
};

static int
reach(struct bucket *b, struct err *e)
{
    const struct conf_source *c = b->conf;
    struct s3_conf place = { .endpoint = c->bucket.endpoint,
                             .region = c->bucket.region,
                             .ca = c->bucket.ca,
                             .style = c->bucket.style,
                             .credentials = &c->bucket.credentials };
    CLEANUP(url_release) struct url u = { 0 };

    if (url_parse(&u, c->bucket.url, e) < 0 || s3_open(&place, &u, &b->s3, e) < 0)
        return -1;
    b->base.identity = mem_strdup(b->s3->place);
    object_init(&b->object, b->s3, &b->retry);
    b->listing.s3 = b->s3;
    if (listing_begin(&b->listing, e) == 0)
        return 0;
    b->missing = c->allow_empty && e->kind == ERR_NO_TARGET && e->cause == 404;
    return b->missing ? 0 : blame(e);
}

int
bucket_open(const struct conf_source *c, const struct source_options *o,
            struct source **out, struct err *e)
{
    struct bucket *b = mem_zalloc(sizeof *b);

    b->base = (struct source){ .ops = &bucket_ops, .opt = *o, .facts = BUF(FACTS_MAX) };
    b->conf = c;
    b->owners = owners_new();
    b->user = b->group = BUF(256);
    retry_init(&b->retry, &RETRY_DEFAULT);
    b->listing.source = &b->base;
    b->listing.retry = &b->retry;
    b->listing.exclude = exclude_new(c->bucket.exclude);
    if (reach(b, e) < 0) {
        source_close(&b->base);
        return -1;
    }
    *out = &b->base;
    return 0;
}
