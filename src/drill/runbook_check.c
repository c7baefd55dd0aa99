#include "runbook_check.h"

#include "base/fs.h"
#include "base/text.h"

#include <string.h>

#define WORDS_MAX 64

static int
unknown(const struct yaml_node *at, const char *what, const char *name,
        const char *const *words, size_t count, struct err *e)
{
    const char *near = text_nearest(name, words, count);

    return yaml_node_error(at, e, "there is no %s \"%.60s\"%s%s%s", what, name,
                           near ? "; did you mean \"" : "", near ? near : "",
                           near ? "\"?" : "");
}

/* The row of a kind table (rows of `size` bytes that begin with their name), or
 * NULL with `e` filled. */
static const void *
find_kind(const void *table, size_t size, const char *what, const char *name,
          const struct yaml_node *at, struct err *e)
{
    const char *words[WORDS_MAX];
    size_t n = 0;

    for (const uint8_t *row = table;; row += size) {
        const char *known = *(const char *const *)(const void *)row;
        if (!known)
            break;
        if (strcmp(known, name) == 0)
            return row;
        words[n++] = known;
    }
    unknown(at, what, name, words, n, e);
    return NULL;
}

/* `with` and `expect`. */

int
runbook_with(struct refs *r, const struct yaml_node *node, const struct conf_key *keys,
             void *into, struct yaml_doc **doc, struct err *e)
{
    static char name[] = "with";
    const struct yaml_node *with = yaml_node_get(node, "with");
    struct yaml_node none = { .kind = YAML_MAP,
                              .line = node->line,
                              .column = node->column,
                              .file = node->file,
                              .key = name,
                              .key_line = node->line,
                              .key_column = node->column };

    if (!with)
        return schema_fill(keys, &none, into, e);
    if (yaml_doc_rewrite(with, refs_expand, r, doc, e) < 0)
        return -1;
    return schema_fill(keys, yaml_doc_root(*doc), into, e);
}

int
runbook_expect(struct refs *r, const struct yaml_node *node,
               const struct expect_key *keys, struct expectation *out, struct err *e)
{
    const struct yaml_node *expect = yaml_node_get(node, "expect");
    CLEANUP(yaml_doc_free_p) struct yaml_doc *doc = NULL;

    *out = (struct expectation){ 0 };
    if (!expect)
        return expect_parse(keys, NULL, false, out, e);
    if (yaml_doc_rewrite(expect, refs_expand, r, &doc, e) < 0)
        return -1;
    return expect_parse(keys, yaml_doc_root(doc), false, out, e);
}

/* What stands in for an output before its step has run. */
struct stand_in {
    const struct runbook *runbook;
    char *last;
};

static const char *
stand_in(void *arg, size_t step, const struct output_kind *o)
{
    struct stand_in *s = arg;

    mem_free(s->last);
    s->last = o->number ? mem_strdup("1")
                        : fs_join(s->runbook->sandbox_dir, s->runbook->steps[step].id);
    return s->last;
}

static int
try_with(struct refs *r, const struct yaml_node *node, const struct conf_key *keys,
         size_t size, const char *(*wrong)(const struct runbook *rb, const void *with),
         struct err *e)
{
    CLEANUP(yaml_doc_free_p) struct yaml_doc *doc = NULL;
    AUTOFREE void *into = mem_zalloc(size);
    const struct yaml_node *with = yaml_node_get(node, "with");

    int rc = runbook_with(r, node, keys, into, &doc, e);
    const char *why = rc == 0 && wrong ? wrong(r->runbook, into) : NULL;
    schema_release(keys, into);
    return why ? yaml_node_error(with ? with : node, e, "%s", why) : rc;
}

static int
try_expect(struct refs *r, const struct yaml_node *node, const struct expect_key *keys,
           struct err *e)
{
    CLEANUP(expect_release) struct expectation x = { 0 };
    CLEANUP(yaml_doc_free_p) struct yaml_doc *doc = NULL;
    const struct yaml_node *expect = yaml_node_get(node, "expect");

