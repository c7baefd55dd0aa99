#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/output.h"
#include "source/facts.h"

#include <stdio.h>
#include <string.h>

struct options {
    bool all;
    struct opt_strings tags;
};

static bool
has_tags(const struct snapshot *s, const struct opt_strings *want)
{
    for (size_t i = 0; i < want->count; i++) {
        bool found = false;
        for (size_t j = 0; j < s->tag_count && !found; j++)
            found = strcmp(s->tags[j], want->items[i]) == 0;
        if (!found)
            return false;
    }
    return true;
}

/* The names of the targets that hold it complete, comma-separated. */
static char *
names_of(struct repo *r, uint32_t on)
{
    AUTOBUF struct buf out = BUF(4096);

    for (size_t i = 0; i < fleet_count(repo_fleet(r)); i++)
        if (on >> i & 1)
            buf_printf(&out, "%s%s", out.len ? "," : "",
                       fleet_target(repo_fleet(r), i)->name);
    return mem_strdup(buf_cstr(&out));
}

static void
tell(struct repo *r, const struct snapshot_row *row, struct table *t, json_t *all)
{
    const struct snapshot *s = &row->info;
    AUTOFREE char *on = names_of(r, row->snap & row->done & ~row->gone);
    AUTOBUF struct buf tags = BUF(4096);
    bool complete = snapshot_committed(row);
    char hex[65];
    json_t *o = json_add_object(all);

    text_hex(hex, s->id, 32);
    json_put_text(o, "id", hex);
    json_put_text(o, "source", s->source);
    json_put_text(o, "kind", s->kind);
    json_put_text(o, "host", s->host);
    json_put_time(o, "started", s->started.s, s->started.ns);
    json_put_time(o, "ended", s->ended.s, s->ended.ns);
    json_put_int(o, "entries", (int64_t)s->root.entries);
    json_put_int(o, "bytes", (int64_t)s->root.bytes);
    json_put_int(o, "stored_bytes", (int64_t)s->added);
    json_put_int(o, "issues", (int64_t)s->issues);
    json_put_bool(o, "complete", complete);
    json_t *targets = json_put_array(o, "targets");
    for (size_t i = 0; i < fleet_count(repo_fleet(r)); i++)
        if ((row->snap & row->done & ~row->gone) >> i & 1)
            json_add_text(targets, fleet_target(repo_fleet(r), i)->name);
    json_t *list = json_put_array(o, "tags");
    for (size_t i = 0; i < s->tag_count; i++) {
        json_add_text(list, s->tags[i]);
        buf_printf(&tags, "%s%s", i ? "," : "", s->tags[i]);
    }
    json_t *facts = json_put_object(o, "facts");
    struct slice rest = buf_slice(&s->facts);
    const char *name, *value;
    while (facts_next(&rest, &name, &value))
        json_put_text(facts, name, value);
    hex[12] = 0;
    AUTOFREE char *entries = mem_printf("%llu", (unsigned long long)s->root.entries);
    TABLE_ROW(t, hex, text_of_time(s->started.s), s->host, s->source, entries,
              text_of_size(s->root.bytes), text_of_size(s->added),
              complete ? on : "(incomplete)", buf_cstr(&tags));
}

static enum status
run(struct app *app, struct err *e)
{
    static const char *const heads[] = { "ID",    "TAKEN",  "HOST", "SOURCE", ">ENTRIES",
                                         ">SIZE", ">ADDED", "ON",   "TAGS",   NULL };
    const struct options *o = app->options;
    CLEANUP(repo_close_p) struct repo *r = NULL;
    CLEANUP(snapshot_list_release) struct snapshot_list l = { 0 };
    CLEANUP(table_free_p) struct table *t = table_new(heads);

    if (open_for_reading(app, &r, e) < 0 || open_needs_metadata(r, e) < 0
        || repo_snapshots(r, &l, e) < 0)
        return app_fail(e);
    json_t *all = json_put_array(app->result, "snapshots");
    for (size_t i = 0; i < l.count; i++) {
        struct snapshot_row *row = &l.rows[i];
        bool named = app->arg_count == 0;
        for (size_t k = 0; k < app->arg_count && !named; k++)
            named = strcmp(app->args[k], row->info.source) == 0;
        if (named && (o->all || snapshot_committed(row))
            && has_tags(&row->info, &o->tags))
            tell(r, row, t, all);
    }
    if (repo_rollback_seen(r))
        app_note(app, STATUS_ROLLBACK);
    open_tell_lost(app, r, &l);
    open_tell_targets(app, r);
    if (!app->json)
        table_print(t, stdout);
    return STATUS_OK;
}

#define AT(field) offsetof(struct options, field)

static const struct option options[] = {
    { OPT_FLAG, "all", 'a', NULL, AT(all), COMPLETE_NONE,
      "also those that no target holds complete" },
    { OPT_STRINGS, "tag", 0, "TAG", AT(tags), COMPLETE_NONE,
      "only snapshots with TAG; may be repeated" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const char *const examples[] = {
    "drtool snapshots",
    "List all complete snapshots and the targets that hold them.",
    "drtool snapshots --tag before-upgrade uploads",
    "List the snapshots of one source that have a tag.",
    NULL,
};

const struct command cmd_snapshots = {
    .name = "snapshots",
    .args = "[SOURCE...]",
    .summary = "list snapshots and where they are",
    .options = options,
    .options_size = sizeof(struct options),
    .needs = NEEDS_CONFIG,
    .complete = COMPLETE_SOURCE,
    .examples = examples,
    .run = run,
};
