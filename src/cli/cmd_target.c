#include "base/log.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "engine/check.h"
#include "engine/sync.h"

#include <stdio.h>
#include <string.h>

struct options {
    bool empty;
    int64_t wait_ms;
};

static struct target *
find(struct repo *r, const char *name)
{
    for (size_t i = 0; i < fleet_count(repo_fleet(r)); i++)
        if (strcmp(fleet_target(repo_fleet(r), i)->name, name) == 0)
            return fleet_target(repo_fleet(r), i);
    return NULL;
}

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
    const struct target *t = find(r, name);
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

    if (app->arg_count != 1)
        err_set(e, ERR_USAGE, 0, "which target? name one of the configuration");
    else if (!conf_find_target(app->conf, app->args[0]))
        err_set(e, ERR_USAGE, 0, "%s: there is no target called %s", app->conf->path,
                app->args[0]);
    if (e->kind != ERR_NONE || open_without_lanes(app, o->wait_ms, &r, e) < 0
        || repo_target_add(r, find(r, app->args[0]), e) < 0)
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

#undef AT
#define AT(field) offsetof(struct check_options, field)

struct check_options {
    uint64_t size;
};

struct checked {
    struct app *app;
    json_t *all;
    struct table *table;
    const char *target;
    bool bad;
};

static void
tell_check(void *arg, const char *what, enum check_verdict v, const char *text)
{
    struct checked *x = arg;
    json_t *o = json_add_object(x->all);

    json_put_text(o, "target", x->target);
    json_put_text(o, "check", what);
    json_put_text(o, "verdict", check_verdict_name(v));
    json_put_text(o, "detail", text);
    TABLE_ROW(x->table, x->target, what, check_verdict_name(v), text);
    x->bad |= v == CHECK_BAD;
}

static int
check_one(struct checked *x, struct repo *r, struct target *t, uint64_t size,
          struct err *e)
{
    struct err why = { 0 };

    x->target = t->name;
    if (target_is_up(repo_fleet(r), t)) {
        tell_check(x, "answer", CHECK_GOOD, "it is a target of this repository");
        return engine_check(t, size, tell_check, x, e);
    }
    fleet_why(repo_fleet(r), t, &why);
    bool others = x->bad;
    tell_check(x, "answer", CHECK_BAD, err_text(&why));
    x->bad = others; /* its own status tells more than "failed" */
    app_note(x->app, err_status(why.kind));
    return 0;
}

static bool
wanted(const struct app *app, const char *name)
{
    for (size_t i = 0; i < app->arg_count; i++)
        if (strcmp(app->args[i], name) == 0)
            return true;
    return app->arg_count == 0;
}

static enum status
run_check(struct app *app, struct err *e)
{
    static const char *const heads[] = { "TARGET", "CHECK", "VERDICT", "FOUND", NULL };
    const struct check_options *o = app->options;
    CLEANUP(table_free_p) struct table *table = table_new(heads);
    CLEANUP(repo_close_p) struct repo *r = NULL;
    struct checked x = { app, json_put_array(app->result, "checks"), table, NULL, false };
    int rc = 0;

    for (size_t i = 0; i < app->arg_count; i++)
        if (!conf_find_target(app->conf, app->args[i])) {
            err_set(e, ERR_USAGE, 0, "%s: there is no target called %s", app->conf->path,
                    app->args[i]);
            return app_fail(e);
        }
    if (o->size > STORAGE_OBJECT_MAX) {
        err_set(e, ERR_USAGE, 0, "--size is at most %s",
                text_of_size(STORAGE_OBJECT_MAX));
        return app_fail(e);
    }
    if (open_for_reading(app, &r, e) < 0)
        return app_fail(e);
    for (size_t i = 0; i < fleet_count(repo_fleet(r)) && rc == 0; i++) {
        struct target *t = fleet_target(repo_fleet(r), i);
        if (wanted(app, t->name))
            rc = check_one(&x, r, t, o->size, e);
    }
    if (!app->json)
        table_print(table, stdout);
    if (rc < 0)
        return app_fail(e);
    return x.bad ? STATUS_FAILED : STATUS_OK;
}

static const struct check_options check_defaults = { .size = 16 << 20 };

static const struct option check_table[] = {
    { OPT_SIZE, "size", 0, "SIZE", AT(size), COMPLETE_NONE,
      "bytes to send and read for the speed; 0: none (default: 16MiB)" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const char *const check_examples[] = {
    "drtool target check",
    "Try out every target: clock, put, get, list, checksums, speed.",
    NULL,
};

const struct command cmd_target_check = {
    .name = "target check",
    .args = "[TARGET...]",
    .summary = "try out what targets do, and how fast",
    .options = check_table,
    .options_size = sizeof(struct check_options),
    .defaults = &check_defaults,
    .needs = NEEDS_CONFIG,
    .complete = COMPLETE_TARGET,
    .examples = check_examples,
    .run = run_check,
};
