#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "engine/sync.h"
#include "engine/wal.h"

#include <stdio.h>
#include <unistd.h>

struct options {
    const char *from, *to;
    bool dry_run;
    int64_t wait_ms;
};

static void
tell(struct app *app, const struct options *o, const struct sync_result *res)
{
    json_put_int(app->result, "missing_objects", (int64_t)res->queued_objects);
    json_put_int(app->result, "missing_bytes", (int64_t)res->queued_bytes);
    json_put_int(app->result, "mended_objects", (int64_t)res->mended);
    json_put_int(app->result, "snapshots", (int64_t)res->snapshots);
    json_put_seconds(app->result, "elapsed", res->elapsed_ms);
    json_t *all = json_put_array(app->result, "targets");
    for (size_t i = 0; i < res->target_count && !o->dry_run; i++) {
        const struct target_result *t = &res->targets[i];
        json_t *x = json_add_object(all);
        json_put_text(x, "name", t->name);
        json_put_bool(x, "complete", t->committed);
        json_put_int(x, "sent_bytes", (int64_t)t->sent_bytes);
        json_put_int(x, "sent_objects", (int64_t)t->sent_objects);
        if (!t->committed) {
            json_put_text(x, "error", err_text(&t->why));
            log_warn("target %s is not complete: %s", t->name, err_text(&t->why));
            app_note(app, STATUS_DEGRADED);
        }
        if (app_chatty(app))
            printf("%s: %s, %llu objects sent (%s)\n", t->name,
                   t->committed ? "complete" : "not complete",
                   (unsigned long long)t->sent_objects, text_of_size(t->sent_bytes));
    }
    if (o->dry_run && !app->json)
        printf("%llu objects (%s) of %llu snapshots would be copied\n",
               (unsigned long long)res->queued_objects, text_of_size(res->queued_bytes),
               (unsigned long long)res->snapshots);
}

/* What of a server's log waits on this host. A push that runs does it by itself. */
static int
send_log(struct app *app, struct err *e)
{
    AUTOFREE char *db = mem_printf("%s/%s/wal/state.db", app->conf->state,
                                   app->conf->repository);
    CLEANUP(repo_close_p) struct repo *r = NULL;

    if (access(db, F_OK) < 0)
        return 0;
    if (open_log_for_writing(app, 0, &r, e) == 0)
        return engine_wal_deliver(r, e);
    if (e->kind != ERR_CONFLICT)
        return -1;
    log_info("%s", err_text(e));
    *e = (struct err){ 0 };
    return 0;
}

static enum status
run(struct app *app, struct err *e)
{
    const struct options *o = app->options;
    CLEANUP(repo_close_p) struct repo *r = NULL;
    struct sync_options so = {
        .from = o->from, .to = o->to, .dry_run = o->dry_run, .tick = progress_sync
    };
    struct sync_result res;
    struct err ignored = { 0 };

    if ((!o->dry_run && send_log(app, e) < 0)
        || open_for_writing(app, o->wait_ms, &r, e) < 0)
        return app_fail(e);
    progress_begin(app, "syncing", NULL);
    int rc = engine_sync(r, &so, &res, e);
    progress_end();
    if (rc < 0)
        return app_fail(e);
    if (repo_rollback_seen(r))
        app_note(app, STATUS_ROLLBACK);
    tell(app, o, &res);
    if (!o->dry_run
        && state_run_add(repo_state(r), "sync", "", clock_now().s,
                         status_number(app_status(app, STATUS_OK)), "", &ignored)
               < 0)
        log_info("%s", err_text(&ignored));
    return STATUS_OK;
}

#define AT(field) offsetof(struct options, field)

static const struct option options[] = {
    { OPT_STRING, "from", 0, "TARGET", AT(from), COMPLETE_TARGET,
      "copy only from TARGET" },
    { OPT_STRING, "to", 0, "TARGET", AT(to), COMPLETE_TARGET, "copy only to TARGET" },
    { OPT_FLAG, "dry-run", 'n', NULL, AT(dry_run), COMPLETE_NONE,
      "tell what would be copied, and copy nothing" },
    { OPT_DURATION, "wait", 0, "TIME", AT(wait_ms), COMPLETE_NONE,
      "wait so long for another run on this host to end" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const char *const examples[] = {
    "drtool sync",
    "Send what is queued, and bring every target up to date from the others.",
    "drtool sync --from nas --to eu-west --dry-run",
    "Tell what one target lacks of another.",
    NULL,
};

const struct command cmd_sync = {
    .name = "sync",
    .summary = "bring every target to what the best of them holds",
    .options = options,
    .options_size = sizeof(struct options),
    .needs = NEEDS_CONFIG,
    .examples = examples,
    .run = run,
};
