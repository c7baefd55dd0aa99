#include "parent.h"
#include "base/log.h"
#include "codec/record.h"

#include <string.h>

enum tag {
    TAG_ID = 1,
    TAG_STARTED = 2,
    TAG_ROOT = 3,
    TAG_LEVEL = 4,
    TAG_ENTRIES = 5,
    TAG_BYTES = 6,
    TAG_IDENTITY = 7,
};

void
parent_remember(struct repo *r, const struct snapshot *s)
{
    AUTOFREE char *name = mem_printf("parent/%s", s->source);
    AUTOBUF struct buf rec = BUF(4096);
    struct err e = { 0 };

    record_put(&rec, TAG_ID, slice_of(s->id, 32));
    record_put_u64(&rec, TAG_STARTED, (uint64_t)s->started.s);
    record_put(&rec, TAG_ROOT, slice_of(s->root.id.bytes, 32));
    record_put_u64(&rec, TAG_LEVEL, s->root.level);
    record_put_u64(&rec, TAG_ENTRIES, s->root.entries);
    record_put_u64(&rec, TAG_BYTES, s->root.bytes);
    if (strlen(s->identity) < 1024)
        record_put_str(&rec, TAG_IDENTITY, s->identity);
    if (state_put(repo_state(r), name, buf_slice(&rec), &e) < 0)
        log_info("%s", err_text(&e));
}

bool
parent_recall(struct repo *r, const char *source, struct snapshot_row *row)
{
    AUTOFREE char *name = mem_printf("parent/%s", source);
    AUTOBUF struct buf rec = BUF(4096);
    struct snapshot *s = &row->info;
    struct err ignored = { 0 };

    if (state_get(repo_state(r), name, &rec, &ignored) != 1
        || !record_valid(buf_slice(&rec))
        || !record_copy(buf_slice(&rec), TAG_ID, s->id, 32)
        || !record_copy(buf_slice(&rec), TAG_ROOT, s->root.id.bytes, 32))
        return false;
    s->started.s = (int64_t)record_u64(buf_slice(&rec), TAG_STARTED);
    s->root.level = (uint8_t)record_u64(buf_slice(&rec), TAG_LEVEL);
    s->root.entries = record_u64(buf_slice(&rec), TAG_ENTRIES);
    s->root.bytes = record_u64(buf_slice(&rec), TAG_BYTES);
    s->identity = record_str(buf_slice(&rec), TAG_IDENTITY);
    s->source = mem_strdup(source);
    return true;
}
