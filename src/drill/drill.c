#include "drill/drill.h"

#include "base/cancel.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"

#include "impl.h"
#include "sandbox.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void
drill_run_id(char out[RUN_ID_MAX])
{
    const char *utc = text_of_utc(clock_now().s, 0); /* 2026-11-22T03:00:15.000Z */
    uint8_t chance[4];
    char hex[9];

    random_bytes(NULL, chance, sizeof chance);
    text_hex(hex, chance, sizeof chance);
    snprintf(out, RUN_ID_MAX, "%.4s%.2s%.2s-%.2s%.2s%.2s-%s", utc, utc + 5, utc + 8,
             utc + 11, utc + 14, utc + 17, hex);
}

/* The repository through the faults, and the snapshots that it then shows. */
static bool
open_with_faults(struct drill *d)
{
    struct drill_item *item = drill_item_begin(d->result, SECTION_STEPS, "open",
                                               "open the repository", "repository.open");
    struct err e = { 0 };
    int rc = drill_open(d, true, &d->repo, &d->list, &e);

    for (size_t i = 0; rc == 0 && i < d->runbook->step_count; i++)
        if (drill_find(d, i, &d->list, &d->steps[i].row, &e) < 0)
            rc = -1;
    if (rc == 0)
        rc = faults_aim(d, &e);
    if (rc < 0)
        drill_item_fail(item, &e);
    drill_item_end(item);
    return item->verdict == VERDICT_PASSED;
}

static bool
all_passed(const struct drill_list *l, int64_t *last_ms)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct drill_item *item = l->items[i];
        if (item->warning)
            continue;
        if (item->verdict != VERDICT_PASSED)
            return false;
        *last_ms = item->begun_ms + item->took_ms;
    }
    return true;
}

/* From the disaster to the last critical check that passed; with no critical
 * check, to the last critical step. The data is as old as the oldest of the
 * snapshots that were restored was at the disaster. */
static void
measure(struct drill_result *r)
{
    int64_t last_ms = r->t0_ms;

    if (all_passed(&r->sections[SECTION_STEPS], &last_ms)
        && all_passed(&r->sections[SECTION_CHECKS], &last_ms))
        r->rto_ms = last_ms - r->t0_ms;
    for (size_t i = 0; i < r->snapshot_count; i++) {
        const struct clock_time *s = &r->snapshots[i].started;
        int64_t age = (r->t0.s - s->s) * 1000 + (r->t0.ns - s->ns) / 1000000;
        if (age < 0)
            age = 0; /* the clocks of two hosts */
        if (age > r->rpo_ms)
            r->rpo_ms = age;
    }
}

static void
judge_objective(struct drill_result *r, const char *id, const char *name,
                int64_t objective_ms, int64_t measured_ms)
{
    if (objective_ms == 0)
        return;
    struct drill_item *item = drill_item_begin(r, SECTION_OBJECTIVES, id, name,
                                               "objective");
    item->expected = mem_printf("<= %s", text_of_duration(objective_ms));
    if (measured_ms < 0) {
        drill_item_say(item, VERDICT_SKIPPED,
                       "not measured: the recovery did not come "
                       "to its end");
        return;
    }
    item->actual = mem_strdup(text_of_duration(measured_ms));
    item->took_ms = measured_ms;
    if (measured_ms > objective_ms)
        drill_item_say(item, VERDICT_FAILED, "missed by %s",
                       text_of_duration(measured_ms - objective_ms));
}

static void
note_targets(struct drill *d)
{
    struct fleet *f = d->repo ? repo_fleet(d->repo) : NULL;

    for (size_t i = 0; f && i < fleet_count(f); i++) {
        const struct target *t = fleet_target(f, i);
        d->result->targets[d->result->target_count++] = (struct drill_target){
            .name = mem_strdup(t->name),
            .state = target_state_name(t->health.state),
            .bytes = atomic_load(&t->bytes_read),
            .reads = atomic_load(&t->reads),
            .bad_reads = atomic_load(&t->bad_reads),
        };
    }
}

