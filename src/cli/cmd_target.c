#include "base/log.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "engine/sync.h"

#include <stdio.h>
#include <string.h>

struct options {
    bool empty;
    int64_t wait_ms;
};

static int
fill(struct app *app, struct repo *r, const char *name, struct err *e)
{
    struct sync_options so = { .to = name, .tick = progress_sync };
    struct sync_result res;

    if (repo_load_index(r, e) < 0 || repo_start(r, e) < 0)
        return -1;
    progress_begin(app, "filling the target", NULL);
    int rc = engine_sync(r, &so, &res, e);
    progress_end();
    if (rc < 0)
        return -1;
    const struct target *t = fleet_find(repo_fleet(r), name);
    uint64_t objects = atomic_load(&t->objects_sent), bytes = atomic_load(&t->bytes_sent);
    json_put_int(app->result, "copied_objects", (int64_t)objects);
    json_put_int(app->result, "copied_bytes", (int64_t)bytes);
    if (!app->json && !app->quiet)
        printf("%s: %llu objects copied (%s)\n", name, (unsigned long long)objects,
               text_of_size(bytes));
    for (size_t i = 0; i < res.target_count; i++)
        if (strcmp(res.targets[i].name, name) == 0 && !res.targets[i].committed) {
            *e = res.targets[i].why;
            return err_in(e, "target %s is not complete yet", name);
        }
    return 0;
}

static enum status
run_add(struct app *app, struct err *e)
{
    const struct options *o = app->options;
    CLEANUP(repo_close_p) struct repo *r = NULL;

    if (open_target_args(app, true, e) < 0
        || open_without_lanes(app, o->wait_ms, &r, e) < 0
        || repo_target_add(r, fleet_find(repo_fleet(r), app->args[0]), e) < 0)
        return app_fail(e);
    json_put_text(app->result, "target", app->args[0]);
    if (!o->empty && fill(app, r, app->args[0], e) < 0)
        return app_fail(e);
    return STATUS_OK;
}

#define AT(field) offsetof(struct options, field)

static const struct option options[] = {
    { OPT_FLAG, "empty", 0, NULL, AT(empty), COMPLETE_NONE,
      "do not copy what the other targets hold; sync does it later" },
    { OPT_DURATION, "wait", 0, "TIME", AT(wait_ms), COMPLETE_NONE,
      "wait so long for another run on this host to end" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const char *const examples[] = {
    "drtool target add nas",
    "Make a new or emptied place a target again, and fill it from the others.",
    NULL,
};

const struct command cmd_target_add = {
    .name = "target add",
    .args = "TARGET",
    .summary = "make a new or emptied place a target, and fill it",
    .options = options,
    .options_size = sizeof(struct options),
    .needs = NEEDS_CONFIG,
    .complete = COMPLETE_TARGET,
    .examples = examples,
    .run = run_add,
};
