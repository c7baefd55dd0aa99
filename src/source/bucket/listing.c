#include "listing.h"

#include "base/cancel.h"
#include "base/text.h"

#include <string.h>

/* 1, 0, -1 as s3_list_page(). */
static int
next_page(struct listing *l, struct err *e)
{
    unsigned tried = 0;
    int rc;

    if (l->source->opt.tick)
        l->source->opt.tick(l->source->opt.arg);
    if (cancel_check(e) < 0)
        return -1;
    do {
        rc = s3_list_page(l->s3, &l->pages, e);
    } while (retry_again(l->retry, "listing", l->s3->place, ++tried, NULL,
                         rc < 0 ? -1 : 0, e));
    l->next = 0;
    return rc;
}

int
listing_begin(struct listing *l, struct err *e)
{
    l->above = l->given = KEY_PATH;
    s3_list_begin(l->s3, &l->pages, "", "");
    return next_page(l, e) < 0 ? -1 : 0;
}

void
listing_end(struct listing *l)
{
    s3_list_end(&l->pages);
    while (l->held_count > 0)
        mem_free(l->held[--l->held_count].etag);
    mem_free(l->etag);
    key_path_release(&l->above);
    key_path_release(&l->given);
}

/* A marker without content is the folder itself. */
static bool
is_marker(const struct s3_object *o)
{
    return o->size == 0 && key_is_folder(o->key, strlen(o->key));
}

static bool
excluded(struct listing *l, const struct s3_object *o)
{
    struct key_path *p = &l->above;

    key_path_begin(p, o->key, strlen(o->key));
    while (key_path_folder(p))
        if (exclude_match(l->exclude, buf_cstr(&p->path), true))
            return true;
    if (is_marker(o))
        return false;
    key_path_name(p, false);
    return exclude_match(l->exclude, buf_cstr(&p->path), false);
}

/* Can the object be kept? 1, 0 (reported), -1. */
static int
check(struct listing *l, const struct s3_object *o, struct err *e)
{
    const char *key = o->key;

    if (!key) {
        source_report(l->source, SOURCE_UNREADABLE, slice_str(o->told),
                      "its key cannot be asked for");
        return 0;
    }
    if (strlen(key) > KEY_MAX) {
        source_report(l->source, SOURCE_TOO_LONG, slice_str(key), "its key is too long");
        return 0;
    }
    if (l->any && strcmp(key, l->told) <= 0) /* it would be given twice, or for ever */
        return err_set(e, ERR_SOURCE, 0, "%s listed %s after %s, which is out of order",
                       l->s3->place, text_of_name(slice_str(key)),
                       text_of_name(slice_str(l->told)));
    l->any = true;
    memcpy(l->told, key, strlen(key) + 1);
    return !excluded(l, o);
}

/* Takes the next object in hand, if there is one. */
static int
take(struct listing *l, struct err *e)
{
    while (!l->ended) {
        if (l->next == l->pages.count) {
            int rc = next_page(l, e);
            if (rc < 0)
                return -1;
            l->ended = rc == 0;
            continue;
        }
        const struct s3_object *o = &l->pages.objects[l->next++];
        int rc = check(l, o, e);
        if (rc < 0)
            return -1;
        if (rc == 0)
            continue;
        l->object = o;
        l->arrived = false;
        return 0;
    }
    return 0;
}

static void
give_held(struct listing *l, bool beside, struct listed *out)
{
    struct held *h = &l->held[--l->held_count];

    memcpy(l->key, l->last, h->len);
    l->key[h->len] = 0;
    mem_free(l->etag);
    l->etag = TAKE(h->etag);
    key_path_begin(&l->given, l->key, h->len);
    while (key_path_folder(&l->given))
        continue;
    key_path_name(&l->given, beside);
    *out = (struct listed){ .path = buf_slice(&l->given.path),
                            .key = l->key,
                            .etag = l->etag,
                            .size = h->size,
                            .mtime_s = h->mtime_s };
}

/* Gives the object held last if what is in hand settles its name. */
static bool
settle(struct listing *l, struct listed *out)
{
    if (l->held_count == 0)
        return false;
    size_t len = l->held[l->held_count - 1].len;
    const char *key = l->object ? l->object->key : "";
    bool begins = strlen(key) > len && memcmp(key, l->last, len) == 0;

    if (begins && (uint8_t)key[len] < '/')
        return false; /* "a!": "a/" may still come */
    give_held(l, begins && key[len] == '/', out);
    return true;
}

/* The key in hand becomes the last one; folders that it is not below are left. */
static void
arrive(struct listing *l)
{
    const char *key = l->object->key;
    size_t len = strlen(key), common = 0;

    while (common < len && key[common] == l->last[common])
        common++;
    memset(l->made + common + 1, 0, sizeof l->made - common - 1);
    memcpy(l->last, key, len + 1);
    key_path_begin(&l->above, l->last, len);
    l->arrived = true;
}

static bool
give_folder(struct listing *l, struct listed *out)
{
    const struct s3_object *o = l->object;
    struct key_path *p = &l->above;

    while (key_path_folder(p)) {
        if (l->made[p->at])
            continue;
        l->made[p->at] = true;
        *out = (struct listed){ .path = buf_slice(&p->path),
                                .folder = true,
                                .mtime_s = p->at == p->len && is_marker(o) ? o->mtime_s
                                                                           : 0 };
        return true;
    }
    return false;
}

int
listing_next(struct listing *l, struct listed *out, struct err *e)
{
    for (;;) {
        if (!l->object && take(l, e) < 0)
            return -1;
        if (settle(l, out))
            return 1;
        if (!l->object)
            return 0;
        if (!l->arrived)
            arrive(l);
        if (give_folder(l, out))
            return 1;
        if (!is_marker(l->object))
            l->held[l->held_count++] = (struct held){ .len = l->above.len,
                                                      .size = l->object->size,
                                                      .mtime_s = l->object->mtime_s,
                                                      .etag = etag_of(l->object->etag) };
        l->object = NULL;
    }
}
