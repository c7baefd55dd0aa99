#include "drill/result.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *
verdict_name(enum verdict v)
{
    static const char *const names[] = {
#define X(name, word) word,
        VERDICTS(X)
#undef X
    };

    return names[v];
}

const char *
section_name(enum section s)
{
    static const char *const names[] = {
#define X(name, word) word,
        SECTIONS(X)
#undef X
    };

    return names[s];
}

struct drill_item *
drill_item_begin(struct drill_result *r, enum section s, const char *id, const char *name,
                 const char *uses)
{
    struct drill_list *l = &r->sections[s];
    struct drill_item *item = mem_zalloc(sizeof *item);

    item->id = mem_strdup(id);
    item->name = mem_strdup(name);
    item->uses = mem_strdup(uses);
    item->at = clock_now();
    item->begun_ms = clock_mono_ms();
    l->items = mem_grow(l->items, &l->cap, l->count + 1, sizeof(struct drill_item *));
    return l->items[l->count++] = item;
}

void
drill_item_end(struct drill_item *item)
{
    item->took_ms = clock_mono_ms() - item->begun_ms;
}

void
drill_item_say(struct drill_item *item, enum verdict v, const char *fmt, ...)
{
    char text[2048];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    item->verdict = v;
    mem_free(item->why);
    item->why = mem_strdup(text);
}

void
drill_item_put(struct drill_item *item, const char *name, bool number, char *value)
{
    item->outputs = mem_grow(item->outputs, &item->output_cap, item->output_count + 1,
                             sizeof item->outputs[0]);
    item->outputs[item->output_count++] = (struct drill_output){ name, value, number };
}

const char *
drill_item_output(const struct drill_item *item, const char *name)
{
    for (size_t i = 0; i < item->output_count; i++)
        if (strcmp(item->outputs[i].name, name) == 0)
            return item->outputs[i].value;
    return NULL;
}

static void
item_free(struct drill_item *item)
{
    for (size_t i = 0; i < item->output_count; i++)
        mem_free(item->outputs[i].value);
    mem_free(item->outputs);
    mem_free(item->id);
    mem_free(item->name);
    mem_free(item->uses);
    mem_free(item->why);
    mem_free(item->expected);
    mem_free(item->actual);
    mem_free(item->target);
    mem_free(item);
}

void
drill_result_release(struct drill_result *r)
{
    for (enum section s = 0; s < SECTION_COUNT; s++) {
        for (size_t i = 0; i < r->sections[s].count; i++)
            item_free(r->sections[s].items[i]);
        mem_free(r->sections[s].items);
    }
    for (size_t i = 0; i < r->snapshot_count; i++)
        mem_free(r->snapshots[i].source);
    for (size_t i = 0; i < r->target_count; i++)
        mem_free(r->targets[i].name);
    mem_free(r->snapshots);
    mem_free(r->left);
    *r = (struct drill_result){ 0 };
}

/* Is there one with this verdict that the drill does not pass without? */
static bool
any(const struct drill_result *r, enum section s, enum verdict v)
{
    for (size_t i = 0; i < r->sections[s].count; i++)
        if (r->sections[s].items[i]->verdict == v && !r->sections[s].items[i]->warning)
            return true;
    return false;
}

static bool
any_of_recovery(const struct drill_result *r, enum verdict v)
{
    return any(r, SECTION_STEPS, v) || any(r, SECTION_CHECKS, v)
        || any(r, SECTION_FAULTS, v);
}

/* 20 before 22 before 23 before 21: an objective is judged only when all else
 * is as it should be. */
static enum status
judge(const struct drill_result *r)
{
    for (enum section s = 0; s < SECTION_COUNT; s++)
        if (any(r, s, VERDICT_ABORTED))
            return STATUS_INTERRUPTED;
    if (any_of_recovery(r, VERDICT_FAILED) || any_of_recovery(r, VERDICT_TIMED_OUT))
        return STATUS_DRILL_FAILED;
    if (any(r, SECTION_READINESS, VERDICT_FAILED)
        || any(r, SECTION_READINESS, VERDICT_ERROR) || any_of_recovery(r, VERDICT_ERROR)
        || any(r, SECTION_CHECKS, VERDICT_SKIPPED)
        || any(r, SECTION_STEPS, VERDICT_SKIPPED))
        return STATUS_DRILL_ERROR;
    if (any(r, SECTION_CLEANUP, VERDICT_FAILED) || any(r, SECTION_CLEANUP, VERDICT_ERROR))
        return STATUS_DRILL_LEFT;
    return any(r, SECTION_OBJECTIVES, VERDICT_FAILED) ? STATUS_DRILL_MISSED : STATUS_OK;
}

void
drill_result_judge(struct drill_result *r)
{
    r->status = judge(r);
    r->verdict = r->status == STATUS_OK          ? VERDICT_PASSED
               : r->status == STATUS_INTERRUPTED ? VERDICT_ABORTED
               : r->status == STATUS_DRILL_ERROR || r->status == STATUS_DRILL_LEFT
                   ? VERDICT_ERROR
                   : VERDICT_FAILED;
}
