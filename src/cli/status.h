/* The part of `drtool status` that is about targets. */
#ifndef CLI_STATUS_H
#define CLI_STATUS_H

#include "cli/open.h"

/* One row a target, in JSON and as a table; notes STATUS_DEGRADED when one is not
 * level with the others. */
MUST_USE int status_targets(struct app *app, struct repo *r,
                            const struct snapshot_list *l, struct err *e);

#endif
