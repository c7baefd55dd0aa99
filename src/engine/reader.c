#include "reader.h"
#include "base/cancel.h"
#include "profile.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* A bundle ends behind a file with odds of its size in SPREAD, once it has
 * BUNDLE_MIN: 512 KiB on average. */
#define BUNDLE_MIN ((size_t)128 << 10)
#define BUNDLE_SPREAD ((uint64_t)384 << 10)
#define BUNDLE_FULL ((size_t)1 << 20)
#define BUNDLE_FILES_MAX 4096

void
reader_init(struct content_reader *r)
{
    gear_init(&r->gear, repo_keys(r->repo)->gear);
}

void
reader_release(struct content_reader *r)
{
    if (r->block)
        block_release(r->pipeline, TAKE(r->block));
    if (r->bundle)
        block_release(r->pipeline, TAKE(r->bundle));
}

static int
stopped(struct err *e)
{
    return err_set(e, ERR_CANCELLED, 0, "stopped"); /* the pipeline has the cause */
}

static int
close_bundle(struct content_reader *r, struct err *e)
{
    if (!r->bundle)
        return 0;
    struct block *b = TAKE(r->bundle);
    int rc = pipeline_chunk(r->pipeline, KIND_BUNDLE, r->bundle_number, b,
                            slice_of(b->data, r->bundle_fill), false);
    block_release(r->pipeline, b);
    r->bundle_number++;
    r->bundle_fill = 0;
    r->bundle_files = r->bundle_wait = 0;
    return rc < 0 ? stopped(e) : 0;
}

int
reader_finish(struct content_reader *r, struct err *e)
{
    return close_bundle(r, e);
}

int
reader_pass(struct content_reader *r, struct err *e)
{
    if (!r->bundle || ++r->bundle_wait < BUNDLE_WAIT_MAX)
        return 0;
    return close_bundle(r, e);
}

static int
pass(struct content_reader *r, struct held *h, struct err *e)
{
    return pipeline_entry(r->pipeline, h) < 0 ? stopped(e) : reader_pass(r, e);
}

/* Does the bundle end behind this file? Only the file's content decides. */
static bool
bundle_ends(const struct content_reader *r, const struct entry *en)
{
    uint64_t h = crypto_short_hash(repo_keys(r->repo)->bundle_cut,
                                   slice_of(en->content_id, CONTENT_ID_LEN));

    return r->bundle_fill >= BUNDLE_FULL || r->bundle_files >= BUNDLE_FILES_MAX
        || (r->bundle_fill >= BUNDLE_MIN && h % BUNDLE_SPREAD < en->size);
}

/* Reports a failed read; -1 only when the whole run must end. */
static int
unreadable(struct content_reader *r, const struct entry *en, struct err *e)
{
    if (e->kind == ERR_CANCELLED || (r->traits & SOURCE_WHOLE))
        return -1;
    source_report(r->source, SOURCE_UNREADABLE, en->path, err_text(e));
    *e = (struct err){ 0 };
    return 0;
}

/* Reads up to SMALL_MAX bytes behind the bundle's fill. 1; 0 it is larger, or has
 * holes; -1. */
static int
read_small(struct content_reader *r, size_t *len, struct err *e)
{
    uint64_t hole = 0;
    size_t got = 0;

    *len = 0;
    for (;;) {
        if (source_read(r->source, r->bundle->data + r->bundle_fill + *len,
                        SMALL_MAX - *len, &got, &hole, e)
            < 0)
            return -1;
        if (hole > 0) /* a hole is an extent of its own: not for a bundle */
            return 0;
        if (got == 0)
            return 1;
        *len += got;
        if (*len == SMALL_MAX)
            return 0;
    }
}

static bool
same_content(const struct entry *en, const struct entry *kept)
{
    return kept && kept->type == ENTRY_FILE && kept->size == en->size && !kept->tree
        && memcmp(kept->content_id, en->content_id, CONTENT_ID_LEN) == 0;
}

static int
hand_over_small(struct content_reader *r, struct entry *en, const struct entry *kept,
                struct err *e)
{
    struct held *h;

    keys_content_id(repo_keys(r->repo),
                    slice_of(r->bundle->data + r->bundle_fill, (size_t)en->size),
                    en->content_id);
    if (same_content(en, kept)) {
        en->extent_count = kept->extent_count;
        memcpy(en->extents, kept->extents, sizeof en->extents);
        return pass(r, held_new(en), e);
    }
    h = held_new(en);
    h->bundle = r->bundle_number;
    h->offset = (uint32_t)r->bundle_fill;
    r->bundle_fill += (size_t)en->size;
    r->bundle_files++;
    if (pass(r, h, e) < 0)
        return -1;
    return r->bundle && bundle_ends(r, en) ? close_bundle(r, e) : 0;
}

/* 1 passed on, 0 not readable (reported), 2 it is not small any more, -1. */
static int
read_small_file(struct content_reader *r, struct entry *en, const struct entry *kept,
                struct err *e)
{
    bool changed = true;
    size_t len = 0;

