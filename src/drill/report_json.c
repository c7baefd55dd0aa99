#include "base/text.h"
#include "drill/report.h"

#include <stdlib.h>
#include <string.h>

/* Text for a person that may carry bytes of a file name: never lost. */
static void
put_text(json_t *o, const char *key, const char *text)
{
    struct slice s = slice_str(text ? text : "");

    json_object_set_new(o, key,
                        !text ? json_null()
                              : json_string(text_is_utf8(s) ? text : text_of_name(s)));
}

static void
put_int(json_t *o, const char *key, uint64_t v)
{
    json_object_set_new(o, key, json_integer((json_int_t)v));
}

/* Seconds, in decimals of a millisecond; -1 ms: null. */
static void
put_seconds(json_t *o, const char *key, int64_t ms)
{
    json_object_set_new(o, key, ms < 0 ? json_null() : json_real((double)ms / 1e3));
}

static void
put_time(json_t *o, const char *key, struct clock_time t)
{
    put_text(o, key, t.s ? text_of_utc(t.s, t.ns) : NULL);
}

static json_t *
put_new(json_t *o, const char *key, json_t *value)
{
    json_object_set_new(o, key, value);
    return value;
}

static json_t *
add_object(json_t *array)
{
    json_t *o = json_object();

    json_array_append_new(array, o);
    return o;
}

static void
put_strings(json_t *o, const char *key, char *const *list)
{
    json_t *a = put_new(o, key, json_array());

    for (; list && *list; list++)
        json_array_append_new(a, json_string(*list));
}

static void
put_run(json_t *o, const struct drill_result *r)
{
    const struct runbook *rb = r->runbook;
    json_t *run = put_new(o, "run", json_object());
    char hex[65];

    text_hex(hex, rb->sha256, sizeof rb->sha256);
    put_text(run, "id", rb->run_id);
    put_text(run, "mode", r->check_only ? "check" : "drill");
    json_t *book = put_new(run, "runbook", json_object());
    put_text(book, "name", rb->metadata.name);
    put_text(book, "title", rb->metadata.title);
    put_text(book, "file", rb->path);
    put_text(book, "sha256", hex);
    put_text(book, "owner", rb->metadata.owner);
    if (rb->metadata.tier)
        put_int(book, "tier", rb->metadata.tier);
    put_strings(book, "tags", rb->metadata.tags);
    put_strings(book, "controls", rb->metadata.controls);
    json_t *tool = put_new(run, "tool", json_object());
    put_text(tool, "version", DRTOOL_VERSION);
    put_text(run, "host", r->host);
    put_time(run, "started", r->begun);
    put_time(run, "t0", r->t0);
    put_time(run, "ended", r->ended);
    put_seconds(run, "dur_s", r->took_ms);
    put_text(run, "result", verdict_name(r->verdict));
}

/* What is left of an objective, in percent of it; below 0 when it was missed. */
static void
put_margin(json_t *o, const char *key, int64_t objective_ms, int64_t measured_ms)
{
    bool known = objective_ms > 0 && measured_ms >= 0;
    int64_t percent = known ? (objective_ms - measured_ms) * 100 / objective_ms : 0;

    json_object_set_new(o, key, known ? json_integer(percent) : json_null());
}

static void
put_objectives(json_t *o, const struct drill_result *r)
{
    const struct drill_list *l = &r->sections[SECTION_OBJECTIVES];
    int64_t rto = r->runbook->objectives.rto_ms, rpo = r->runbook->objectives.rpo_ms;
    json_t *x = add_object(put_new(o, "objectives", json_array()));
    enum verdict v = l->count ? VERDICT_PASSED : VERDICT_SKIPPED;

    for (size_t i = 0; i < l->count; i++)
        if (l->items[i]->verdict != VERDICT_PASSED && v != VERDICT_FAILED)
            v = l->items[i]->verdict;
    put_text(x, "scenario", NULL);
    put_seconds(x, "rto_s", rto ? rto : -1);
    put_seconds(x, "rpo_s", rpo ? rpo : -1);
    put_seconds(x, "rto_measured_s", r->rto_ms);
    put_seconds(x, "rto_human_s", r->rto_ms < 0 ? -1 : 0); /* nobody is waited for */
    put_seconds(x, "rpo_measured_s", r->rpo_ms);
    put_text(x, "rpo_source", r->rpo_ms < 0 ? NULL : "snapshot");
    put_margin(x, "margin_pct", rto, r->rto_ms);
    put_margin(x, "rpo_margin_pct", rpo, r->rpo_ms);
    put_text(x, "result", verdict_name(v));
}

