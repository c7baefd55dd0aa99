#include "conf/schema.h"
#include "home.h"
#include "base/proc.h"
#include "base/text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define KEYS_MAX 64 /* of one table */

static const char *const type_words[] = {
    "",
#define X(name, field, words) words,
    CONF_TYPES(X)
#undef X
};

typedef int fill_fn(const struct conf_key *k, const struct yaml_node *n, void *at,
                    struct err *e);

/* "one of auto, path, host" in a buffer of this thread. */
static const char *
word_list(const char *const *words)
{
    static _Thread_local char out[256];
    size_t len = (size_t)snprintf(out, sizeof out, "one of ");

    for (size_t i = 0; words[i] && len < sizeof out; i++)
        len += (size_t)snprintf(out + len, sizeof out - len, "%s%s", i ? ", " : "",
                                words[i]);
    return out;
}

const char *
schema_type(const struct conf_key *k)
{
    return k->words ? word_list(k->words) : type_words[k->type];
}

static int
want_scalar(const char *name, const struct yaml_node *n, const char *what, struct err *e)
{
    if (n->kind != YAML_SCALAR)
        return yaml_node_error(n, e, "%s must be a %s, not a %s", name, what,
                               n->kind == YAML_MAP ? "map" : "list");
    if (strlen(n->text) > CONF_TEXT_MAX)
        return yaml_node_error(n, e, "%s is longer than %d bytes", name, CONF_TEXT_MAX);
    return 0;
}

static int
fill_string(const struct conf_key *k, const struct yaml_node *n, void *at, struct err *e)
{
    if (want_scalar(k->name, n, "string", e) < 0)
        return -1;
    if (!n->text[0])
        return yaml_node_error(n, e, "%s must not be empty", k->name);
    *(char **)at = mem_strdup(n->text);
    return 0;
}

static int
fill_name(const struct conf_key *k, const struct yaml_node *n, void *at, struct err *e)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                  "0123456789._-";

    if (want_scalar(k->name, n, "name", e) < 0)
        return -1;
    size_t len = strlen(n->text);
    if (len == 0 || len > CONF_NAME_MAX || strspn(n->text, allowed) != len
        || n->text[0] == '-')
        return yaml_node_error(n, e, "%s must be 1 to %d of the characters A-Z a-z 0-9 "
                               ". _ - and not begin with -", k->name, CONF_NAME_MAX);
    *(char **)at = mem_strdup(n->text);
    return 0;
}

static int
fill_bool(const struct conf_key *k, const struct yaml_node *n, void *at, struct err *e)
{
    static const char *const plain[] = { "false", "true", NULL };
    const char *const *words = k->words ? k->words : plain;

    if (want_scalar(k->name, n, "single word", e) < 0)
        return -1;
    if (strcmp(n->text, words[0]) != 0 && strcmp(n->text, words[1]) != 0)
        return yaml_node_error(n, e, "%s must be %s or %s, not \"%.60s\"", k->name,
                               words[1], words[0], n->text);
    *(bool *)at = strcmp(n->text, words[1]) == 0;
    return 0;
}

static int
out_of_range(const struct conf_key *k, const struct yaml_node *n, uint64_t v,
             const char *(*words)(uint64_t v), struct err *e)
{
    if (v < k->min)
        return yaml_node_error(n, e, "%s must be at least %s", k->name, words(k->min));
    if (k->max && v > k->max)
        return yaml_node_error(n, e, "%s must be at most %s", k->name, words(k->max));
    return 0;
}

static const char *
number_words(uint64_t v)
{
    static _Thread_local char out[24];

    snprintf(out, sizeof out, "%llu", (unsigned long long)v);
    return out;
}

static const char *
duration_words(uint64_t v)
{
    return text_of_duration((int64_t)v);
}

static int
fill_count(const struct conf_key *k, const struct yaml_node *n, void *at, struct err *e)
{
    uint64_t v;

    if (want_scalar(k->name, n, "number", e) < 0)
        return -1;
    if (!text_uint(n->text, UINT32_MAX, &v))
        return yaml_node_error(n, e, "%s must be a whole number, not \"%.60s\"", k->name,
                               n->text);
    *(unsigned *)at = (unsigned)v;
    return out_of_range(k, n, v, number_words, e);
}

