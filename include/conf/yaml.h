/*
 * yaml: one YAML document as a tree of nodes that know where they stand.
 *
 * The part of YAML that configurations need: scalars, lists and maps. Tags,
 * anchors, aliases, merge keys, duplicate keys, NUL bytes and a second
 * document are refused, and so is what goes over the limits below, before
 * memory is taken for it. Every error is ERR_USAGE "FILE:LINE:COLUMN: text".
 * A tree is read-only and belongs to its document.
 */
#ifndef CONF_YAML_H
#define CONF_YAML_H

#include "base/buf.h"

#define YAML_SIZE_MAX ((size_t)1 << 20) /* bytes of a document */
#define YAML_DEPTH_MAX 32               /* lists and maps within each other */
#define YAML_NODE_MAX 100000

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
    enum yaml_kind kind;
    unsigned line, column; /* from 1 */
    const char *file;      /* the document's name, for messages */
    char *key;             /* in a map: what stands before the colon; else NULL */
    unsigned key_line, key_column;
    char *text;              /* a scalar's characters; else NULL */
    bool quoted;             /* they stood in quotes or in a block */
    struct yaml_node *items; /* of a list or map, in the order written */
    size_t count;
};

struct yaml_doc;

/* Reads `text`; `file` is what messages call it. */
MUST_USE int yaml_doc_parse(const char *file, struct slice text, struct yaml_doc **out,
                            struct err *e);
const struct yaml_node *yaml_doc_root(const struct yaml_doc *d);
void yaml_doc_free(struct yaml_doc *d);
DEFINE_CLEANUP(struct yaml_doc, yaml_doc_free)

/* Gives the text that replaces a scalar's (the caller frees it), or NULL with
 * `e` filled. */
typedef char *yaml_rewrite_fn(void *arg, const struct yaml_node *scalar, struct err *e);

/* A copy of the tree below `from` with every scalar value (not the keys) as
 * `fn` gives it: how ${...} is put into a runbook after parsing. */
MUST_USE int yaml_doc_rewrite(const struct yaml_node *from, yaml_rewrite_fn *fn,
                              void *arg, struct yaml_doc **out, struct err *e);

/* The value of `key` in a map, or NULL; NULL too when `map` is no map or NULL. */
const struct yaml_node *yaml_node_get(const struct yaml_node *map, const char *key);

/* True for `key:`, `key: ~` and `key: null`. */
bool yaml_node_empty(const struct yaml_node *n);

/* ERR_USAGE at the node's value, or at its key; returns -1. */
int yaml_node_error(const struct yaml_node *n, struct err *e, const char *fmt, ...)
    PRINTF(3, 4);
int yaml_key_error(const struct yaml_node *n, struct err *e, const char *fmt, ...)
    PRINTF(3, 4);

#endif
