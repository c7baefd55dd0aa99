#include "wal_backup.h"
#include "base/text.h"
#include "repo/log.h"
#include "source/facts.h"
#include "source/wal.h"

bool
wal_backup_of(const struct repo *r, const struct snapshot *s, struct wal_backup *out)
{
    struct slice facts = buf_slice(&s->facts);
    const char *system = facts_get(facts, "system-id");
    const char *stop = facts_get(facts, "stop-lsn");
    const char *timeline = facts_get(facts, "stop-timeline");
    const char *unit = facts_get(facts, "wal-segment-size");
    uint64_t number;

    *out = (struct wal_backup){ .system = system };
    if (!system || !stop || !timeline || !unit || !wal_lsn_parse(stop, &out->lsn)
        || !text_uint(timeline, UINT32_MAX, &number) || !wal_size_parse(unit, &out->unit)
        || out->lsn == 0)
        return false;
    out->timeline = (uint32_t)number;
    out->number = (out->lsn - 1) / out->unit;
    log_stream(repo_keys(r), LOG_POSTGRES, system, out->stream);
    return true;
}