static int
fill_percent(const struct conf_key *k, const struct yaml_node *n, void *at, struct err *e)
{
    char digits[8];
    uint64_t v;

    if (want_scalar(k->name, n, "percentage", e) < 0)
        return -1;
    size_t len = strlen(n->text);
    snprintf(digits, sizeof digits, "%.*s", len ? (int)len - 1 : 0, n->text);
    if (len < 2 || len > 4 || n->text[len - 1] != '%' || !text_uint(digits, 100, &v))
        return yaml_node_error(n, e, "%s must be 0%% to 100%%, not \"%.60s\"", k->name,
                               n->text);
    *(unsigned *)at = (unsigned)v;
    return 0;
}

static int
fill_size(const struct conf_key *k, const struct yaml_node *n, void *at, struct err *e)
{
    uint64_t v;

    if (want_scalar(k->name, n, "size", e) < 0)
        return -1;
    if (!text_size(n->text, &v))
        return yaml_node_error(n, e, "%s must be a size such as 64MiB, not \"%.60s\"",
                               k->name, n->text);
    *(uint64_t *)at = v;
    return out_of_range(k, n, v, text_of_size, e);
}

static int
fill_duration(const struct conf_key *k, const struct yaml_node *n, void *at,
              struct err *e)
{
    int64_t v;

    if (want_scalar(k->name, n, "duration", e) < 0)
        return -1;
    if (!text_duration(n->text, &v))
        return yaml_node_error(n, e, "%s must be a duration such as 90s, 15m, 4h or 7d, "
                               "not \"%.60s\"", k->name, n->text);
    *(int64_t *)at = v;
    return out_of_range(k, n, (uint64_t)v, duration_words, e);
}

static int
fill_clock(const struct conf_key *k, const struct yaml_node *n, void *at, struct err *e)
{
    char hours[3] = "", minutes[3] = "";
    uint64_t h, m;

    if (want_scalar(k->name, n, "time of day", e) < 0)
        return -1;
    if (strlen(n->text) == 5) {
        memcpy(hours, n->text, 2);
        memcpy(minutes, n->text + 3, 2);
    }
    if (!text_uint(hours, 23, &h) || n->text[2] != ':' || !text_uint(minutes, 59, &m))
        return yaml_node_error(n, e, "%s must be a time of day from 00:00 to 23:59, not "
                               "\"%.60s\"", k->name, n->text);
    *(unsigned *)at = (unsigned)(h * 60 + m);
    return 0;
}

static int
fill_path(const struct conf_key *k, const struct yaml_node *n, void *at, struct err *e)
{
    if (want_scalar(k->name, n, "path", e) < 0)
        return -1;
    if (n->text[0] == '~' && (n->text[1] == '/' || !n->text[1])
        && !(k->flags & CONF_NO_HOME)) {
        *(char **)at = home_expand(n->text);
        return 0;
    }
    if (n->text[0] != '/')
        return yaml_node_error(n, e, "%s must be an absolute path, not \"%.200s\"",
                               k->name, n->text);
    *(char **)at = mem_strdup(n->text);
    return 0;
}

static int
fill_list(const struct conf_key *k, const struct yaml_node *n, void *at, fill_fn *each,
          struct err *e)
{
    if (n->kind != YAML_LIST)
        return yaml_node_error(n, e, "%s must be a list, as in [%s]", k->name,
                               n->kind == YAML_SCALAR && n->text[0] ? n->text : "A, B");
    if (n->count == 0)
        return yaml_node_error(n, e, "%s must not be empty", k->name);
    char **list = mem_zalloc((n->count + 1) * sizeof *list);
    *(char ***)at = list;
    for (size_t i = 0; i < n->count; i++)
        if (each(k, &n->items[i], &list[i], e) < 0)
            return -1;
    return 0;
}

static int
fill_strings(const struct conf_key *k, const struct yaml_node *n, void *at, struct err *e)
{
    return fill_list(k, n, at, fill_string, e);
}

