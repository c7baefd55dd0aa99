#include "patience.h"

const char *
patience_lost(struct patience *p, int64_t now_ms, uint64_t moved)
{
    int64_t active_ms = now_ms - p->began_ms - p->waited_ms;

    if (active_ms > p->deadline_ms)
        return "it took too long";
    if (moved - p->mark_bytes >= p->stall_bytes) {
        p->mark_bytes = moved;
        p->mark_ms = active_ms;
    }
    return active_ms - p->mark_ms >= p->stall_ms ? "hardly a byte moves any more" : NULL;
}
