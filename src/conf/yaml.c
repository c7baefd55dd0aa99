#include "conf/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct yaml_doc {
    char *file;
    struct yaml_node root;
    size_t node_count;
};

/* A document being read. One event is looked at a time; next() releases the
 * one before. */
struct reading {
    yaml_parser_t parser;
    yaml_event_t event;
    bool has_event;
    struct yaml_doc *doc;
    struct slice text;
};

static int
error_at(const char *file, size_t line, size_t column, struct err *e, const char *fmt,
         va_list ap)
{
    char what[sizeof e->text];

    vsnprintf(what, sizeof what, fmt, ap);
    return err_set(e, ERR_USAGE, 0, "%.200s:%zu:%zu: %.280s", file, line, column, what);
}

int
yaml_node_error(const struct yaml_node *n, struct err *e, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    error_at(n->file, n->line, n->column, e, fmt, ap);
    va_end(ap);
    return -1;
}

int
yaml_key_error(const struct yaml_node *n, struct err *e, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (n->key)
        error_at(n->file, n->key_line, n->key_column, e, fmt, ap);
    else
        error_at(n->file, n->line, n->column, e, fmt, ap);
    va_end(ap);
    return -1;
}

/* An error at the event that is looked at. */
static int PRINTF(3, 4)
event_error(const struct reading *r, struct err *e, const char *fmt, ...)
{
    const yaml_mark_t *at = &r->event.start_mark;
    va_list ap;

    va_start(ap, fmt);
    error_at(r->doc->file, at->line + 1, at->column + 1, e, fmt, ap);
    va_end(ap);
    return -1;
}

/* What libyaml found wrong. Bytes that are no UTF-8 come with an offset only. */
static int
syntax_error(const struct reading *r, struct err *e)
{
    const yaml_parser_t *p = &r->parser;
    size_t line = p->problem_mark.line + 1, column = p->problem_mark.column + 1;

    if (p->error == YAML_READER_ERROR) {
        line = column = 1;
        for (size_t i = 0; i < p->problem_offset && i < r->text.len; i++) {
            column = r->text.ptr[i] == '\n' ? 1 : column + 1;
            line += r->text.ptr[i] == '\n';
        }
    }
    return err_set(e, ERR_USAGE, 0, "%.200s:%zu:%zu: %s%s%s", r->doc->file, line, column,
                   p->problem ? p->problem : "this is not YAML", p->context ? ", " : "",
                   p->context ? p->context : "");
}

static int
next(struct reading *r, struct err *e)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = yaml_parser_parse(&r->parser, &r->event) != 0;
    return r->has_event ? 0 : syntax_error(r, e);
}

static int
refuse_extras(const struct reading *r, struct err *e)
{
    const yaml_event_t *ev = &r->event;
    const yaml_char_t *anchor = NULL, *tag = NULL;

    if (ev->type == YAML_ALIAS_EVENT)
        return event_error(r, e, "aliases (*name) are not supported; repeat the value");
    if (ev->type == YAML_SCALAR_EVENT) {
        anchor = ev->data.scalar.anchor;
        tag = ev->data.scalar.tag;
    } else if (ev->type == YAML_SEQUENCE_START_EVENT) {
        anchor = ev->data.sequence_start.anchor;
        tag = ev->data.sequence_start.tag;
    } else if (ev->type == YAML_MAPPING_START_EVENT) {
        anchor = ev->data.mapping_start.anchor;
        tag = ev->data.mapping_start.tag;
    }
    if (anchor)
        return event_error(r, e, "anchors (&name) are not supported");
    if (tag)
        return event_error(r, e, "tags (!name) are not supported");
    return 0;
}

/* The scalar that is looked at, as a string of its own. */
static int
scalar_text(const struct reading *r, char **out, struct err *e)
{
    const char *s = (const char *)r->event.data.scalar.value;

    if (strlen(s) != r->event.data.scalar.length)
        return event_error(r, e, "a NUL byte is not allowed here");
    *out = mem_strdup(s);
    return 0;
}

static void
release(struct yaml_node *n)
{
    for (size_t i = 0; i < n->count; i++)
        release(&n->items[i]);
    mem_free(n->items);
    mem_free(n->text);
    mem_free(n->key);
}

static int read_node(struct reading *r, unsigned depth, struct yaml_node *n,
                     struct err *e);

/* Reads the key that is looked at and moves on to its value. */
static int
read_key(struct reading *r, struct yaml_node *n, struct err *e)
{
    if (refuse_extras(r, e) < 0)
        return -1;
    if (r->event.type != YAML_SCALAR_EVENT)
        return event_error(r, e, "a key must be a word, not a list or map");
    if (scalar_text(r, &n->key, e) < 0)
        return -1;
    if (strcmp(n->key, "<<") == 0)
        return event_error(r, e, "merge keys (<<) are not supported");
    n->key_line = (unsigned)r->event.start_mark.line + 1;
    n->key_column = (unsigned)r->event.start_mark.column + 1;
    return next(r, e);
}

static int
by_key(const void *a, const void *b)
{
    const struct yaml_node *x = *(const struct yaml_node *const *)a;
    const struct yaml_node *y = *(const struct yaml_node *const *)b;
    int c = strcmp(x->key, y->key);

    return c ? c : (x > y) - (x < y);
}

/* Sorted, because a map may have as many keys as there are nodes. */
static int
refuse_duplicates(const struct yaml_node *map, struct err *e)
{
    AUTOFREE const struct yaml_node **sorted = mem_alloc(map->count * sizeof *sorted);

    for (size_t i = 0; i < map->count; i++)
        sorted[i] = &map->items[i];
    if (map->count > 1)
        qsort(sorted, map->count, sizeof(const struct yaml_node *), by_key);
    for (size_t i = 1; i < map->count; i++)
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0)
            return yaml_key_error(sorted[i], e, "the key \"%.60s\" stands here twice; "
                                  "the first is in line %u", sorted[i]->key,
                                  sorted[i - 1]->key_line);
    return 0;
}

