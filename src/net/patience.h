/*
 * patience: when a request that keeps a pace has lasted too long.
 *
 * libcurl's own limits count the time that we made it wait, and how long that
 * is depends on who else takes from the pace. This counts the rest.
 */
#ifndef NET_PATIENCE_H
#define NET_PATIENCE_H

#include <stddef.h>
#include <stdint.h>

struct patience {
    int64_t deadline_ms;  /* the whole request */
    int64_t stall_ms;     /* so long without ... */
    uint64_t stall_bytes; /* ... so many bytes ends it */
    int64_t began_ms;
    int64_t waited_ms;    /* by our own will */
    int64_t mark_ms;      /* when stall_bytes had last gone, waits left out ... */
    uint64_t mark_bytes;  /* ... and all that had gone by then */
};

/* Why the request should end, which moved `moved` bytes so far; NULL: it need not. */
const char *patience_lost(struct patience *p, int64_t now_ms, uint64_t moved);

#endif
