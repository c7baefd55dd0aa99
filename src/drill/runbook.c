#include "drill/runbook.h"

#include "base/fs.h"
#include "crypto/hash.h"
#include "refs.h"
#include "runbook_check.h"
#include "sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct runbook_fault, field)

static const struct conf_key fault_keys[] = {
    { .name = "id",
      .type = CONF_NAME,
      .at = AT(id),
      .help = "What reports call it; unique. Default: kind and target." },
    { .name = "kind",
      .type = CONF_STRING,
      .at = AT(uses),
      .flags = CONF_REQUIRED,
      .help = "What breaks: see FAULTS." },
    { .name = "target",
      .type = CONF_NAME,
      .at = AT(target),
      .flags = CONF_REQUIRED,
      .help = "The target of the configuration that it strikes." },
    { .name = "with",
      .type = CONF_NODE,
      .at = AT(with),
      .flags = CONF_IS_MAP,
      .help = "The keys of its kind." },
    { .name = "expect",
      .type = CONF_NODE,
      .at = AT(expect),
      .flags = CONF_IS_MAP,
      .help = "What must come of it; the keys of its kind. Without it a fault that never "
              "struck is a warning." },
    { .type = CONF_END },
};

#undef AT
#define AT(field) offsetof(struct runbook_step, field)

static const char *const on_failure[] = { "abort", "continue", NULL };

static const struct conf_key step_keys[] = {
    { .name = "id",
      .type = CONF_NAME,
      .at = AT(id),
      .flags = CONF_REQUIRED,
      .help = "What references and reports call it; unique." },
    { .name = "name",
      .type = CONF_STRING,
      .at = AT(name),
      .help = "A title for people." },
    { .name = "uses",
      .type = CONF_STRING,
      .at = AT(uses),
      .flags = CONF_REQUIRED,
      .help = "What it does: see STEPS." },
    { .name = "with",
      .type = CONF_NODE,
      .at = AT(with),
      .flags = CONF_IS_MAP,
      .help = "The keys of what it uses." },
    { .name = "needs",
      .type = CONF_STRINGS,
      .at = AT(needs),
      .help = "Steps above that must have passed; else it is skipped. Default: it "
              "follows the one above." },
    { .name = "timeout",
      .type = CONF_DURATION,
      .at = AT(timeout_ms),
      .min = 1,
      .help = "How long it may take. Default: as long as it takes." },
    { .name = "on-failure",
      .type = CONF_ENUM,
      .at = AT(on_failure),
      .words = on_failure,
      .help = "Whether a failure ends the drill, or is left to the checks. Default: "
              "abort." },
    { .type = CONF_END },
};

#undef AT
#define AT(field) offsetof(struct runbook_check, field)

static const char *const severities[] = { "critical", "warning", NULL };

static const struct conf_key check_keys[] = {
    { .name = "id",
      .type = CONF_NAME,
      .at = AT(id),
      .flags = CONF_REQUIRED,
      .help = "What reports call it; unique." },
    { .name = "name",
      .type = CONF_STRING,
      .at = AT(name),
      .help = "A title for people." },
    { .name = "uses",
      .type = CONF_STRING,
      .at = AT(uses),
      .flags = CONF_REQUIRED,
      .help = "What it looks at: see CHECKS." },
    { .name = "with",
      .type = CONF_NODE,
      .at = AT(with),
      .flags = CONF_IS_MAP,
      .help = "The keys of what it uses." },
    { .name = "expect",
      .type = CONF_NODE,
      .at = AT(expect),
      .flags = CONF_IS_MAP,
      .help = "What must be found; what is not mentioned keeps its default." },
    { .name = "severity",
      .type = CONF_ENUM,
      .at = AT(severity),
      .words = severities,
      .help = "Whether the drill fails with it. Default: critical." },
    { .name = "timeout",
      .type = CONF_DURATION,
      .at = AT(timeout_ms),
      .min = 1,
      .help = "How long it may take. Default: as long as it takes." },
    { .type = CONF_END },
};

#undef AT
#define AT(field) offsetof(struct runbook_cleanup, field)

static const struct conf_key cleanup_keys[] = {
    { .name = "id",
      .type = CONF_NAME,
      .at = AT(id),
      .flags = CONF_REQUIRED,
      .help = "What reports call it." },
    { .name = "uses",
      .type = CONF_STRING,
      .at = AT(uses),
      .flags = CONF_REQUIRED,
      .help = "sandbox.destroy: remove the sandbox." },
    { .type = CONF_END },
};

#undef AT
#define AT(field) offsetof(struct runbook, field)

