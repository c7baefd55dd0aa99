#include "base/log.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "drill/drill.h"
#include "drill/report.h"

#include <stdio.h>

enum mode { MODE_DRILL, MODE_CHECK };

struct options {
    const char *report;
    int mode;
    bool keep;
};

static void
on_restore(void *arg, const char *source)
{
    if (source)
        progress_begin(arg, "restoring", source);
    else
        progress_end();
}

/* With --quiet nothing but what did not pass. */
static void
warn_of_failures(const struct drill_result *r)
{
    for (enum section s = 0; s < SECTION_COUNT; s++)
        for (size_t i = 0; i < r->sections[s].count; i++) {
            const struct drill_item *item = r->sections[s].items[i];
            if (item->verdict == VERDICT_PASSED || item->verdict == VERDICT_SKIPPED)
                continue;
            log_warn("%s %s: %s%s%s%s%s", section_name(s), item->id,
                     item->why ? item->why : verdict_name(item->verdict),
                     item->expected ? "; expected " : "",
                     item->expected ? item->expected : "",
                     item->actual ? ", actual " : "", item->actual ? item->actual : "");
        }
}

static void
tell(struct app *app, const struct drill_result *r)
{
    AUTOBUF struct buf out = BUF(REPORT_MAX);
    json_t *members = report_json(r);

    json_object_update(app->result, members);
    json_decref(members);
    if (app->json)
        return;
    if (app->quiet) {
        warn_of_failures(r);
        return;
    }
    report_text(r, app->verbose > 0, &out);
    fputs(buf_cstr(&out), stdout);
}

static enum status
run(struct app *app, struct err *e)
{
    const struct options *o = app->options;
    CLEANUP(drill_result_release) struct drill_result r = { 0 };
    CLEANUP(runbook_free_p) struct runbook *rb = NULL;
    struct err report = { 0 };
    char id[RUN_ID_MAX];

    drill_run_id(id);
    if (runbook_load(app->args[0], app->conf, id, &rb, e) < 0)
        return app_fail(e);
    struct drill_options d = { .conf = app->conf,
                               .runbook = rb,
                               .keep = o->keep,
                               .check_only = o->mode == MODE_CHECK,
                               .restoring = on_restore,
                               .tick = progress_restore,
                               .arg = app };
    drill_run(&d, &r);
    if (o->report && report_write(&r, o->report, &report) < 0)
        log_warn("%s", err_text(&report));
    tell(app, &r);
    if (r.status == STATUS_INTERRUPTED)
        err_set(e, ERR_CANCELLED, 0, "stopped by a signal; the sandbox %s",
                r.left   ? "could not be removed"
                : r.kept ? "is kept"
                         : "is removed");
    else if (report.kind != ERR_NONE && r.status == STATUS_OK)
        *e = report; /* evidence that was asked for is missing */
    return r.status;
}

#define AT(field) offsetof(struct options, field)

static const struct option options[] = {
    { OPT_STRING, "report", 0, "DIR", AT(report), COMPLETE_DIR,
      "write report.json and junit.xml into DIR, however the drill ends" },
    { OPT_ENUM, "mode", 0, "drill|check", AT(mode), COMPLETE_NONE,
      "check: only look whether the drill could begin" },
    { OPT_FLAG, "keep", 0, NULL, AT(keep), COMPLETE_NONE,
      "leave the sandbox for a person to look at" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const char *const examples[] = {
    "drtool drill target-loss.yaml --report report",
    "Rehearse a plan, and keep the evidence.",
    "drtool drill --mode check target-loss.yaml",
    "Look every day whether the weekly drill could begin.",
    NULL,
};

const struct command cmd_drill = {
    .name = "drill",
    .args = "RUNBOOK",
    .summary = "rehearse a recovery plan in a sandbox, with faults, and measure it",
    .options = options,
    .options_size = sizeof(struct options),
    .needs = NEEDS_CONFIG,
    .complete = COMPLETE_FILE,
    .examples = examples,
    .run = run,
};
