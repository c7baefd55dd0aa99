/*
 * output: tables for people, JSON for programs.
 *
 * JSON keys are snake_case. Times are RFC 3339 in UTC, sizes are bytes,
 * durations are seconds. Names that are not UTF-8 go into KEY_b64.
 */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "base/buf.h"

#include <jansson.h>
#include <stdio.h>

/* A table with aligned columns. `heads` is NULL-terminated; a head that begins
 * with '>' makes its column right-aligned. */
struct table;

struct table *table_new(const char *const *heads);
void table_row(struct table *t, const char *const *cells); /* one for each head; copied */
void table_print(const struct table *t, FILE *to);         /* nothing without rows */
void table_free(struct table *t);
DEFINE_CLEANUP(struct table, table_free)

/* One row: TABLE_ROW(t, "a", "b"). */
#define TABLE_ROW(t, ...) table_row((t), (const char *const[]){ __VA_ARGS__ })

/* As text_of_name(), however long the name is. */
void name_print(struct slice name, FILE *to);

void json_put(json_t *o, const char *key, json_t *value); /* takes the value */
void json_put_text(json_t *o, const char *key, const char *text); /* NULL: null */
void json_put_int(json_t *o, const char *key, int64_t v);
void json_put_bool(json_t *o, const char *key, bool v);
void json_put_time(json_t *o, const char *key, int64_t s, int32_t ns);
void json_put_seconds(json_t *o, const char *key, int64_t ms); /* with fraction */
void json_put_name(json_t *o, const char *key, struct slice name);
json_t *json_put_array(json_t *o, const char *key);  /* a new one; borrowed */
json_t *json_put_object(json_t *o, const char *key); /* a new one; borrowed */
json_t *json_add_object(json_t *array);              /* a new element; borrowed */
void json_add_text(json_t *array, const char *text);

/* One object on stdout, and a newline. */
void json_print(const json_t *o);

#endif