static const struct conf_key metadata_keys[] = {
    { .name = "name",
      .type = CONF_NAME,
      .at = AT(metadata.name),
      .flags = CONF_REQUIRED,
      .help = "The runbook's name, in reports and as the JUnit suite." },
    { .name = "title",
      .type = CONF_STRING,
      .at = AT(metadata.title),
      .help = "A title for people." },
    { .name = "owner",
      .type = CONF_STRING,
      .at = AT(metadata.owner),
      .flags = CONF_REQUIRED,
      .help = "Who answers for this plan: a team or an address." },
    { .name = "tier",
      .type = CONF_COUNT,
      .at = AT(metadata.tier),
      .min = 1,
      .help = "How critical the service is, 1 first." },
    { .name = "tags",
      .type = CONF_STRINGS,
      .at = AT(metadata.tags),
      .help = "Words to find it by." },
    { .name = "controls",
      .type = CONF_STRINGS,
      .at = AT(metadata.controls),
      .help = "Audit controls that the drill is evidence for." },
    { .name = "links",
      .type = CONF_NODE,
      .at = AT(metadata.links),
      .flags = CONF_IS_MAP,
      .help = "Names and addresses of what belongs to it." },
    { .type = CONF_END },
};

static const struct conf_key objective_keys[] = {
    { .name = "rto",
      .type = CONF_DURATION,
      .at = AT(objectives.rto_ms),
      .min = 1,
      .help = "Recovery time objective: from the disaster to the last critical check." },
    { .name = "rpo",
      .type = CONF_DURATION,
      .at = AT(objectives.rpo_ms),
      .min = 1,
      .help = "Recovery point objective: how old the recovered data may be." },
    { .type = CONF_END },
};

static const char *const selects[] = { "latest", "as-of", "id", NULL };

static const struct conf_key point_keys[] = {
    { .name = "select",
      .type = CONF_ENUM,
      .at = AT(point.select),
      .words = selects,
      .help = "Which snapshot: the latest, the newest at or before a time, or one. "
              "Default: latest." },
    { .name = "at",
      .type = CONF_STRING,
      .at = AT(point.at),
      .help = "With as-of: the time, such as 2026-11-22T03:00." },
    { .name = "id",
      .type = CONF_STRING,
      .at = AT(point.id),
      .help = "With id: the snapshot, or the first six digits or more of it." },
    { .type = CONF_END },
};

static const char *const keeps[] = { "never", "failed", "always", NULL };

static const struct conf_key sandbox_keys[] = {
    { .name = "root",
      .type = CONF_PATH,
      .at = AT(sandbox.root),
      .help = "The folder that the sandbox is made in; it exists, and lies outside all "
              "sources, targets and the local state. Default: TMPDIR, or /var/tmp." },
    { .name = "keep",
      .type = CONF_ENUM,
      .at = AT(sandbox.keep),
      .words = keeps,
      .help = "Whether the sandbox is left for a person. Default: never." },
    { .type = CONF_END },
};

const struct conf_key runbook_keys[] = {
    { .name = "drtool",
      .type = CONF_COUNT,
      .at = AT(version),
      .flags = CONF_REQUIRED,
      .min = 1,
      .max = 1,
      .help = "The version of this format: 1." },
    { .name = "kind",
      .type = CONF_STRING,
      .at = AT(kind),
      .flags = CONF_REQUIRED,
      .help = "What the file is: runbook." },
    { .name = "metadata",
      .type = CONF_MAP,
      .keys = metadata_keys,
      .flags = CONF_REQUIRED,
      .help = "What the plan is, and whose." },
    { .name = "inputs",
      .type = CONF_NODE,
      .at = AT(input_map),
      .flags = CONF_IS_MAP,
      .help = "Values to be used as ${inputs.NAME}: a map of names to { type, default }, "
              "the type one of string, int, bool, duration, size and time." },
    { .name = "objectives",
      .type = CONF_MAP,
      .keys = objective_keys,
      .help = "What the recovery is measured against." },
    { .name = "recovery-point",
      .type = CONF_MAP,
      .keys = point_keys,
      .help = "What is restored." },
    { .name = "sandbox",
      .type = CONF_MAP,
      .keys = sandbox_keys,
      .help = "Where the drill works." },
    { .name = "faults",
      .type = CONF_MAPS,
      .at = AT(faults),
      .keys = fault_keys,
      .count_at = AT(fault_count),
      .size = sizeof(struct runbook_fault),
      .help = "What breaks: in this process alone, no object is changed." },
    { .name = "steps",
      .type = CONF_MAPS,
      .at = AT(steps),
      .flags = CONF_REQUIRED,
      .keys = step_keys,
      .count_at = AT(step_count),
      .size = sizeof(struct runbook_step),
      .help = "What is done to recover, in this order." },
    { .name = "checks",
      .type = CONF_MAPS,
      .at = AT(checks),
      .flags = CONF_REQUIRED,
      .keys = check_keys,
      .count_at = AT(check_count),
      .size = sizeof(struct runbook_check),
      .help = "What tells that the recovery worked." },
    { .name = "cleanup",
      .type = CONF_MAPS,
      .at = AT(cleanup),
      .keys = cleanup_keys,
      .count_at = AT(cleanup_count),
      .size = sizeof(struct runbook_cleanup),
      .help = "What is done at the end, always. Default: the sandbox is removed." },
    { .type = CONF_END },
};