    if (expect && yaml_doc_rewrite(expect, refs_expand, r, &doc, e) < 0)
        return -1;
    return expect_parse(keys, expect, true, &x, e);
}

static int
known_twice(const struct yaml_node *node, const char *id, struct err *e)
{
    const struct yaml_node *at = yaml_node_get(node, "id");

    return yaml_node_error(at ? at : node, e, "\"%.60s\" is the id of another one too",
                           id);
}

static int
check_fault(struct runbook *rb, size_t i, const struct yaml_node *node,
            const struct conf *c, struct err *e)
{
    struct runbook_fault *f = &rb->faults[i];
    const char *words[WORDS_MAX];
    size_t n = 0;

    f->kind = find_kind(fault_kinds, sizeof fault_kinds[0], "fault", f->uses,
                        yaml_node_get(node, "kind"), e);
    if (!f->kind)
        return -1;
    for (size_t k = 0; k < c->target_count && n < WORDS_MAX; k++)
        words[n++] = c->targets[k].name;
    if (!conf_find_target(c, f->target))
        return unknown(yaml_node_get(node, "target"), "target", f->target, words, n, e);
    if (!f->id)
        f->id = mem_printf("%s-%s", f->kind->name, f->target);
    for (size_t k = 0; k < i; k++)
        if (strcmp(rb->faults[k].id, f->id) == 0)
            return known_twice(node, f->id, e);
    if (f->with && schema_fill(f->kind->keys, f->with, &f->options, e) < 0)
        return -1;
    f->detected = f->kind->expects != NULL;
    f->demanded = f->expect != NULL;
    if (!f->expect)
        return 0;
    if (!f->kind->expects)
        return yaml_key_error(f->expect, e,
                              "%s expects nothing: the checks tell what "
                              "comes of it",
                              f->kind->name);
    return schema_fill(f->kind->expects, f->expect, &f->detected, e);
}

static int
check_needs(const struct runbook *rb, size_t i, const struct yaml_node *node,
            struct err *e)
{
    const struct yaml_node *list = yaml_node_get(node, "needs");
    const char *words[WORDS_MAX];
    size_t n = 0;

    for (size_t k = 0; k < i && n < WORDS_MAX; k++)
        words[n++] = rb->steps[k].id;
    for (size_t k = 0; list && k < list->count; k++) {
        const char *id = rb->steps[i].needs[k];
        bool above = false;
        for (size_t s = 0; s < i && !above; s++)
            above = strcmp(rb->steps[s].id, id) == 0;
        if (!above)
            return unknown(&list->items[k], "step above called", id, words, n, e);
    }
    return 0;
}

static int
check_step(struct runbook *rb, size_t i, const struct yaml_node *node, struct refs *r,
           struct err *e)
{
    struct runbook_step *s = &rb->steps[i];

    s->node = node;
    for (size_t k = 0; k < i; k++)
        if (strcmp(rb->steps[k].id, s->id) == 0)
            return known_twice(node, s->id, e);
    s->kind = find_kind(step_kinds, sizeof step_kinds[0], "step", s->uses,
                        yaml_node_get(node, "uses"), e);
    if (!s->kind || check_needs(rb, i, node, e) < 0)
        return -1;
    r->steps_before = i;
    return try_with(r, node, s->kind->keys, s->kind->size, s->kind->wrong, e);
}

static int
check_check(struct runbook *rb, size_t i, const struct yaml_node *node, struct refs *r,
            struct err *e)
{
    struct runbook_check *c = &rb->checks[i];

