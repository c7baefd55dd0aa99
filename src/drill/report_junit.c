/* JUnit XML. Source: the Jenkins xunit plugin's junit-10.xsd. GitLab drops the
 * suites' attributes, properties and the message of a failure: so numbers stand
 * in names and bodies too. */
#include "base/text.h"
#include "drill/report.h"

#include <string.h>

struct counts {
    unsigned tests, failures, errors, skipped;
    int64_t took_ms;
};

/* A control byte that XML 1.0 does not allow, or no UTF-8: "\x1b". */
static void
put_byte(struct buf *out, uint8_t c)
{
    buf_printf(out, "\\x%02x", c);
}

/* The length of the character at p that XML 1.0 allows, or 0. */
static size_t
character(const uint8_t *p, size_t left)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

    if (n > left || !text_is_utf8(slice_of(p, n)))
        return 0;
    if (n == 1 && p[0] < 0x20 && p[0] != '\t' && p[0] != '\n' && p[0] != '\r')
        return 0;
    return n == 3 && p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe ? 0 : n;
}

/* Escapes for text and for attributes in double quotes, where a newline would
 * become a blank. */
static void
put_escaped(struct buf *out, const char *text, bool attribute)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t left = strlen(text);

    while (left > 0) {
        size_t n = character(p, left);
        if (n == 0) {
            put_byte(out, *p);
            n = 1;
        } else if (*p == '<' || *p == '>' || *p == '&' || *p == '"' || *p == '\r'
                   || (attribute && (*p == '\n' || *p == '\t'))) {
            buf_printf(out, "&#%u;", *p);
        } else {
            buf_put(out, p, n);
        }
        p += n;
        left -= n;
    }
}

static void
put_attribute(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, " %s=\"", name);
    put_escaped(out, value, true);
    buf_put_str(out, "\"");
}

static void
put_counts(struct buf *out, const struct counts *c)
{
    buf_printf(out,
               " tests=\"%u\" failures=\"%u\" errors=\"%u\" skipped=\"%u\" "
               "time=\"%lld.%03lld\"",
               c->tests, c->failures, c->errors, c->skipped,
               (long long)(c->took_ms / 1000), (long long)(c->took_ms % 1000));
}

/* A warning that did not pass is no failure: the drill may have passed. */
static bool
is_skipped(const struct drill_item *item)
{
    return item->verdict == VERDICT_SKIPPED
        || (item->warning && item->verdict != VERDICT_PASSED);
}

static struct counts
count(const struct drill_list *l)
{
    struct counts c = { 0 };

    for (size_t i = 0; i < l->count; i++) {
        const struct drill_item *item = l->items[i];
        c.tests++;
        c.took_ms += item->took_ms;
        if (item->verdict == VERDICT_PASSED)
            continue;
        *(is_skipped(item)                  ? &c.skipped
          : item->verdict == VERDICT_FAILED ? &c.failures
                                            : &c.errors) += 1;
    }
    return c;
}

/* Everything there is to say, in the body. */
static void
put_body(struct buf *out, const struct drill_item *item)
{
    AUTOBUF struct buf text = BUF(65536);

    if (item->why)
        buf_printf(&text, "%s\n", item->why);
    if (item->expected)
        buf_printf(&text, "expected: %s\n", item->expected);
    if (item->actual)
        buf_printf(&text, "actual:   %s\n", item->actual);
    if (item->target)
        buf_printf(&text, "target:   %s\nhits:     %u\n", item->target, item->hits);
    for (size_t i = 0; i < item->output_count; i++)
        if (item->outputs[i].value && strlen(item->outputs[i].value) < 4096
            && text.len < 32768)
            buf_printf(&text, "%s: %s\n", item->outputs[i].name, item->outputs[i].value);
    put_escaped(out, buf_cstr(&text), false);
}

static bool
has_body(const struct drill_item *item)
{
    return item->why || item->expected || item->target || item->output_count > 0;
}