/* Scalars whose references are put in later, or never. */
struct late {
    struct refs refs;
    const struct yaml_node **nodes;
    size_t count, cap;
};

static void
add_late(struct late *l, const struct yaml_node *n)
{
    for (size_t i = 0; n && i < n->count; i++)
        add_late(l, &n->items[i]);
    if (!n || n->kind != YAML_SCALAR)
        return;
    l->nodes = mem_grow(l->nodes, &l->cap, l->count + 1, sizeof(struct yaml_node *));
    l->nodes[l->count++] = n;
}

static int
by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t) * (void *const *)a, y = (uintptr_t) * (void *const *)b;

    return (x > y) - (x < y);
}

static void
find_late(struct late *l, const struct yaml_node *root)
{
    static const char *const lists[] = { "steps", "checks" };

    add_late(l, yaml_node_get(root, "inputs"));
    for (size_t k = 0; k < COUNT_OF(lists); k++) {
        const struct yaml_node *list = yaml_node_get(root, lists[k]);
        for (size_t i = 0; list && i < list->count; i++) {
            add_late(l, yaml_node_get(&list->items[i], "with"));
            add_late(l, yaml_node_get(&list->items[i], "expect"));
        }
    }
    if (l->count > 1)
        qsort(l->nodes, l->count, sizeof(struct yaml_node *), by_address);
}

static char *
expand_early(void *arg, const struct yaml_node *scalar, struct err *e)
{
    struct late *l = arg;

    if (l->count > 0
        && bsearch(&scalar, l->nodes, l->count, sizeof(struct yaml_node *), by_address))
        return mem_strdup(scalar->text);
    return refs_expand(&l->refs, scalar, e);
}

static int
fill(struct runbook *rb, struct err *e)
{
    const struct yaml_node *root = yaml_doc_root(rb->written);
    struct late late = { .refs = { .runbook = rb } };

    if (runbook_inputs(rb, yaml_node_get(root, "inputs"), e) < 0)
        return -1;
    find_late(&late, root);
    int rc = yaml_doc_rewrite(root, expand_early, &late, &rb->doc, e);
    mem_free(late.nodes);
    return rc < 0 ? -1 : schema_fill(runbook_keys, yaml_doc_root(rb->doc), rb, e);
}

int
runbook_parse(const char *path, struct slice text, const struct conf *c,
              const char *run_id, struct runbook **out, struct err *e)
{
    CLEANUP(runbook_free_p) struct runbook *rb = mem_zalloc(sizeof *rb);

    rb->path = mem_strdup(path);
    snprintf(rb->run_id, sizeof rb->run_id, "%s", run_id);
    sha256(text, rb->sha256);
    if (yaml_doc_parse(path, text, &rb->written, e) < 0 || fill(rb, e) < 0
        || sandbox_choose(rb, c, e) < 0 || runbook_check(rb, c, e) < 0)
        return -1;
    *out = TAKE(rb);
    return 0;
}

int
runbook_load(const char *path, const struct conf *c, const char *run_id,
             struct runbook **out, struct err *e)
{
    AUTOBUF struct buf text = BUF(YAML_SIZE_MAX + 1);

    if (fs_read(path, YAML_SIZE_MAX, &text, e) < 0) {
        e->kind = ERR_USAGE; /* the line names a file that is no runbook */
        return err_in(e, "runbook %s", path);
    }
    return runbook_parse(path, buf_slice(&text), c, run_id, out, e);
}

void
runbook_free(struct runbook *rb)
{
    if (!rb)
        return;
    schema_release(runbook_keys, rb);
    for (size_t i = 0; i < rb->input_count; i++) {
        mem_free(rb->inputs[i].name);
        mem_free(rb->inputs[i].value);
    }
    mem_free(rb->inputs);
    mem_free(rb->sandbox_dir);
    mem_free(rb->path);
    yaml_doc_free(rb->doc);
    yaml_doc_free(rb->written);
    mem_free(rb);
}