/* Between t0 and the end of the checks. */
static void
rehearse(struct drill *d)
{
    struct drill_result *r = d->result;

    r->t0 = clock_now();
    r->t0_ms = clock_mono_ms();
    if (open_with_faults(d)) {
        drill_steps(d);
        drill_checks(d);
    }
    faults_judge(d);
    measure(r);
    judge_objective(r, "rto", "recovery time", d->runbook->objectives.rto_ms, r->rto_ms);
    judge_objective(r, "rpo", "recovery point", d->runbook->objectives.rpo_ms, r->rpo_ms);
    note_targets(d);
}

static bool
keeps(const struct drill *d)
{
    enum sandbox_keep keep = d->runbook->sandbox.keep;

    drill_result_judge(d->result);
    return d->options->keep || keep == KEEP_ALWAYS
        || (keep == KEEP_FAILED && d->result->status != STATUS_OK);
}

/* Runs whatever happened, after a signal too. */
static void
clean_up(struct drill *d)
{
    struct drill_result *r = d->result;
    struct err e = { 0 };

    snapshot_list_release(&d->list);
    repo_close(TAKE(d->repo));
    for (size_t i = 0; i < d->runbook->step_count; i++) {
        if (d->steps[i].with)
            schema_release(d->runbook->steps[i].kind->keys, d->steps[i].with);
        mem_free(d->steps[i].with);
        yaml_doc_free(d->steps[i].doc);
    }
    if (!d->made)
        return;
    bool keep = keeps(d);
    struct drill_item *item = drill_item_begin(r, SECTION_CLEANUP, "sandbox", NULL,
                                               "sandbox.destroy");
    if (keep) {
        r->kept = true;
        drill_item_say(item, VERDICT_SKIPPED, "kept: %s", d->runbook->sandbox_dir);
    } else if (sandbox_destroy(d->runbook, &e) < 0) {
        r->left = mem_strdup(d->runbook->sandbox_dir);
        drill_item_say(item, VERDICT_FAILED, "left behind: %s: %s",
                       d->runbook->sandbox_dir, err_text(&e));
    }
    drill_item_end(item);
}

static void
make_sandbox(struct drill *d)
{
    struct err e = { 0 };

    d->made = true; /* first: whatever there is of it is removed */
    if (sandbox_make(d->runbook, &e) == 0)
        return;
    d->made = false; /* nothing is there, or it is not ours */
    struct drill_item *item = drill_item_begin(d->result, SECTION_READINESS,
                                               "make-sandbox", NULL, "sandbox");
    drill_item_say(item, VERDICT_ERROR, "%s", err_text(&e));
}

void
drill_run(const struct drill_options *o, struct drill_result *result)
{
    struct drill d = {
        .options = o, .runbook = o->runbook, .conf = o->conf, .result = result
    };

    *result = (struct drill_result){
        .runbook = o->runbook, .check_only = o->check_only, .rto_ms = -1, .rpo_ms = -1
    };
    result->begun = clock_now();
    result->begun_ms = clock_mono_ms();
    if (gethostname(result->host, sizeof result->host - 1) < 0)
        snprintf(result->host, sizeof result->host, "unknown");
    d.faults = mem_zalloc((o->runbook->fault_count + 1) * sizeof *d.faults);
    d.steps = mem_zalloc((o->runbook->step_count + 1) * sizeof *d.steps);
    drill_ready(&d);
    if (!o->check_only && drill_is_ready(&d)) {
        make_sandbox(&d);
        if (d.made)
            rehearse(&d);
    }
    clean_up(&d);
    mem_free(d.faults);
    mem_free(d.steps);
    result->ended = clock_now();
    result->took_ms = clock_mono_ms() - result->begun_ms;
    drill_result_judge(result);
}
