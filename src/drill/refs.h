/*
 * refs: ${...} in the values of a runbook.
 *
 * ${inputs.NAME} ${env.NAME} ${run.id} ${sandbox.dir} ${steps.ID.OUTPUT}; "$${"
 * stands for "${". No expressions. What was put in is never looked at again.
 */
#ifndef DRILL_REFS_H
#define DRILL_REFS_H

#include "drill/runbook.h"

/* The value of an output of step number `step`, or NULL. Borrowed. */
typedef const char *refs_output_fn(void *arg, size_t step, const struct output_kind *o);

struct refs {
    const struct runbook *runbook;
    size_t steps_before; /* of which steps outputs may be used */
    bool within;         /* a `with` or `expect`: sandbox and steps may be named */
    refs_output_fn *output;
    void *arg;
};

/* A yaml_rewrite_fn; `arg` is a struct refs. */
char *refs_expand(void *arg, const struct yaml_node *scalar, struct err *e);

/* Does the text name an output of a step? */
bool refs_names_step(const char *text);

/* Calls `fn` with the number of each step that `node` names. */
void refs_each_step(const struct runbook *rb, const struct yaml_node *node,
                    void (*fn)(void *arg, size_t step), void *arg);

#endif
