/*
 * sandbox: the folder that a drill works in, and nowhere else.
 *
 * It lies outside everything that the configuration names: sources, targets
 * in folders, local state. It is registered for removal before it is made.
 */
#ifndef DRILL_SANDBOX_H
#define DRILL_SANDBOX_H

#include "drill/result.h"

#define SANDBOX_PREFIX "drtool-drill-"

/* Fills rb->sandbox_dir, or ERR_USAGE when it would lie in what must not be
 * touched. Nothing is made. */
MUST_USE int sandbox_choose(struct runbook *rb, const struct conf *c, struct err *e);

/* Makes the folder, fresh and for us alone. */
MUST_USE int sandbox_make(const struct runbook *rb, struct err *e);

/* Removes it and looks whether it is gone. */
MUST_USE int sandbox_destroy(const struct runbook *rb, struct err *e);

#endif
