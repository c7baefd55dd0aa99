#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/output.h"

#include "status.h"

#include <stdio.h>
#include <string.h>

#define RUNS_TOLD 10

static void
tell_last(struct repo *r, const struct snapshot_row *last, struct table *t, json_t *all)
{
    const struct snapshot *s = &last->info;
    AUTOBUF struct buf on = BUF(4096);
    json_t *o = json_add_object(all);
    int64_t age_ms = (clock_now().s - s->started.s) * 1000;
    char hex[65];

    text_hex(hex, s->id, 32);
    json_put_text(o, "source", s->source);
    json_put_text(o, "host", s->host);
    json_put_text(o, "snapshot", hex);
    json_put_time(o, "started", s->started.s, s->started.ns);
    json_put_seconds(o, "age", age_ms);
    json_t *targets = json_put_array(o, "targets");
    for (size_t i = 0; i < fleet_count(repo_fleet(r)); i++)
        if ((last->snap & last->done & ~last->gone) >> i & 1) {
            const char *name = fleet_target(repo_fleet(r), i)->name;
            json_add_text(targets, name);
            buf_printf(&on, "%s%s", on.len ? "," : "", name);
        }
    hex[12] = 0;
    TABLE_ROW(t, s->source, s->host, text_of_time(s->started.s),
              text_of_duration(age_ms < 0 ? 0 : age_ms), hex, buf_cstr(&on));
}

/* A configured source without a snapshot; `known` false: nobody could say. */
static void
tell_none(const char *source, bool known, struct table *t, json_t *all)
{
    json_t *o = json_add_object(all);

    json_put_text(o, "source", source);
    json_put_text(o, "host", NULL);
    json_put_text(o, "snapshot", NULL);
    TABLE_ROW(t, source, "", known ? "never" : "unknown", "", "", "");
}

static bool
is_of(const struct snapshot_row *row, const char *source)
{
    return row->loaded && strcmp(row->info.source, source) == 0;
}

/* The newest complete snapshot of each source of each host: of two hosts with a source of
 * the same name, one must not hide that the other has stopped. Those of the configuration
 * first, in its order. */
static void
tell_sources(struct app *app, struct repo *r, const struct snapshot_list *l)
{
    static const char *const heads[] = { "SOURCE", "HOST", "LAST SNAPSHOT", ">AGE", "ID",
                                         "ON",     NULL };
    CLEANUP(table_free_p) struct table *t = table_new(heads);
    json_t *all = json_put_array(app->result, "sources");
    bool known = l->asked && keys_can_open(repo_keys(r), CLASS_META);

    for (size_t i = 0; i < app->conf->source_count; i++) {
        const char *name = app->conf->sources[i].name;
        bool found = false;
        for (size_t k = 0; k < l->count; k++)
            if (is_of(&l->rows[k], name) && snapshot_is_newest(l, k)) {
                tell_last(r, &l->rows[k], t, all);
                found = true;
            }
        if (!found)
            tell_none(name, known, t, all);
    }
    for (size_t k = 0; k < l->count; k++)
        if (snapshot_is_newest(l, k)
            && !conf_find_source(app->conf, l->rows[k].info.source))
            tell_last(r, &l->rows[k], t, all);
    if (!app->json) {
        putchar('\n');
        table_print(t, stdout);
    }
}

struct runs {
    struct table *table;
    json_t *all;
};

static const char *
word_of(int exit_status)
{
    for (enum status s = 0; s < STATUS_COUNT; s++)
        if (status_number(s) == exit_status)
            return status_name(s);
    return "unknown";
}

static int
tell_run(void *arg, const struct run_row *row, struct err *e)
{
    struct runs *x = arg;
    json_t *o = json_add_object(x->all);

    (void)e;
    json_put_text(o, "kind", row->kind);
    json_put_text(o, "subject", row->subject);
    json_put_text(o, "detail", row->detail);
    json_put_time(o, "ended", row->ended_s, 0);
    json_put_int(o, "exit", row->status);
    json_put_text(o, "status", word_of(row->status));
    TABLE_ROW(x->table, text_of_time(row->ended_s), row->kind, row->subject,
              word_of(row->status));
    return 0;
}

static int
tell_runs(struct app *app, struct repo *r, struct err *e)
{
    static const char *const heads[] = { "ENDED", "RUN", "SOURCE", "RESULT", NULL };
    CLEANUP(table_free_p) struct table *t = table_new(heads);
    struct runs runs = { t, json_put_array(app->result, "runs") };

    if (state_run_list(repo_state(r), RUNS_TOLD, tell_run, &runs, e) < 0)
        return -1;
    if (!app->json) {
        putchar('\n');
        table_print(t, stdout);
    }
    return 0;
}

static enum status
run(struct app *app, struct err *e)
{
    CLEANUP(repo_close_p) struct repo *r = NULL;
    CLEANUP(snapshot_list_release) struct snapshot_list l = { 0 };
    struct err away = { 0 };

    if (open_for_reading(app, &r, e) < 0)
        return app_fail(e);
    if (repo_snapshots(r, &l, &away) < 0) {
        app_note(app, err_status(away.kind));
        log_warn("%s", err_text(&away));
    }
    if (repo_rollback_seen(r))
        app_note(app, STATUS_ROLLBACK);
    open_tell_lost(app, r, &l);
    if (status_targets(app, r, &l, e) < 0)
        return app_fail(e);
    tell_sources(app, r, &l);
    if (status_logs(app, r, &l, e) < 0)
        return app_fail(e);
    return tell_runs(app, r, e) < 0 ? app_fail(e) : STATUS_OK;
}

static const char *const examples[] = {
    "drtool status",
    "Tell how each target is, what waits for it, and how old the last snapshots are.",
    NULL,
};

const struct command cmd_status = {
    .name = "status",
    .summary = "tell how the targets are and how old the last snapshots",
    .needs = NEEDS_CONFIG,
    .examples = examples,
    .run = run,
};
