#include "mirror.h"
#include "base/cancel.h"

#include <stdio.h>
#include <string.h>

#define PAGE 1000   /* as many as an answer of S3 has */
#define KEY_MAX 128 /* longer ones are none of ours */

/* One listing, read page by page. */
struct cursor {
    struct storage *store;
    const char *prefix;
    struct keyed {
        char key[KEY_MAX];
        uint64_t size;
    } * page;
    size_t count, at;
    char last[KEY_MAX]; /* the last key of the page; "": none yet */
    bool full;          /* there may be more behind it */
};

static int
take(void *arg, const struct object_info *o, struct err *e)
{
    struct cursor *c = arg;

    if (cancel_check(e) < 0)
        return -1;
    if (strlen(o->key) >= KEY_MAX)
        return 0;
    snprintf(c->page[c->count].key, KEY_MAX, "%s", o->key);
    c->page[c->count++].size = o->size;
    if (c->count < PAGE)
        return 0;
    c->full = true; /* not one further: it would cost another answer */
    return err_set(e, ERR_CANCELLED, 0, "the page is full");
}

/* 1 and the object that is next, 0 at the end, -1. */
static int
peek(struct cursor *c, const struct keyed **out, struct err *e)
{
    struct err one = { 0 };

    if (c->at == c->count && c->full) {
        c->at = c->count = 0;
        c->full = false;
        if (storage_list_after(c->store, c->prefix, c->last, take, c, &one) < 0
            && !c->full) {
            *e = one;
            return -1;
        }
        if (c->count > 0)
            memcpy(c->last, c->page[c->count - 1].key, KEY_MAX);
    }
    *out = &c->page[c->at];
    return c->at < c->count;
}

static void
open_cursor(struct cursor *c, struct storage *s, const char *prefix)
{
    *c = (struct cursor){ .store = s, .prefix = prefix, .full = true };
    c->page = mem_alloc(PAGE * sizeof *c->page);
}

/* Does `c` come to `key`? What stands before it is passed. 1, 0, -1. */
static int
reaches(struct cursor *c, const char *key, struct err *e)
{
    const struct keyed *k;
    int rc, order = -1;

    while ((rc = peek(c, &k, e)) == 1 && (order = strcmp(k->key, key)) < 0)
        c->at++;
    return rc < 0 ? -1 : rc == 1 && order == 0;
}

static int
merge(struct cursor *a, struct cursor *b, mirror_fn *fn, void *arg, struct err *e)
{
    const struct keyed *k;
    int rc;

    while ((rc = peek(a, &k, e)) == 1) {
        int there = reaches(b, k->key, e);
        if (there < 0 || cancel_check(e) < 0 || fn(arg, k->key, k->size, there, e) < 0)
            return -1;
        a->at++;
    }
    return rc;
}

int
mirror_each(struct storage *from, struct storage *to, const char *prefix, mirror_fn *fn,
            void *arg, struct err *e)
{
    struct cursor a, b;

    open_cursor(&a, from, prefix);
    open_cursor(&b, to, prefix);
    int rc = merge(&a, &b, fn, arg, e);
    mem_free(a.page);
    mem_free(b.page);
    return rc;
}
