/*
 * drill: rehearses a runbook in a sandbox, with faults, and measures.
 *
 * readiness (without faults) -> faults armed (t0) -> open -> steps -> checks ->
 * objectives -> cleanup, which runs whatever happened before, after a signal too.
 * The host's own state is not touched: the repository is opened with a
 * temporary one. Faults are wrappers round the targets of this process alone.
 */
#ifndef DRILL_DRILL_H
#define DRILL_DRILL_H

#include "drill/result.h"
#include "engine/restore.h"

struct drill_options {
    const struct conf *conf;
    const struct runbook *runbook;
    bool check_only;  /* readiness alone: nothing is restored */
    bool keep;        /* leave the sandbox for a person */
    unsigned threads; /* of restores; 0: 4 */
    /* A restore begins, of this source; NULL: it has ended. */
    void (*restoring)(void *arg, const char *source);
    restore_tick_fn *tick; /* of that restore */
    void *arg;
};

/* A name for a run that no other run has: time and chance. */
void drill_run_id(char out[RUN_ID_MAX]);

/* Whatever happens is in `result`; release it. */
void drill_run(const struct drill_options *o, struct drill_result *result);

#endif
