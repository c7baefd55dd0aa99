/* What the files of verify share. */
#ifndef ENGINE_VERIFY_IMPL_H
#define ENGINE_VERIFY_IMPL_H

#include "engine/verify.h"

#include <pthread.h>

struct verify {
    struct repo *repo;
    const struct verify_options *options;
    struct verify_result *result;
    struct snapshot_list snapshots;
    struct verify_progress progress;
    /* The target at hand. */
    struct target *target;
    size_t index;
    struct verify_target *told;
    uint8_t *present; /* a bit per pack: listed in its size */
    uint8_t *unnamed; /* a bit per pack: lies there, and the target's index lacks it */
    uint8_t *bad;     /* a bit per pack: missing or damaged, and not healed */
    uint8_t *needed; /* a bit per pack: a target's prune records name it, it is not there,
                       * and a snapshot needs it. For all targets */
    uint32_t pack_count;
    uint32_t next_pack; /* for the reading threads */
    pthread_mutex_t lock;
    struct err error;
    int64_t next_tick_ms;
};

/* An object is not what it should be: heals it if it may. 1 healed, 0 not. */
int verify_bad(struct verify *v, const char *key, uint64_t size, bool missing,
               const char *why);
/* A pack that is missing, or damaged: was it pruned, and is no other's to give? Then
 * it is as good as gone, and no damage unless a snapshot needs it. */
bool verify_pruned(struct verify *v, const char *key, bool missing);
bool verify_bit(const uint8_t *bits, uint32_t i);
void verify_set(uint8_t *bits, uint32_t i);
void verify_clear(uint8_t *bits, uint32_t i);
void verify_tick(struct verify *v);

/* verify_renew.c: what is needed and cannot come back, stored anew when healing. */
MUST_USE int verify_renew(struct verify *v, struct err *e);
/* verify_read.c: level 3. */
MUST_USE int verify_read_packs(struct verify *v, struct err *e);
/* verify_small.c: a target's header, also of one that is left out for it; the small
 * objects by their hashes, and key slots. */
void verify_header(struct verify *v);
MUST_USE int verify_small(struct verify *v, struct err *e);
/* verify_logs.c: the files of logs, level 3; and whether those of the newest backups go
 * on without a hole. */
MUST_USE int verify_logs(struct verify *v, struct err *e);
MUST_USE int verify_windows(struct verify *v, struct err *e);
/* verify_walk.c: level 2, and telling damage as files. */
void verify_chain(struct verify *v);
MUST_USE int verify_structure(struct verify *v, struct err *e);
MUST_USE int verify_tell_files(struct verify *v, struct err *e);

#endif
