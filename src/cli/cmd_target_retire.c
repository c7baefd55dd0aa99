#include "base/log.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "engine/retire.h"

#include <stdio.h>

struct options {
    bool dry_run, force;
    int64_t wait_ms;
};

static void
tell_short(void *arg, const struct snapshot_row *row, unsigned copies)
{
    json_t *o = json_add_object(arg);
    char hex[65];

    text_hex(hex, row->name.sha256, 32);
    json_put_text(o, "snapshot", hex);
    json_put_int(o, "copies", copies);
    if (row->loaded)
        json_put_text(o, "source", row->info.source);
    log_warn("snapshot %.12s%s%s is complete on %u of the other targets only", hex,
             row->loaded ? " of " : "", row->loaded ? row->info.source : "", copies);
}

static enum status
tell(struct app *app, const struct options *o, const char *name,
     const struct retire_result *res, struct err *e)
{
    json_put_text(app->result, "target", name);
    json_put_int(app->result, "snapshots", (int64_t)res->snapshots);
    json_put_int(app->result, "short", (int64_t)res->short_of);
    json_put_bool(app->result, "retired", res->retired);
    if (!res->retired && res->short_of > 0) {
        err_set(e, ERR_QUORUM, 0,
                "%llu of %llu snapshots would be on fewer than %u targets without %s; "
                "`drtool sync` copies them, --force lets it go all the same",
                (unsigned long long)res->short_of, (unsigned long long)res->snapshots,
                res->needed, name);
        return app_fail(e);
    }
    if (app->json || app->quiet)
        return STATUS_OK;
    if (o->dry_run)
        printf("%s may go: all %llu snapshots are complete on at least %u others\n", name,
               (unsigned long long)res->snapshots, res->needed);
    else
        printf("%s is forgotten here: remove it from %s; its objects are left where they "
               "are\n",
               name, app->conf->path);
    return STATUS_OK;
}

static enum status
run(struct app *app, struct err *e)
{
    const struct options *o = app->options;
    CLEANUP(repo_close_p) struct repo *r = NULL;
    struct retire_result res;
    struct retire_options ro = { .dry_run = o->dry_run,
                                 .force = o->force,
                                 .short_of = tell_short,
                                 .tick = progress_sync };

    if (open_target_args(app, true, e) < 0
        || open_for_writing(app, o->wait_ms, &r, e) < 0)
        return app_fail(e);
    ro.arg = json_put_array(app->result, "short_of_copies");
    progress_begin(app, "copying", NULL);
    int rc = engine_retire(r, fleet_find(repo_fleet(r), app->args[0]), &ro, &res, e);
    progress_end();
    return rc < 0 ? app_fail(e) : tell(app, o, app->args[0], &res, e);
}

#define AT(field) offsetof(struct options, field)

static const struct option options[] = {
    { OPT_FLAG, "dry-run", 'n', NULL, AT(dry_run), COMPLETE_NONE,
      "tell whether it may go, and change nothing" },
    { OPT_FLAG, "force", 0, NULL, AT(force), COMPLETE_NONE,
      "also when it is away or snapshots would be short of copies" },
    { OPT_DURATION, "wait", 0, "TIME", AT(wait_ms), COMPLETE_NONE,
      "wait so long for another run on this host to end" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const char *const examples[] = {
    "drtool target retire old-nas",
    "Copy what only this target holds to the others, and forget it.",
    NULL,
};

const struct command cmd_target_retire = {
    .name = "target retire",
    .args = "TARGET",
    .summary = "let a target go, once the others hold what it holds",
    .options = options,
    .options_size = sizeof(struct options),
    .needs = NEEDS_CONFIG,
    .complete = COMPLETE_TARGET,
    .examples = examples,
    .run = run,
};
