#include "beside.h"

#include "base/log.h"

#define STEPS_MAX 64 /* entries that are passed by sooner than one is looked up */

void
beside_open(struct beside *b, struct repo *r, const struct manifest_root *root,
            bool unordered)
{
    *b = (struct beside){ .manifest = manifest_reader_new(root, repo_load_node, r),
                          .entry = { .path = { (const uint8_t *)"", 0 } },
                          .have_entry = true, /* "" is before every path */
                          .unordered = unordered };
}

void
beside_close(struct beside *b)
{
    manifest_reader_free(b->manifest);
}

static int
lose(struct beside *b, const struct err *why, struct err *e)
{
    b->have_entry = false;
    b->broken = true;
    if (why->kind == ERR_CANCELLED) {
        *e = *why;
        return -1;
    }
    log_warn("the last snapshot cannot be compared with, so everything is read: %s",
             err_text(why));
    return 0;
}

static int
next(struct beside *b, struct err *e)
{
    struct err bad = { 0 };
    int rc = manifest_next(b->manifest, &b->entry, &bad);

    b->have_entry = rc == 1;
    return rc < 0 ? lose(b, &bad, e) : 0;
}

static bool
is_before(const struct beside *b, struct slice path)
{
    return b->have_entry && entry_order(b->entry.path, path) < 0;
}

/* Looks `path` up, unless it comes soon: no order often means nearly in order. */
static int
look_up(struct beside *b, struct slice path, struct err *e)
{
    struct err bad = { 0 };
    bool ahead = is_before(b, path);

    for (int i = 0; i < STEPS_MAX && is_before(b, path); i++)
        if (next(b, e) < 0)
            return -1;
    if (b->broken || (ahead && b->have_entry && !is_before(b, path)))
        return 0;
    return manifest_seek(b->manifest, path, &bad) < 0 ? lose(b, &bad, e) : next(b, e);
}

int
beside_advance(struct beside *b, struct slice path, struct err *e)
{
    if (!b->manifest || b->broken)
        return 0;
    if (b->unordered)
        return look_up(b, path, e);
    while (is_before(b, path))
        if (next(b, e) < 0)
            return -1;
    return 0;
}

const struct entry *
beside_find(const struct beside *b, struct slice path)
{
    return b->have_entry && entry_order(b->entry.path, path) == 0 ? &b->entry : NULL;
}