/* Reads the items of a list or map up to its end. */
static int
read_items(struct reading *r, unsigned depth, struct yaml_node *n, struct err *e)
{
    yaml_event_type_t end = n->kind == YAML_MAP ? YAML_MAPPING_END_EVENT
                                                : YAML_SEQUENCE_END_EVENT;
    size_t cap = 0;

    if (depth == YAML_DEPTH_MAX)
        return event_error(r, e, "more than %d lists and maps within each other",
                           YAML_DEPTH_MAX);
    if (next(r, e) < 0)
        return -1;
    while (r->event.type != end) {
        n->items = mem_grow(n->items, &cap, n->count + 1, sizeof n->items[0]);
        struct yaml_node *item = &n->items[n->count++];
        *item = (struct yaml_node){ .file = n->file };
        if ((n->kind == YAML_MAP && read_key(r, item, e) < 0)
            || read_node(r, depth + 1, item, e) < 0)
            return -1;
    }
    if (n->kind == YAML_MAP && refuse_duplicates(n, e) < 0)
        return -1;
    return next(r, e);
}

/* Reads the node that begins with the event looked at, and moves behind it. */
static int
read_node(struct reading *r, unsigned depth, struct yaml_node *n, struct err *e)
{
    n->line = (unsigned)r->event.start_mark.line + 1;
    n->column = (unsigned)r->event.start_mark.column + 1;
    if (refuse_extras(r, e) < 0)
        return -1;
    if (++r->doc->node_count > YAML_NODE_MAX)
        return event_error(r, e, "more than %d values", YAML_NODE_MAX);
    if (r->event.type == YAML_SCALAR_EVENT) {
        n->kind = YAML_SCALAR;
        n->quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        return scalar_text(r, &n->text, e) < 0 ? -1 : next(r, e);
    }
    n->kind = r->event.type == YAML_MAPPING_START_EVENT ? YAML_MAP : YAML_LIST;
    return read_items(r, depth, n, e);
}

static int
read_document(struct reading *r, struct err *e)
{
    if (next(r, e) < 0 || next(r, e) < 0) /* the stream, its first document */
        return -1;
    if (r->event.type == YAML_STREAM_END_EVENT)
        return event_error(r, e, "the file is empty");
    if (next(r, e) < 0 || read_node(r, 0, &r->doc->root, e) < 0 || next(r, e) < 0)
        return -1;
    if (r->event.type != YAML_STREAM_END_EVENT)
        return event_error(r, e, "a second document begins here; only one is allowed");
    return 0;
}

static struct yaml_doc *
doc_new(const char *file)
{
    struct yaml_doc *d = mem_zalloc(sizeof *d);

    d->file = mem_strdup(file);
    d->root.file = d->file;
    return d;
}

int
yaml_doc_parse(const char *file, struct slice text, struct yaml_doc **out, struct err *e)
{
    CLEANUP(yaml_doc_free_p) struct yaml_doc *d = doc_new(file);
    struct reading r = { .doc = d, .text = text };

    if (text.len > YAML_SIZE_MAX)
        return err_set(e, ERR_USAGE, 0, "%.200s is larger than %zu bytes", file,
                       YAML_SIZE_MAX);
    if (!yaml_parser_initialize(&r.parser))
        return err_set(e, ERR_IO, 0, "out of memory reading %.200s", file);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r.parser, text.len ? text.ptr : (const uint8_t *)"",
                                 text.len);
    int rc = read_document(&r, e);
    if (r.has_event)
        yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    if (rc == 0)
        *out = TAKE(d);
    return rc;
}

const struct yaml_node *
yaml_doc_root(const struct yaml_doc *d)
{
    return &d->root;
}

void
yaml_doc_free(struct yaml_doc *d)
{
    if (!d)
        return;
    release(&d->root);
    mem_free(d->file);
    mem_free(d);
}

static int
rewrite(const struct yaml_node *from, struct yaml_node *to, const char *file,
        yaml_rewrite_fn *fn, void *arg, struct err *e)
{
    *to = *from;
    to->file = file;
    to->key = mem_strdup(from->key);
    to->text = NULL;
    to->items = NULL;
    to->count = 0;
    if (from->kind == YAML_SCALAR)
        return (to->text = fn(arg, from, e)) ? 0 : -1;
    to->items = mem_zalloc(from->count * sizeof to->items[0]);
    for (size_t i = 0; i < from->count; i++) {
        to->count = i + 1;
        if (rewrite(&from->items[i], &to->items[i], file, fn, arg, e) < 0)
            return -1;
    }
    return 0;
}

int
yaml_doc_rewrite(const struct yaml_node *from, yaml_rewrite_fn *fn, void *arg,
                 struct yaml_doc **out, struct err *e)
{
    CLEANUP(yaml_doc_free_p) struct yaml_doc *d = doc_new(from->file);

    if (rewrite(from, &d->root, d->file, fn, arg, e) < 0)
        return -1;
    *out = TAKE(d);
    return 0;
}

const struct yaml_node *
yaml_node_get(const struct yaml_node *map, const char *key)
{
    for (size_t i = 0; map && map->kind == YAML_MAP && i < map->count; i++)
        if (strcmp(map->items[i].key, key) == 0)
            return &map->items[i];
    return NULL;
}

bool
yaml_node_empty(const struct yaml_node *n)
{
    return n->kind == YAML_SCALAR && !n->quoted
        && (!n->text[0] || strcmp(n->text, "~") == 0 || strcmp(n->text, "null") == 0);
}
