/* plan: the runbook's steps and checks, one after the other. */
#include "base/cancel.h"
#include "base/log.h"
#include "base/text.h"

#include "impl.h"

#include <string.h>

void
drill_item_fail(struct drill_item *item, const struct err *e)
{
    enum verdict v = VERDICT_ERROR;

    switch (e->kind) {
    case ERR_CANCELLED:
        v = VERDICT_ABORTED;
        break;
    case ERR_NOT_FOUND:
    case ERR_CORRUPT:
    case ERR_FORGED:
    case ERR_DENIED:
    case ERR_UNAVAIL:
    case ERR_THROTTLED:
    case ERR_NO_TARGET:
        v = VERDICT_FAILED;
        break;
    default:
        break;
    }
    drill_item_say(item, v, "%s", err_text(e));
}

/* A refs_output_fn: what the steps left. */
static const char *
output_of(void *arg, size_t step, const struct output_kind *o)
{
    const struct drill *d = arg;
    const struct drill_item *item = d->steps[step].item;

    return item ? drill_item_output(item, o->name) : NULL;
}

/* What took longer than it may, although it ended well, did not pass. */
static void
judge_time(struct drill_item *item, int64_t timeout_ms)
{
    drill_item_end(item);
    if (timeout_ms && item->verdict == VERDICT_PASSED && item->took_ms > timeout_ms)
        drill_item_say(item, VERDICT_TIMED_OUT, "it took %s of %s",
                       text_of_duration(item->took_ms), text_of_duration(timeout_ms));
}

/* A step that must have passed and did not; NULL: all did. */
static const char *
missing_need(const struct drill *d, const struct runbook_step *s)
{
    for (char **id = s->needs; id && *id; id++)
        for (size_t i = 0; i < d->runbook->step_count; i++)
            if (strcmp(d->runbook->steps[i].id, *id) == 0
                && (!d->steps[i].item || d->steps[i].item->verdict != VERDICT_PASSED))
                return *id;
    return NULL;
}

static void
run_step(struct drill *d, size_t i, struct drill_item *item)
{
    const struct runbook_step *s = &d->runbook->steps[i];
    struct step_state *state = &d->steps[i];
    struct refs r = { .runbook = d->runbook,
                      .steps_before = i,
                      .within = true,
                      .output = output_of,
                      .arg = d };
    struct err e = { 0 };
    const char *why;

    state->with = mem_zalloc(s->kind->size);
    log_info("step %s: %s", s->id, s->uses);
    if (runbook_with(&r, s->node, s->kind->keys, state->with, &state->doc, &e) < 0) {
        drill_item_say(item, VERDICT_ERROR, "%s", err_text(&e));
        return;
    }
    if (s->kind->wrong && (why = s->kind->wrong(d->runbook, state->with)) != NULL)
        drill_item_say(item, VERDICT_ERROR, "%s", why);
    else if (cancel_check(&e) < 0 || s->kind->run(d, s, state->with, item, &e) < 0)
        drill_item_fail(item, &e);
    judge_time(item, s->timeout_ms);
}

void
drill_steps(struct drill *d)
{
    const char *broken = NULL;

    for (size_t i = 0; i < d->runbook->step_count; i++) {
        const struct runbook_step *s = &d->runbook->steps[i];
        struct drill_item *item = drill_item_begin(d->result, SECTION_STEPS, s->id,
                                                   s->name, s->uses);
        const char *need = missing_need(d, s);
        item->warning = s->on_failure == FAILURE_CONTINUE;
        d->steps[i].item = item;
        if (cancel_requested())
            drill_item_say(item, VERDICT_ABORTED, "stopped by a signal");
        else if (broken)
            drill_item_say(item, VERDICT_SKIPPED, "step %s did not pass", broken);
        else if (need)
            drill_item_say(item, VERDICT_SKIPPED, "it needs step %s, which did not pass",
                           need);
        else
            run_step(d, i, item);
        if (item->verdict != VERDICT_PASSED && !item->warning && !broken)
            broken = s->id;
        drill_item_end(item);
    }
}

/* The first step named in the check that did not pass. */
struct blame {
    const struct drill *drill;
    const char *step;
};

static void
blame_step(void *arg, size_t step)
{
    struct blame *b = arg;
    const struct drill_item *item = b->drill->steps[step].item;

    if (!b->step && (!item || item->verdict != VERDICT_PASSED))
        b->step = b->drill->runbook->steps[step].id;
}

static void
run_check(struct drill *d, const struct runbook_check *c, struct drill_item *item)
{
    struct refs r = { .runbook = d->runbook,
                      .steps_before = d->runbook->step_count,
                      .within = true,
                      .output = output_of,
                      .arg = d };
    CLEANUP(expect_release) struct expectation x = { 0 };
    CLEANUP(yaml_doc_free_p) struct yaml_doc *doc = NULL;
    AUTOFREE void *with = mem_zalloc(c->kind->size);
    struct err e = { 0 };
    const char *why;

    log_info("check %s: %s", c->id, c->uses);
    if (runbook_with(&r, c->node, c->kind->keys, with, &doc, &e) < 0
        || runbook_expect(&r, c->node, c->kind->expects, &x, &e) < 0)
        drill_item_say(item, VERDICT_ERROR, "%s", err_text(&e));
    else if (c->kind->wrong && (why = c->kind->wrong(d->runbook, with)) != NULL)
        drill_item_say(item, VERDICT_ERROR, "%s", why);
    else if (cancel_check(&e) < 0 || c->kind->run(d, c, with, &x, item, &e) < 0)
        drill_item_fail(item, &e);
    schema_release(c->kind->keys, with);
    judge_time(item, c->timeout_ms);
}

/* The step whose failure ended the drill; NULL: none did. */
static const char *
broken_step(const struct drill *d)
{
    for (size_t i = 0; i < d->runbook->step_count; i++) {
        const struct drill_item *item = d->steps[i].item;
        if (!item || (item->verdict != VERDICT_PASSED && !item->warning))
            return d->runbook->steps[i].id;
    }
    return NULL;
}

void
drill_checks(struct drill *d)
{
    const char *broken = broken_step(d);

    for (size_t i = 0; i < d->runbook->check_count; i++) {
        const struct runbook_check *c = &d->runbook->checks[i];
        struct drill_item *item = drill_item_begin(d->result, SECTION_CHECKS, c->id,
                                                   c->name, c->uses);
        struct blame blame = { d, broken };
        refs_each_step(d->runbook, c->node, blame_step, &blame);
        item->warning = c->severity == SEVERITY_WARNING;
        if (cancel_requested())
            drill_item_say(item, VERDICT_ABORTED, "stopped by a signal");
        else if (blame.step && !broken)
            drill_item_say(item, item->warning ? VERDICT_SKIPPED : VERDICT_FAILED,
                           "it could not be looked at: step %s did not pass", blame.step);
        else if (blame.step)
            drill_item_say(item, VERDICT_SKIPPED, "step %s did not pass", blame.step);
        else
            run_check(d, c, item);
        drill_item_end(item);
    }
}
