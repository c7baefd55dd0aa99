#include "base/text.h"
#include "drill/report.h"

#include <string.h>

#define INDENT 13 /* of what belongs to an item */

static size_t
width_of(const char *s, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

/* Words in lines of REPORT_WIDTH; the first begins at column `at`. */
static void
put_wrapped(struct buf *out, size_t at, size_t indent, const char *text)
{
    bool first = true;

    while (*text) {
        size_t len = strcspn(text, " \n"), width = width_of(text, len);
        if (!first && at + 1 + width > REPORT_WIDTH) {
            buf_printf(out, "\n%*s", (int)indent, "");
            at = indent;
            first = true;
        }
        buf_printf(out, "%s%.*s", first ? "" : " ", (int)len, text);
        at += width + !first;
        first = false;
        text += len + (text[len] != 0);
    }
    buf_put_str(out, "\n");
}

static void
put_line(struct buf *out, const char *label, const char *text)
{
    buf_printf(out, "%*s%-10s", INDENT, "", label);
    put_wrapped(out, INDENT + 10, INDENT + 10, text);
}

static const char *
shown(enum verdict v, bool warning)
{
    static const char *const loud[] = { "passed",    "FAILED",  "ERROR",
                                        "TIMED OUT", "skipped", "ABORTED" };

    return warning && v != VERDICT_PASSED && v != VERDICT_SKIPPED ? "warning" : loud[v];
}

/* "  passed     files                 restore.files            1.2s" */
static void
put_item(struct buf *out, enum section s, const struct drill_item *item, bool verbose)
{
    AUTOFREE char *about = s == SECTION_FAULTS
                             ? mem_printf("%s at %s", item->uses, item->target)
                             : mem_strdup(item->uses);
    AUTOFREE char *number = s == SECTION_FAULTS
                              ? mem_printf("%u %s", item->hits,
                                           item->hits == 1 ? "hit" : "hits")
                              : mem_strdup(text_of_duration(item->took_ms));

    buf_printf(out, "  %-9s  %-24s %-30s %10s\n", shown(item->verdict, item->warning),
               item->id, about, item->verdict == VERDICT_SKIPPED ? "" : number);
    if (item->name && item->verdict != VERDICT_PASSED)
        put_line(out, "", item->name);
    if (item->why)
        put_line(out, item->verdict == VERDICT_PASSED ? "note" : "because", item->why);
    if (item->expected && (verbose || item->verdict != VERDICT_PASSED))
        put_line(out, "expected", item->expected);
    if (item->actual && (verbose || item->verdict != VERDICT_PASSED))
        put_line(out, "actual", item->actual);
    for (size_t i = 0; verbose && i < item->output_count; i++) {
        AUTOFREE char *text = mem_printf("%s = %.2000s", item->outputs[i].name,
                                         text_of_name(slice_str(item->outputs[i].value)));
        put_line(out, i ? "" : "outputs", text);
    }
}

static void
put_section(struct buf *out, const struct drill_result *r, enum section s, bool verbose)
{
    const struct drill_list *l = &r->sections[s];

    if (l->count == 0)
        return;
    buf_printf(out, "%s\n", section_name(s));
    for (size_t i = 0; i < l->count && out->len < out->max / 2; i++)
        put_item(out, s, l->items[i], verbose);
}

/* "RTO 1.2s of 45m00s, margin 44m58s (99%)" */
static void
put_objective(struct buf *out, const char *name, int64_t objective_ms,
              int64_t measured_ms, const char *after)
{
    int64_t margin = objective_ms - measured_ms;

    buf_printf(out, "  %s ", name);
    if (measured_ms < 0)
        buf_put_str(out, "not measured");
    else
        buf_put_str(out, text_of_duration(measured_ms));
    if (objective_ms == 0)
        buf_put_str(out, ", no objective");
    else
        buf_printf(out, " of %s", text_of_duration(objective_ms));
    if (objective_ms > 0 && measured_ms >= 0 && margin >= 0)
        buf_printf(out, ", margin %s (%lld%%)", text_of_duration(margin),
                   (long long)(margin * 100 / objective_ms));
    else if (objective_ms > 0 && measured_ms >= 0)
        buf_printf(out, ", MISSED by %s", text_of_duration(-margin));
    buf_printf(out, "%s\n", measured_ms >= 0 ? after : "");
}

static void
put_snapshots(struct buf *out, const struct drill_result *r)
{
    for (size_t i = 0; i < r->snapshot_count; i++)
        buf_printf(out, "  snapshot %.12s of %s, %s\n", r->snapshots[i].id,
                   r->snapshots[i].source, text_of_time(r->snapshots[i].started.s));
}

static void
put_targets(struct buf *out, const struct drill_result *r)
{
    for (size_t i = 0; i < r->target_count; i++) {
        const struct drill_target *t = &r->targets[i];
        buf_printf(out, "  target %s: %s, %s read", t->name, t->state,
                   text_of_size(t->bytes));
        if (t->bad_reads > 0)
            buf_printf(out, ", wrong answers: %llu", (unsigned long long)t->bad_reads);
        buf_put_str(out, "\n");
    }
}

/* Readiness is worth telling when it is all there is, or when it is not good. */
static bool
tells_readiness(const struct drill_result *r, bool verbose)
{
    const struct drill_list *l = &r->sections[SECTION_READINESS];

    for (size_t i = 0; i < l->count; i++)
        if (l->items[i]->verdict != VERDICT_PASSED)
            return true;
    return verbose || r->check_only;
}

/* ": the recovery does not work", from "drill: the recovery does not work". */
static const char *
meaning_of(enum status s)
{
    const char *meaning = strchr(status_meaning(s), ':');

    return meaning && s != STATUS_OK ? meaning : "";
}

void
report_text(const struct drill_result *r, bool verbose, struct buf *out)
{
    const struct runbook *rb = r->runbook;
    AUTOFREE char *about = mem_printf("%s of %s: %s%s", r->check_only ? "check" : "drill",
                                      rb->metadata.name, shown(r->verdict, false),
                                      meaning_of(r->status));

    put_wrapped(out, 0, 2, about);
    buf_printf(out, "  run %s, %s, owner ", rb->run_id, text_of_duration(r->took_ms));
    put_wrapped(out, 40, 4, rb->metadata.owner);
    if (!r->check_only) {
        put_objective(out, "RTO", rb->objectives.rto_ms, r->rto_ms, "");
        put_objective(out, "RPO", rb->objectives.rpo_ms, r->rpo_ms, "");
        put_snapshots(out, r);
        put_targets(out, r);
    }
    for (enum section s = 0; s < SECTION_COUNT; s++)
        if (s != SECTION_OBJECTIVES
            && (s != SECTION_READINESS || tells_readiness(r, verbose)))
            put_section(out, r, s, verbose);
}
