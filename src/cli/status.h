/* The parts of `drtool status` that are about targets and about logs. */
#ifndef CLI_STATUS_H
#define CLI_STATUS_H

#include "cli/open.h"

/* From when to when the servers among the sources can be brought back, and what of
 * their logs waits on this host; notes STATUS_DEGRADED when something does. */
MUST_USE int status_logs(struct app *app, struct repo *r, const struct snapshot_list *l,
                         struct err *e);

/* One row a target, in JSON and as a table; notes STATUS_DEGRADED when one is not
 * level with the others. */
MUST_USE int status_targets(struct app *app, struct repo *r,
                            const struct snapshot_list *l, struct err *e);

#endif