static int
fill_argvs(const struct conf_key *k, const struct yaml_node *n, void *at, struct err *e)
{
    if (n->kind != YAML_LIST || n->count == 0 || n->items[0].kind != YAML_LIST)
        return yaml_node_error(n, e, "%s must be a list of commands, each a list, as in "
                               "[[PROGRAM, ARGUMENT...], [PROGRAM...]]", k->name);
    char ***list = mem_zalloc((n->count + 1) * sizeof *list);
    *(char ****)at = list;
    for (size_t i = 0; i < n->count; i++)
        if (fill_strings(k, &n->items[i], &list[i], e) < 0)
            return -1;
    return 0;
}

static int
fill_paths(const struct conf_key *k, const struct yaml_node *n, void *at, struct err *e)
{
    return fill_list(k, n, at, fill_path, e);
}

static int
fill_secret(const struct conf_key *k, const struct yaml_node *n, void *at, struct err *e)
{
    static const struct conf_key from[] = {
        { .name = "env", .type = CONF_STRING },
        { .name = "file", .type = CONF_PATH },
        { .name = "command", .type = CONF_STRINGS },
    };
    struct conf_secret *s = at;

    if (n->kind != YAML_MAP || n->count != 1)
        return yaml_node_error(n, e, "%s must say where the secret is kept, never the "
                               "secret itself: write { env: NAME }, { file: PATH } or "
                               "{ command: [PROGRAM, ARGUMENT...] }", k->name);
    const struct yaml_node *value = &n->items[0];
    if (strcmp(value->key, "env") == 0) {
        s->from = SECRET_ENV;
        if (fill_string(&from[0], value, &s->value, e) < 0)
            return -1;
        proc_hide_env(s->value);
        return 0;
    }
    if (strcmp(value->key, "file") == 0) {
        s->from = SECRET_FILE;
        return fill_path(&from[1], value, &s->value, e);
    }
    if (strcmp(value->key, "command") == 0) {
        s->from = SECRET_COMMAND;
        return fill_strings(&from[2], value, &s->argv, e);
    }
    return yaml_key_error(value, e, "unknown key \"%.60s\"; a secret has env, file or "
                          "command", value->key);
}

static int
fill_enum(const struct conf_key *k, const struct yaml_node *n, void *at, struct err *e)
{
    size_t count = 0;

    if (want_scalar(k->name, n, "single word", e) < 0)
        return -1;
    for (; k->words[count]; count++)
        if (strcmp(n->text, k->words[count]) == 0) {
            *(int *)at = (int)count;
            return 0;
        }
    const char *near = text_nearest(n->text, k->words, count);
    return yaml_node_error(n, e, "%s must be %s, not \"%.60s\"%s%s%s", k->name,
                           word_list(k->words), n->text, near ? "; did you mean \"" : "",
                           near ? near : "", near ? "\"?" : "");
}

static int
fill_maps(const struct conf_key *k, const struct yaml_node *n, uint8_t *base,
          struct err *e)
{
    size_t *count = (void *)(base + k->count_at);

    if (n->kind != YAML_LIST)
        return yaml_node_error(n, e, "%s must be a list: write each with a dash before "
                               "it", k->name);
    uint8_t *list = mem_zalloc(n->count * k->size);
    *(void **)(void *)(base + k->at) = list;
    for (size_t i = 0; i < n->count; i++) {
        uint8_t *element = list + i * k->size;
        if (k->defaults)
            memcpy(element, k->defaults, k->size);
        *count = i + 1;
        if (schema_fill(k->keys, &n->items[i], element, e) < 0)
            return -1;
    }
    return 0;
}

static int
fill_node(const struct conf_key *k, const struct yaml_node *n, void *at, struct err *e)
{
    if ((k->flags & CONF_IS_MAP) && n->kind != YAML_MAP)
        return yaml_node_error(n, e, "%s must be a map, as in { name: value }", k->name);
    *(const struct yaml_node **)at = n;
    return 0;
}

static fill_fn *const fillers[] = {
    [CONF_STRING] = fill_string,   [CONF_NAME] = fill_name,
    [CONF_BOOL] = fill_bool,       [CONF_COUNT] = fill_count,
    [CONF_PERCENT] = fill_percent, [CONF_SIZE] = fill_size,
    [CONF_DURATION] = fill_duration, [CONF_CLOCK] = fill_clock,
    [CONF_PATH] = fill_path,
    [CONF_STRINGS] = fill_strings, [CONF_PATHS] = fill_paths,
    [CONF_ARGVS] = fill_argvs,
    [CONF_SECRET] = fill_secret,   [CONF_ENUM] = fill_enum,
    [CONF_NODE] = fill_node,
};