static void
put_point(json_t *o, const struct drill_result *r)
{
    static const char *const selects[] = { "latest", "as-of", "id" };
    json_t *x = put_new(o, "recovery_point", json_object());
    struct clock_time taken = { 0, 0 };

    put_text(x, "select", selects[r->runbook->point.select]);
    json_t *ids = put_new(x, "snapshots", json_array());
    for (size_t i = 0; i < r->snapshot_count; i++) {
        const struct drill_snapshot *s = &r->snapshots[i];
        json_array_append_new(ids, json_string(s->id));
        if (taken.s == 0 || s->started.s < taken.s)
            taken = s->started;
    }
    put_time(x, "taken", taken);
    put_seconds(x, "age_s", r->rpo_ms);
}

static void
put_targets(json_t *o, const struct drill_result *r)
{
    json_t *a = put_new(o, "targets", json_array());

    for (size_t i = 0; i < r->target_count; i++) {
        json_t *x = add_object(a);
        put_text(x, "name", r->targets[i].name);
        put_text(x, "state", r->targets[i].state);
        put_int(x, "bytes", r->targets[i].bytes);
        put_int(x, "requests", r->targets[i].reads);
        put_int(x, "errors", r->targets[i].bad_reads);
    }
}

static void
put_outputs(json_t *o, const struct drill_item *item)
{
    json_t *x = put_new(o, "outputs", json_object());
    uint64_t n;

    for (size_t i = 0; i < item->output_count; i++) {
        const struct drill_output *out = &item->outputs[i];
        if (out->number && text_uint(out->value, INT64_MAX, &n))
            put_int(x, out->name, n);
        else
            put_text(x, out->name, out->value);
    }
}

static json_t *
item_json(enum section s, const struct drill_item *item)
{
    json_t *o = json_object();

    put_text(o, "id", item->id);
    if (item->name)
        put_text(o, "name", item->name);
    put_text(o, "uses", item->uses);
    if (s == SECTION_FAULTS) {
        put_text(o, "target", item->target);
        put_time(o, "armed", item->at);
        put_int(o, "hits", item->hits);
        json_object_set_new(o, "detected", json_boolean(item->detected));
    } else {
        put_time(o, "start", item->at);
    }
    if (s == SECTION_CHECKS || s == SECTION_READINESS)
        put_text(o, "severity", item->warning ? "warning" : "critical");
    if (s == SECTION_CHECKS) {
        put_text(o, "expected", item->expected);
        put_text(o, "actual", item->actual);
    }
    if (s == SECTION_STEPS)
        put_int(o, "attempts", item->verdict == VERDICT_SKIPPED ? 0 : 1);
    if (s == SECTION_STEPS || s == SECTION_CHECKS)
        put_outputs(o, item);
    put_int(o, "dur_ms", (uint64_t)item->took_ms);
    put_text(o, "result", verdict_name(item->verdict));
    if (item->why)
        put_text(o, "message", item->why);
    return o;
}

static void
put_items(json_t *o, const struct drill_result *r, enum section s)
{
    json_t *a = put_new(o, section_name(s), json_array());

    for (size_t i = 0; i < r->sections[s].count; i++)
        json_array_append_new(a, item_json(s, r->sections[s].items[i]));
}

static void
put_cleanup(json_t *o, const struct drill_result *r)
{
    const struct drill_list *l = &r->sections[SECTION_CLEANUP];
    json_t *x = put_new(o, "cleanup", json_object());

    put_text(x, "result",
             verdict_name(l->count ? l->items[l->count - 1]->verdict : VERDICT_SKIPPED));
    json_t *leaked = put_new(x, "leaked", json_array());
    if (r->left)
        json_array_append_new(leaked, json_string(r->left));
    put_text(x, "kept", r->kept ? r->runbook->sandbox_dir : NULL);
}

/* What was not as it should be and yet did not decide. */
static void
put_deviations(json_t *o, const struct drill_result *r)
{
    json_t *a = put_new(o, "deviations", json_array());

    for (enum section s = 0; s < SECTION_COUNT; s++)
        for (size_t i = 0; i < r->sections[s].count; i++) {
            const struct drill_item *item = r->sections[s].items[i];
            if (!item->warning || item->verdict == VERDICT_PASSED)
                continue;
            json_t *x = add_object(a);
            put_text(x, "section", section_name(s));
            put_text(x, "id", item->id);
            put_text(x, "message", item->why);
        }
}

json_t *
report_json(const struct drill_result *r)
{
    json_t *o = json_object();

    put_run(o, r);
    put_objectives(o, r);
    put_point(o, r);
    put_targets(o, r);
    put_items(o, r, SECTION_READINESS);
    put_items(o, r, SECTION_FAULTS);
    put_items(o, r, SECTION_STEPS);
    put_items(o, r, SECTION_CHECKS);
    put_cleanup(o, r);
    put_deviations(o, r);
    return o;
}
