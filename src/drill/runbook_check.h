/* runbook_check: what tables cannot tell about a runbook. */
#ifndef DRILL_RUNBOOK_CHECK_H
#define DRILL_RUNBOOK_CHECK_H

#include "refs.h"

/* Fills rb->inputs from `map` (NULL: there are none). */
MUST_USE int runbook_inputs(struct runbook *rb, const struct yaml_node *map,
                            struct err *e);

/* Finds kinds, fills the faults' options, and tries every `with` and `expect`
 * with stand-ins for what is not known yet. */
MUST_USE int runbook_check(struct runbook *rb, const struct conf *c, struct err *e);

/* The `with` of a step or check at `node` as the struct `into`, references put
 * in. `doc` keeps what the struct borrows. Release `into` even when it failed. */
MUST_USE int runbook_with(struct refs *r, const struct yaml_node *node,
                          const struct conf_key *keys, void *into, struct yaml_doc **doc,
                          struct err *e);

/* The `expect` of a check at `node`. */
MUST_USE int runbook_expect(struct refs *r, const struct yaml_node *node,
                            const struct expect_key *keys, struct expectation *out,
                            struct err *e);

#endif
