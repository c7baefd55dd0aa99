#include "base/clock.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/output.h"

#include <stdio.h>
#include <string.h>

#define RUNS_TOLD 10

static int
count_commit(void *arg, struct slice name, struct slice packs, struct err *e)
{
    (void)name;
    (void)packs;
    (void)e;
    ++*(unsigned *)arg;
    return 0;
}

static int
tell_targets(struct app *app, struct repo *r, struct err *e)
{
    static const char *const heads[] = { "TARGET", "SITE",         "STATE", ">QUEUED",
                                         ">BYTES", ">UNCOMMITTED", "ERROR", NULL };
    CLEANUP(table_free_p) struct table *t = table_new(heads);
    json_t *all = json_put_array(app->result, "targets");

    for (size_t i = 0; i < fleet_count(repo_fleet(r)); i++) {
        const struct target *x = fleet_target(repo_fleet(r), i);
        uint64_t rows = 0, bytes = 0;
        unsigned commits = 0;
        char queued[24], waiting[16];
        bool up = x->state == TARGET_UP;
        if (state_queue_sum(repo_state(r), x->name, &rows, &bytes, e) < 0
            || state_commit_list(repo_state(r), x->name, count_commit, &commits, e) < 0)
            return -1;
        json_t *o = json_add_object(all);
        json_put_text(o, "name", x->name);
        json_put_text(o, "site", x->site);
        json_put_text(o, "url", storage_url(x->store));
        json_put_text(o, "state", target_state_name(x->state));
        json_put_text(o, "error", up ? NULL : err_text(&x->why));
        json_put_int(o, "queued_objects", (int64_t)rows);
        json_put_int(o, "queued_bytes", (int64_t)bytes);
        json_put_int(o, "uncommitted_snapshots", commits);
        snprintf(queued, sizeof queued, "%llu", (unsigned long long)rows);
        snprintf(waiting, sizeof waiting, "%u", commits);
        TABLE_ROW(t, x->name, x->site, target_state_name(x->state), queued,
                  text_of_size(bytes), waiting, up ? "" : x->why.text);
        if (!up || rows > 0 || commits > 0)
            app_note(app, STATUS_DEGRADED);
    }
    if (!app->json)
        table_print(t, stdout);
    return 0;
}

static void
tell_source(struct repo *r, const struct conf_source *c, const struct snapshot_list *l,
            struct table *t, json_t *all)
{
    const struct snapshot_row *last = NULL;
    AUTOBUF struct buf on = BUF(4096);
    json_t *o = json_add_object(all);
    char id[13] = "";

    for (size_t i = 0; i < l->count; i++)
        if (l->rows[i].loaded && strcmp(l->rows[i].info.source, c->name) == 0
            && snapshot_committed(&l->rows[i]))
            last = &l->rows[i];
    json_put_text(o, "source", c->name);
    json_t *targets = json_put_array(o, "targets");
    if (!last) {
        json_put_text(o, "snapshot", NULL);
        TABLE_ROW(t, c->name, "never", "", "", "");
        return;
    }
    for (size_t i = 0; i < fleet_count(repo_fleet(r)); i++)
        if ((last->snap & last->done & ~last->gone) >> i & 1) {
            const char *name = fleet_target(repo_fleet(r), i)->name;
            json_add_text(targets, name);
            buf_printf(&on, "%s%s", on.len ? "," : "", name);
        }
    int64_t age_s = clock_now().s - last->info.started.s;
    char hex[65];
    text_hex(hex, last->info.id, 32);
    memcpy(id, hex, 12);
    json_put_text(o, "snapshot", hex);
    json_put_time(o, "started", last->info.started.s, last->info.started.ns);
    json_put_int(o, "age_s", age_s);
    TABLE_ROW(t, c->name, text_of_time(last->info.started.s),
              text_of_duration(age_s * 1000), id, buf_cstr(&on));
}

struct runs {
    struct table *table;
    json_t *all;
};

static int
tell_run(void *arg, const struct run_row *row, struct err *e)
{
    struct runs *x = arg;
    json_t *o = json_add_object(x->all);
    char exit[16];

    (void)e;
    json_put_text(o, "kind", row->kind);
    json_put_text(o, "subject", row->subject);
    json_put_time(o, "ended", row->ended_s, 0);
    json_put_int(o, "exit", row->status);
    snprintf(exit, sizeof exit, "%d", row->status);
    TABLE_ROW(x->table, text_of_time(row->ended_s), row->kind, row->subject, exit);
    return 0;
}

static enum status
run(struct app *app, struct err *e)
{
    static const char *const heads[] = { "SOURCE", "LAST SNAPSHOT", ">AGE", "ID", "ON",
                                         NULL };
    static const char *const run_heads[] = { "ENDED", "RUN", "SOURCE", ">EXIT", NULL };
    CLEANUP(repo_close_p) struct repo *r = NULL;
    CLEANUP(snapshot_list_release) struct snapshot_list l = { 0 };
    CLEANUP(table_free_p) struct table *t = table_new(heads);
    CLEANUP(table_free_p) struct table *rt = table_new(run_heads);
    struct err away = { 0 };

    struct runs runs = { rt, json_put_array(app->result, "runs") };
    if (open_for_reading(app, &r, e) < 0 || tell_targets(app, r, e) < 0)
        return app_fail(e);
    if (repo_snapshots(r, &l, &away) < 0)
        app_note(app, err_status(away.kind));
    json_t *all = json_put_array(app->result, "sources");
    for (size_t i = 0; i < app->conf->source_count; i++)
        tell_source(r, &app->conf->sources[i], &l, t, all);
    if (state_run_list(repo_state(r), RUNS_TOLD, tell_run, &runs, e) < 0)
        return app_fail(e);
    if (!app->json) {
        putchar('\n');
        table_print(t, stdout);
        putchar('\n');
        table_print(rt, stdout);
    }
    return STATUS_OK;
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