    if (r->bundle && r->bundle_owner != en->uid && close_bundle(r, e) < 0)
        return -1;
    if (!r->bundle) {
        r->bundle = pipeline_block(r->pipeline);
        r->bundle_owner = en->uid;
        if (!r->bundle)
            return stopped(e);
    }
    for (int tries = 0; tries < 2 && changed; tries++) {
        int rc = source_read_begin(r->source, en, e);
        if (rc <= 0)
            return rc;
        rc = read_small(r, &len, e);
        if (rc < 0) {
            struct err later = { 0 };
            (void)!source_read_end(r->source, &changed, &later);
            return unreadable(r, en, e);
        }
        if (source_read_end(r->source, &changed, e) < 0)
            return unreadable(r, en, e);
        if (rc == 0)
            return 2;
    }
    atomic_fetch_add(&r->progress->read_bytes, len);
    if (changed) {
        en->flags |= ENTRY_CHANGED;
        source_report(r->source, SOURCE_CHANGED, en->path, "changed while it was read");
    }
    en->size = len;
    if (len == 0)
        return pass(r, held_new(en), e) < 0 ? -1 : 1;
    return hand_over_small(r, en, kept, e) < 0 ? -1 : 1;
}

/* Makes room for a whole chunk behind what waits in the window. */
static int
make_room(struct content_reader *r, struct err *e)
{
    if (r->block && BLOCK_SIZE - r->start >= CUT_MAX + SMALL_MAX)
        return 0;
    struct block *b = pipeline_block(r->pipeline);
    if (!b)
        return stopped(e);
    if (r->block) {
        memcpy(b->data, r->block->data + r->start, r->fill - r->start);
        block_release(r->pipeline, r->block);
    }
    r->block = b;
    r->fill -= r->start;
    r->start = 0;
    return 0;
}

/* Cuts what is in the window; with `last` all of it. */
static int
cut_window(struct content_reader *r, const struct cut_profile *profile, bool store,
           bool last, struct err *e)
{
    while (r->start < r->fill) {
        struct slice data = { r->block->data + r->start, r->fill - r->start };
        size_t n = cut_next(&r->gear, profile, data, last);
        if (n == 0)
            return 0;
        if (pipeline_chunk(r->pipeline, KIND_FILE, -1, r->block, slice_sub(data, 0, n),
                           store)
            < 0)
            return stopped(e);
        r->start += n;
    }
    return 0;
}

/* One pass over a big file's content: *len bytes. */
static int
read_big(struct content_reader *r, const struct cut_profile *profile, bool store,
         uint64_t *len, struct err *e)
{
    *len = 0;
    for (;;) {
        uint64_t hole = 0;
        size_t got = 0;
        if (cancel_check(e) < 0 || make_room(r, e) < 0)
            return -1;
        if (source_read(r->source, r->block->data + r->fill, BLOCK_SIZE - r->fill, &got,
                        &hole, e)
            < 0)
            return -1;
        r->fill += got;
        *len += got + hole;
        atomic_fetch_add(&r->progress->read_bytes, got);
        atomic_store(&r->progress->in_hand, *len);
        r->tick(r->tick_arg);
        if (cut_window(r, profile, store, got == 0, e) < 0)
            return -1;
        if (hole > 0 && pipeline_hole(r->pipeline, hole) < 0)
            return stopped(e);
        if (got == 0 && hole == 0)
            return 0;
    }
}

static int
read_big_file(struct content_reader *r, struct entry *en, bool store, struct err *e)
{
    const struct cut_profile *profile = profile_cut(r->rules, r->traits, en->path);
    bool changed = true;
    uint64_t len = 0;

    for (int tries = 0; tries < 2 && changed; tries++) {
        int rc = source_read_begin(r->source, en, e);
        if (rc <= 0)
            return rc;
        if (tries > 0 && pipeline_reset(r->pipeline) < 0)
            return stopped(e);
        rc = read_big(r, profile, store, &len, e);
        struct err end = { 0 };
        if (source_read_end(r->source, &changed, &end) < 0 && rc == 0) {
            *e = end;
            rc = -1;
        }
        if (rc < 0) {
            r->start = r->fill; /* what was read is not the file's content */
            if (pipeline_reset(r->pipeline) < 0)
                return stopped(e);
            return unreadable(r, en, e);
        }
    }
    if (changed) {
        en->flags |= ENTRY_CHANGED;
        source_report(r->source, SOURCE_CHANGED, en->path, "changed while it was read");
    }
    en->size = len;
    struct held *h = held_new(en);
    h->takes_extents = true;
    return pass(r, h, e) < 0 ? -1 : 1;
}

int
reader_file(struct content_reader *r, struct entry *en, const struct entry *kept,
            struct err *e)
{
    bool stream = r->traits & SOURCE_STREAM;
    bool isolated = !stream && profile_isolates(r->rules, en->path);

    if (en->size < SMALL_MAX && !isolated && !stream) {
        int rc = read_small_file(r, en, kept, e);
        if (rc != 2)
            return rc;
    }
    return read_big_file(r, en, isolated, e);
}
