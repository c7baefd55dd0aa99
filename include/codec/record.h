/*
 * record: small structured data as fields of (tag u16, length u32, bytes).
 *
 * Used for everything that is not bulk: key bundles, configuration records,
 * snapshots, commit records. Unknown tags are skipped, so that later versions
 * may add fields; what an old reader must know is said by the feature bits of
 * the object's header. A tag may be repeated; a field may hold a record.
 */
#ifndef CODEC_RECORD_H
#define CODEC_RECORD_H

#include "base/buf.h"

void record_put(struct buf *out, uint16_t tag, struct slice value);
void record_put_str(struct buf *out, uint16_t tag, const char *s); /* NULL: no field */
void record_put_u64(struct buf *out, uint16_t tag, uint64_t v);
/* Begins a field whose value is written to `out` next; record_end() with what
 * this returned closes it. */
size_t record_begin(struct buf *out, uint16_t tag);
void record_end(struct buf *out, size_t begun);

bool record_valid(struct slice record); /* the fields fill it exactly */
/* The next field at r: true with tag and value. */
bool record_next(struct reader *r, uint16_t *tag, struct slice *value);
/* The first field `tag`; an empty slice when there is none (or it is empty). */
struct slice record_get(struct slice record, uint16_t tag);
/* The same, of exactly `len` bytes, copied; false when it is not so. */
bool record_copy(struct slice record, uint16_t tag, void *out, size_t len);
uint64_t record_u64(struct slice record, uint16_t tag); /* 0 when absent */
char *record_str(struct slice record, uint16_t tag);    /* owned; "" when absent */

#endif
