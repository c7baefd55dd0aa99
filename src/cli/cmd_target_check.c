#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/output.h"
#include "engine/check.h"

#include <stdio.h>
#include <string.h>

struct options {
    uint64_t size;
};

struct checked {
    struct app *app;
    json_t *all;
    const char *target;  /* the one at hand */
    struct table *table; /* its table */
    bool bad;
};

static void
tell(struct checked *x, const char *what, enum check_verdict v, const char *text)
{
    json_t *o = json_add_object(x->all);

    json_put_text(o, "target", x->target);
    json_put_text(o, "check", what);
    json_put_text(o, "verdict", check_verdict_name(v));
    json_put_text(o, "detail", text);
    TABLE_ROW(x->table, x->target, what, check_verdict_name(v), text);
}

static void
tell_check(void *arg, const char *what, enum check_verdict v, const char *text)
{
    struct checked *x = arg;

    tell(x, what, v, text);
    x->bad |= v == CHECK_BAD;
}

/* Told target by target, since a slow line takes its time. */
static int
check_one(struct checked *x, struct repo *r, struct target *t, uint64_t size,
          struct err *e)
{
    static const char *const heads[] = { "TARGET", "CHECK", "VERDICT", "FOUND", NULL };
    CLEANUP(table_free_p) struct table *table = table_new(heads);
    struct err why = { 0 };
    int rc = 0;

    x->target = t->name;
    x->table = table;
    if (target_is_up(repo_fleet(r), t)) {
        tell(x, "answer", CHECK_GOOD, "it is a target of this repository");
        rc = engine_check(t, size, tell_check, x, e);
    } else {
        fleet_why(repo_fleet(r), t, &why);
        tell(x, "answer", CHECK_BAD, err_text(&why));
        app_note(x->app, err_status(why.kind));
    }
    if (!x->app->json)
        table_print(table, stdout);
    return rc;
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
run(struct app *app, struct err *e)
{
    const struct options *o = app->options;
    CLEANUP(repo_close_p) struct repo *r = NULL;
    struct checked x = { .app = app, .all = json_put_array(app->result, "checks") };
    int rc = 0;

    if (open_target_args(app, false, e) < 0)
        return app_fail(e);
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
    if (rc < 0)
        return app_fail(e);
    return x.bad ? STATUS_FAILED : STATUS_OK;
}

static const struct options defaults = { .size = 16 << 20 };

#define AT(field) offsetof(struct options, field)

static const struct option options[] = {
    { OPT_SIZE, "size", 0, "SIZE", AT(size), COMPLETE_NONE,
      "bytes to send and read for the speed; 0: none (default: 16MiB)" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const char *const examples[] = {
    "drtool target check",
    "Try out every target: clock, put, get, list, checksums, speed.",
    NULL,
};

const struct command cmd_target_check = {
    .name = "target check",
    .args = "[TARGET...]",
    .summary = "try out what targets do, and how fast",
    .options = options,
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .needs = NEEDS_CONFIG,
    .complete = COMPLETE_TARGET,
    .examples = examples,
    .run = run,
};