/* "RTO 23m32s of 45m": the numbers of an objective are its name. */
static void
put_name(struct buf *out, enum section s, const struct drill_item *item)
{
    AUTOFREE char *name = NULL;

    if (s == SECTION_OBJECTIVES)
        name = mem_printf("%s %s of %s", strcmp(item->id, "rto") == 0 ? "RTO" : "RPO",
                          item->actual ? item->actual : "not measured",
                          item->expected + strlen("<= "));
    else if (item->target)
        name = mem_printf("%s: %s at %s", item->id, item->uses, item->target);
    else if (strcmp(item->id, item->uses) == 0)
        name = mem_strdup(item->id);
    else
        name = mem_printf("%s: %s", item->id, item->name ? item->name : item->uses);
    put_attribute(out, "name", name);
}

static void
put_case(struct buf *out, const char *class, enum section s,
         const struct drill_item *item)
{
    const char *why = item->why ? item->why : verdict_name(item->verdict);

    buf_put_str(out, "    <testcase");
    put_attribute(out, "classname", class);
    put_name(out, s, item);
    buf_printf(out, " time=\"%lld.%03lld\">\n", (long long)(item->took_ms / 1000),
               (long long)(item->took_ms % 1000));
    if (is_skipped(item)) {
        AUTOFREE char *text = mem_printf("%s%s", item->warning ? "warning: " : "", why);
        buf_put_str(out, "      <skipped");
        put_attribute(out, "message", text);
        buf_put_str(out, "/>\n");
    } else if (item->verdict != VERDICT_PASSED) {
        const char *tag = item->verdict == VERDICT_FAILED ? "failure" : "error";
        buf_printf(out, "      <%s", tag);
        put_attribute(out, "type", verdict_name(item->verdict));
        put_attribute(out, "message", why);
        buf_put_str(out, ">");
        put_body(out, item);
        buf_printf(out, "</%s>\n", tag);
    }
    if ((item->verdict == VERDICT_PASSED || is_skipped(item)) && has_body(item)) {
        buf_put_str(out, "      <system-out>");
        put_body(out, item);
        buf_put_str(out, "</system-out>\n");
    }
    buf_put_str(out, "    </testcase>\n");
}

static void
put_property(struct buf *out, const char *name, const char *value)
{
    if (!value)
        return;
    buf_put_str(out, "      <property");
    put_attribute(out, "name", name);
    put_attribute(out, "value", value);
    buf_put_str(out, "/>\n");
}

static void
put_suite(struct buf *out, const struct drill_result *r, enum section s)
{
    const struct drill_list *l = &r->sections[s];
    const struct runbook *rb = r->runbook;
    AUTOFREE char *class = mem_printf("%s.%s", rb->metadata.name, section_name(s));
    struct counts c = count(l);

    buf_put_str(out, "  <testsuite");
    put_attribute(out, "name", class);
    put_attribute(out, "hostname", r->host);
    put_attribute(out, "timestamp", text_of_utc(r->begun.s, r->begun.ns));
    put_counts(out, &c);
    buf_put_str(out, ">\n    <properties>\n");
    put_property(out, "run.id", rb->run_id);
    put_property(out, "owner", rb->metadata.owner);
    put_property(out, "result", verdict_name(r->verdict));
    buf_put_str(out, "    </properties>\n");
    for (size_t i = 0; i < l->count && out->len < REPORT_MAX / 2; i++)
        put_case(out, class, s, l->items[i]);
    buf_put_str(out, "  </testsuite>\n");
}

void
report_junit(const struct drill_result *r, struct buf *out)
{
    struct counts all = { .took_ms = r->took_ms };

    for (enum section s = 0; s < SECTION_COUNT; s++) {
        struct counts c = count(&r->sections[s]);
        all.tests += c.tests;
        all.failures += c.failures;
        all.errors += c.errors;
        all.skipped += c.skipped;
    }
    buf_put_str(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites");
    put_attribute(out, "name", r->runbook->metadata.name);
    put_counts(out, &all);
    put_attribute(out, "timestamp", text_of_utc(r->begun.s, r->begun.ns));
    buf_put_str(out, ">\n");
    for (enum section s = 0; s < SECTION_COUNT; s++)
        if (r->sections[s].count > 0)
            put_suite(out, r, s);
    buf_put_str(out, "</testsuites>\n");
}