static int
fill_key(const struct conf_key *k, const struct yaml_node *n, uint8_t *base,
         struct err *e)
{
    if (yaml_node_empty(n) && k->type != CONF_NODE)
        return yaml_key_error(n, e, "%s has no value", k->name);
    if (k->type == CONF_MAP)
        return schema_fill(k->keys, n, base + k->at, e);
    if (k->type == CONF_MAPS)
        return fill_maps(k, n, base, e);
    return fillers[k->type](k, n, base + k->at, e);
}

static int
unknown_key(const struct conf_key *keys, const struct yaml_node *n, struct err *e)
{
    const char *words[KEYS_MAX];
    size_t count = 0;

    for (; keys[count].type != CONF_END; count++) {
        assert(count < KEYS_MAX);
        words[count] = keys[count].name;
    }
    const char *near = text_nearest(n->key, words, count);
    if (near)
        return yaml_key_error(n, e, "unknown key \"%.60s\"; did you mean \"%s\"?", n->key,
                              near);
    return yaml_key_error(n, e, "unknown key \"%.60s\"", n->key);
}

static const struct conf_key *
find_key(const struct conf_key *keys, const char *name)
{
    for (; keys->type != CONF_END; keys++)
        if (strcmp(keys->name, name) == 0)
            return keys;
    return NULL;
}

int
schema_fill(const struct conf_key *keys, const struct yaml_node *node, void *into,
            struct err *e)
{
    const char *name = node->key ? node->key : "this";

    if (node->kind != YAML_MAP)
        return yaml_node_error(node, e, "%s must be a map, as in { %s: … }", name,
                               keys[0].type != CONF_END ? keys[0].name : "name");
    for (size_t i = 0; i < node->count; i++) {
        const struct conf_key *k = find_key(keys, node->items[i].key);
        if (!k)
            return unknown_key(keys, &node->items[i], e);
        if (fill_key(k, &node->items[i], into, e) < 0)
            return -1;
    }
    for (const struct conf_key *k = keys; k->type != CONF_END; k++)
        if ((k->flags & CONF_REQUIRED) && !yaml_node_get(node, k->name))
            return yaml_node_error(node, e, "the key \"%s\" is missing%s%s", k->name,
                                   node->key ? " in " : "", node->key ? node->key : "");
    return 0;
}

static void
release_list(char ***list)
{
    for (size_t i = 0; *list && (*list)[i]; i++)
        mem_free((*list)[i]);
    mem_free(*list);
    *list = NULL;
}

static void
release_argvs(char ****list)
{
    for (size_t i = 0; *list && (*list)[i]; i++)
        release_list(&(*list)[i]);
    mem_free(*list);
    *list = NULL;
}

static void
release_maps(const struct conf_key *k, uint8_t *base)
{
    uint8_t **list = (void *)(base + k->at);
    size_t *count = (void *)(base + k->count_at);

    for (size_t i = 0; i < *count; i++)
        schema_release(k->keys, *list + i * k->size);
    mem_free(*list);
    *list = NULL;
    *count = 0;
}

void
schema_release(const struct conf_key *keys, void *from)
{
    for (const struct conf_key *k = keys; k->type != CONF_END; k++) {
        uint8_t *base = from;
        void *at = base + k->at;
        if (k->type == CONF_STRING || k->type == CONF_NAME || k->type == CONF_PATH) {
            mem_free(*(char **)at);
            *(char **)at = NULL;
        } else if (k->type == CONF_STRINGS || k->type == CONF_PATHS) {
            release_list(at);
        } else if (k->type == CONF_ARGVS) {
            release_argvs(at);
        } else if (k->type == CONF_SECRET) {
            struct conf_secret *s = at;
            mem_free(s->value);
            release_list(&s->argv);
            *s = (struct conf_secret){ SECRET_NONE, NULL, NULL };
        } else if (k->type == CONF_MAP) {
            schema_release(k->keys, at);
        } else if (k->type == CONF_MAPS) {
            release_maps(k, base);
        }
    }
}
