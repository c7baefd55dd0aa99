/*
 * open: from a target's configuration to a storage, by the scheme of its URL.
 *
 * The drivers are one table (open.c): file:// and s3://. The result is already
 * wrapped: limit over the driver where the target has limits, retry over that,
 * trace when debugging. Faults of a drill are
 * put round it by who injects them (storage/wrap.h).
 */
#ifndef STORAGE_OPEN_H
#define STORAGE_OPEN_H

#include "conf/config.h"
#include "storage/storage.h"

/* Who wants to know how single tries end; see struct retry_options. */
struct storage_watch {
    void (*tried)(void *arg, const struct err *e);
    void *arg;
};

/* Opens without asking the place anything. ERR_USAGE for an unknown scheme or
 * options that do not fit, ERR_DENIED when a credential cannot be found. `watch`
 * may be NULL; what its `arg` points to must outlive the storage. */
MUST_USE int storage_open(const struct conf_target *t, const struct storage_watch *watch,
                          struct storage **out, struct err *e);

/* Makes the folder of a file:// target; a bucket must exist already. */
MUST_USE int storage_create(const struct conf_target *t, struct err *e);

#endif
