/*
 * sync: brings every target to what the best of them holds.
 *
 * First the queue of this host is delivered, its snapshots committed, and what reads
 * have found bad on a target replaced from another. Then,
 * by listing, whole targets are mirrored: a snapshot that is complete on one
 * target and neither complete nor forgotten on another gets there with all it
 * needs. A key that opens metadata tells what that is; for any other it is all
 * that the first target lists and its index names, so that a key of role writer
 * is enough. What the first has lost and nobody has keeps a snapshot from being
 * complete on the other. Many at once do no harm, and a run that is cut goes on
 * where it stopped. Memory: a page of two listings, and the pack names of a
 * snapshot.
 */
#ifndef ENGINE_SYNC_H
#define ENGINE_SYNC_H

#include "engine/deliver.h"

/* Of all targets together; the total grows with what the mirroring finds. */
struct sync_progress {
    uint64_t bytes, objects; /* sent */
    uint64_t bytes_total;
};
typedef void sync_tick_fn(void *arg, const struct sync_progress *p);

struct sync_options {
    const char *from, *to; /* target names; NULL: any */
    bool dry_run;
    sync_tick_fn *tick; /* called now and then, and at the end */
    void *arg;
};

struct sync_result {
    uint64_t queued_objects, queued_bytes; /* what the mirroring found missing */
    uint64_t snapshots;                    /* to be committed somewhere */
    uint64_t mended; /* objects that a read had found bad, made good */
    struct target_result targets[FLEET_TARGETS_MAX];
    size_t target_count;
    int64_t elapsed_ms;
};

MUST_USE int engine_sync(struct repo *r, const struct sync_options *o,
                         struct sync_result *result, struct err *e);

#endif
