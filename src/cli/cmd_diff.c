#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/output.h"
#include "engine/tree.h"

#include <stdio.h>

static const struct {
    unsigned bit;
    const char *name;
} changes[] = {
    { TREE_TYPE, "type" },     { TREE_MODE, "mode" },         { TREE_OWNER, "owner" },
    { TREE_SIZE, "size" },     { TREE_CONTENT, "content" },   { TREE_LINK, "target" },
    { TREE_DEVICE, "device" }, { TREE_XATTRS, "attributes" }, { TREE_TIME, "time" },
};

struct told {
    struct app *app;
    json_t *entries;
    uint64_t added, removed, changed;
};

static int
tell(void *arg, const struct entry *a, const struct entry *b, unsigned what,
     struct err *e)
{
    struct told *t = arg;
    const struct entry *any = a ? a : b;
    char sign = !a ? '+' : !b ? '-' : 'M';
    const char *between = " (";

    (void)e;
    *(!a ? &t->added : !b ? &t->removed : &t->changed) += 1;
    if (t->app->json) {
        json_t *o = json_add_object(t->entries);
        json_put_name(o, "path", any->path);
        json_put_text(o, "change", !a ? "added" : !b ? "removed" : "changed");
        json_t *list = json_put_array(o, "what");
        for (size_t i = 0; i < COUNT_OF(changes); i++)
            if (what & changes[i].bit)
                json_add_text(list, changes[i].name);
        return 0;
    }
    printf("%c /", sign);
    name_print(any->path, stdout);
    for (size_t i = 0; i < COUNT_OF(changes); i++)
        if (what & changes[i].bit) {
            printf("%s%s", between, changes[i].name);
            between = ", ";
        }
    puts(what ? ")" : "");
    return 0;
}

static enum status
run(struct app *app, struct err *e)
{
    CLEANUP(repo_close_p) struct repo *r = NULL;
    CLEANUP(snapshot_list_release) struct snapshot_list l = { 0 };
    struct snapshot_row *a = NULL, *b = NULL;
    struct told t = { .app = app, .entries = json_put_array(app->result, "entries") };

    if (app->arg_count != 2)
        err_set(e, ERR_USAGE, 0, "give two snapshots");
    if (e->kind != ERR_NONE || open_for_snapshot(app, &r, e) < 0
        || open_snapshot(r, app->args[0], &l, &a, e) < 0
        || repo_find_snapshot(&l, app->args[1], &b, e) < 0
        || tree_diff(r, &a->info, &b->info, tell, &t, e) < 0)
        return app_fail(e);
    json_put_int(app->result, "added", (int64_t)t.added);
    json_put_int(app->result, "removed", (int64_t)t.removed);
    json_put_int(app->result, "changed", (int64_t)t.changed);
    return STATUS_OK;
}

static const char *const examples[] = {
    "drtool diff uploads@2026-11-21 uploads",
    "Tell what changed since the newest snapshot of a day.",
    NULL,
};

const struct command cmd_diff = {
    .name = "diff",
    .args = "SNAPSHOT SNAPSHOT",
    .summary = "tell what changed from one snapshot to another",
    .needs = NEEDS_CONFIG,
    .complete = COMPLETE_SNAPSHOT,
    .examples = examples,
    .run = run,
};