    c->node = node;
    for (size_t k = 0; k < i; k++)
        if (strcmp(rb->checks[k].id, c->id) == 0)
            return known_twice(node, c->id, e);
    c->kind = find_kind(check_kinds, sizeof check_kinds[0], "check", c->uses,
                        yaml_node_get(node, "uses"), e);
    if (!c->kind)
        return -1;
    r->steps_before = rb->step_count;
    if (try_with(r, node, c->kind->keys, c->kind->size, c->kind->wrong, e) < 0)
        return -1;
    return try_expect(r, node, c->kind->expects, e);
}

static int
check_cleanup(const struct runbook *rb, const struct yaml_node *root, struct err *e)
{
    const struct yaml_node *list = yaml_node_get(root, "cleanup");

    for (size_t i = 0; i < rb->cleanup_count; i++)
        if (!find_kind(cleanup_kinds, sizeof cleanup_kinds[0], "cleanup",
                       rb->cleanup[i].uses, yaml_node_get(&list->items[i], "uses"), e))
            return -1;
    return 0;
}

/* The recovery point's `at` and `id` go with their own word only. */
static int
check_point(const struct runbook *rb, const struct yaml_node *root, struct err *e)
{
    const struct yaml_node *map = yaml_node_get(root, "recovery-point");
    const struct yaml_node *at = yaml_node_get(map, "at"), *id = yaml_node_get(map, "id");
    int64_t s;

    if (at && rb->point.select != SELECT_AS_OF)
        return yaml_key_error(at, e, "at goes with select: as-of");
    if (id && rb->point.select != SELECT_ID)
        return yaml_key_error(id, e, "id goes with select: id");
    if (!at && rb->point.select == SELECT_AS_OF)
        return yaml_node_error(map, e, "select: as-of needs at: a time");
    if (!id && rb->point.select == SELECT_ID)
        return yaml_node_error(map, e, "select: id needs id: a snapshot");
    if (at && !text_time(rb->point.at, &s))
        return yaml_node_error(at, e, "\"%.60s\" is no time such as 2026-11-22T03:00",
                               rb->point.at);
    return 0;
}

static int
check_lists(const struct runbook *rb, const struct yaml_node *root, struct err *e)
{
    static const char *const names[] = { "faults", "steps", "checks", "cleanup" };

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const struct yaml_node *list = yaml_node_get(root, names[i]);
        if (list && list->count > RUNBOOK_LIST_MAX)
            return yaml_node_error(list, e, "more than %d %s", RUNBOOK_LIST_MAX,
                                   names[i]);
    }
    if (rb->step_count == 0 || rb->check_count == 0)
        return yaml_key_error(yaml_node_get(root, rb->step_count ? "checks" : "steps"), e,
                              "a drill without %s proves nothing",
                              rb->step_count ? "checks" : "steps");
    if (strcmp(rb->kind, "runbook") != 0)
        return yaml_node_error(yaml_node_get(root, "kind"), e, "kind must be runbook");
    return 0;
}

int
runbook_check(struct runbook *rb, const struct conf *c, struct err *e)
{
    const struct yaml_node *root = yaml_doc_root(rb->doc);
    const struct yaml_node *list;
    struct stand_in known = { rb, NULL };
    struct refs r = { .runbook = rb, .within = true, .output = stand_in, .arg = &known };
    int rc = check_lists(rb, root, e);

    if (rc == 0)
        rc = check_point(rb, root, e);
    list = yaml_node_get(root, "faults");
    for (size_t i = 0; rc == 0 && i < rb->fault_count; i++)
        rc = check_fault(rb, i, &list->items[i], c, e);
    list = yaml_node_get(root, "steps");
    for (size_t i = 0; rc == 0 && i < rb->step_count; i++)
        rc = check_step(rb, i, &list->items[i], &r, e);
    list = yaml_node_get(root, "checks");
    for (size_t i = 0; rc == 0 && i < rb->check_count; i++)
        rc = check_check(rb, i, &list->items[i], &r, e);
    if (rc == 0)
        rc = check_cleanup(rb, root, e);
    mem_free(known.last);
    return rc;
}
