/*
 * hooks: what the operator has run around the reading of a source.
 *
 * `before` makes the source hold still, `after` undoes that: it is run whenever `before`
 * was to be run, however that ended, and also when the run was cancelled. A kill of
 * ours it cannot follow. They are told the source's name in DRTOOL_SOURCE, and `after` in
 * DRTOOL_RESULT whether it was read well: "ok" or "failed". One thread.
 */
#ifndef ENGINE_HOOKS_H
#define ENGINE_HOOKS_H

#include "conf/config.h"

struct hooks {
    const struct conf_source *source;
    bool begun;  /* `after` is owed */
    bool failed; /* it was run, and did not end well */
};

/* ERR_SOURCE unless it exits with 0 in time. */
MUST_USE int hooks_before(struct hooks *h, struct err *e);
/* Once, if it is owed. The same. */
MUST_USE int hooks_after(struct hooks *h, bool well, struct err *e);

#endif
