#include "cli/parse.h"
#include "base/text.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define WORDS_MAX 128 /* names that a suggestion chooses from */

/* The line while it is read. */
struct line {
    const struct command *const *table;
    const char *const *argv;
    size_t count, next;
    struct parsed *out;
    bool ended; /* "--" was seen */
};

struct parse_bounds
parse_bounds(const char *args)
{
    struct parse_bounds b = { 0, 0 };
    int depth = 0;

    for (const char *p = args ? args : ""; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        for (size_t i = 0; i < len && p[i] == '['; i++)
            depth++;
        b.least += depth == 0;
        if (memmem(p, len, "...", 3))
            b.most = SIZE_MAX;
        else if (b.most != SIZE_MAX)
            b.most++;
        for (size_t i = 0; i < len; i++)
            depth -= p[i] == ']';
        p += len;
    }
    return b;
}

bool
command_hidden(const struct command *c)
{
    return c->name[0] == '_';
}

const struct command *
parse_find(const struct command *const *table, const char *const *words, size_t count,
           size_t *used)
{
    for (size_t i = 0; table[i] && count > 0; i++) {
        const char *name = table[i]->name, *space = strchr(name, ' ');
        if (space && count > 1 && strlen(words[0]) == (size_t)(space - name)
            && strncmp(name, words[0], (size_t)(space - name)) == 0
            && strcmp(space + 1, words[1]) == 0)
            return *used = 2, table[i];
        if (strcmp(name, words[0]) == 0)
            return *used = 1, table[i];
    }
    return NULL;
}

static bool
is_group(const struct command *const *table, const char *word)
{
    size_t len = strlen(word);

    for (size_t i = 0; table[i]; i++)
        if (strncmp(table[i]->name, word, len) == 0 && table[i]->name[len] == ' ')
            return true;
    return false;
}

int
parse_unknown(const struct command *const *table, const char *const *words, size_t count,
              struct err *e)
{
    char name[64];
    const char *known[WORDS_MAX];
    size_t n = 0;

    for (size_t i = 0; table[i] && n < WORDS_MAX; i++)
        if (!command_hidden(table[i]))
            known[n++] = table[i]->name;
    if (is_group(table, words[0]) && count < 2)
        return err_set(e, ERR_USAGE, 0,
                       "%.40s needs a further word; see 'drtool help "
                       "%.40s'",
                       words[0], words[0]);
    snprintf(name, sizeof name, "%.30s%s%.30s", words[0],
             is_group(table, words[0]) ? " " : "",
             is_group(table, words[0]) ? words[1] : "");
    const char *near = text_nearest(name, known, n);
    if (near)
        return err_set(e, ERR_USAGE, 0, "unknown command \"%s\"; did you mean \"%s\"?",
                       name, near);
    return err_set(e, ERR_USAGE, 0, "unknown command \"%s\"; see 'drtool help'", name);
}

/* The option of that name (of `len` bytes) or, with name NULL, letter. */
static const struct option *
find_in(const struct option *o, const char *name, size_t len, char letter)
{
    for (; o && o->type != OPT_END; o++)
        if (name ? strlen(o->name) == len && memcmp(o->name, name, len) == 0
                 : o->letter && o->letter == letter)
            return o;
    return NULL;
}

/* Finds it in the command's table or the globals; *base is the struct it fills. */
static const struct option *
find_option(const struct line *l, const char *name, size_t len, char letter,
            uint8_t **base)
{
    const struct command *c = l->out->command;
    const struct option *o = find_in(c ? c->options : NULL, name, len, letter);

    *base = o ? l->out->options : (void *)&l->out->globals;
    return o ? o : find_in(global_options, name, len, letter);
}

static size_t
collect(const struct option *o, const char **words, size_t n)
{
    for (; o && o->type != OPT_END && n < WORDS_MAX; o++)
        words[n++] = o->name;
    return n;
}

static int
unknown_option(const struct line *l, const char *name, size_t len, struct err *e)
{
    const struct command *c = l->out->command;
    const char *known[WORDS_MAX];
    char word[64];
    size_t n = collect(c ? c->options : NULL, known, 0);

    n = collect(global_options, known, n);
    snprintf(word, sizeof word, "%.*s", (int)(len < 60 ? len : 60), name);
    const char *near = text_nearest(word, known, n);
    if (near)
        return err_set(e, ERR_USAGE, 0, "unknown option --%s; did you mean --%s?", word,
                       near);
    return err_set(e, ERR_USAGE, 0, "unknown option --%s; see 'drtool help%s%s'", word,
                   c ? " " : "", c ? c->name : "");
}

static int
set_enum(const struct option *o, const char *value, int *at, struct err *e)
{
    int index = 0;

    for (const char *w = o->arg; *w; index++) {
        size_t len = strcspn(w, "|");
        if (strlen(value) == len && memcmp(w, value, len) == 0) {
            *at = index;
            return 0;
        }
        w += len + (w[len] == '|');
    }
    return err_set(e, ERR_USAGE, 0, "--%s must be one of %s, not \"%.60s\"", o->name,
                   o->arg, value);
}

static void
add_string(struct opt_strings *list, const char *value)
{
    list->items = mem_grow(list->items, &list->cap, list->count + 1,
                           sizeof list->items[0]);
    list->items[list->count++] = value;
}

static int
set_value(const struct option *o, const char *value, void *at, struct err *e)
{
    uint64_t v;

    switch (o->type) {
    case OPT_STRING:
        *(const char **)at = value;
        return 0;
    case OPT_STRINGS:
        add_string(at, value);
        return 0;
    case OPT_COUNT:
        if (!text_uint(value, UINT32_MAX, &v))
            return err_set(e, ERR_USAGE, 0, "--%s must be a whole number, not \"%.60s\"",
                           o->name, value);
        *(unsigned *)at = (unsigned)v;
        return 0;
    case OPT_SIZE:
        if (!text_size(value, at))
            return err_set(e, ERR_USAGE, 0,
                           "--%s must be a size such as 64MiB, not \"%.60s\"", o->name,
                           value);
        return 0;
    case OPT_DURATION:
        if (!text_duration(value, at))
            return err_set(e, ERR_USAGE, 0,
                           "--%s must be a duration such as 90s, 15m, "
                           "4h or 7d, not \"%.60s\"",
                           o->name, value);
        return 0;
    case OPT_ENUM:
        return set_enum(o, value, at, e);
    case OPT_FLAG:
    case OPT_REPEAT:
    case OPT_END:
        break;
    }
    assert(!"an option with a value");
    return -1;
}

/* Sets a flag; false if the option is none. */
static bool
set_flag(const struct option *o, void *at)
{
    if (o->type == OPT_FLAG)
        *(bool *)at = true;
    else if (o->type == OPT_REPEAT)
        ++*(unsigned *)at;
    else
        return false;
    return true;
}

static int
missing_value(const struct option *o, struct err *e)
{
    return err_set(e, ERR_USAGE, 0, "--%s needs a value: --%s %s", o->name, o->name,
                   o->arg);
}

/* "--name", "--name=value", "--name value" */
static int
read_long(struct line *l, const char *word, struct err *e)
{
    size_t len = strcspn(word, "=");
    uint8_t *base;
    const struct option *o = find_option(l, word, len, 0, &base);

    if (!o)
        return unknown_option(l, word, len, e);
    if (o->type == OPT_FLAG || o->type == OPT_REPEAT) {
        if (word[len])
            return err_set(e, ERR_USAGE, 0, "--%s takes no value", o->name);
        set_flag(o, base + o->at);
        return 0;
    }
    if (word[len])
        return set_value(o, word + len + 1, base + o->at, e);
    if (l->next == l->count)
        return missing_value(o, e);
    return set_value(o, l->argv[l->next++], base + o->at, e);
}

/* "-n", "-nv", "-tNAME", "-t NAME" */
static int
read_letters(struct line *l, const char *letters, struct err *e)
{
    for (const char *p = letters; *p; p++) {
        uint8_t *base;
        const struct option *o = find_option(l, NULL, 0, *p, &base);
        if (!o)
            return err_set(e, ERR_USAGE, 0, "unknown option -%c; see 'drtool help%s%s'",
                           *p, l->out->command ? " " : "",
                           l->out->command ? l->out->command->name : "");
        if (set_flag(o, base + o->at))
            continue;
        if (p[1])
            return set_value(o, p + 1, base + o->at, e);
        if (l->next == l->count)
            return missing_value(o, e);
        return set_value(o, l->argv[l->next++], base + o->at, e);
    }
    return 0;
}

/* "key --help": the option is read when it is its turn. */
static bool
asks_about_group(const struct line *l, const char *const *words)
{
    return l->next < l->count && is_group(l->table, words[0])
        && (strcmp(words[1], "--help") == 0 || strcmp(words[1], "-h") == 0);
}

/* The first word that is no option names the command. A group's second word
 * stands right behind it. */
static int
read_command(struct line *l, struct err *e)
{
    size_t used = 0;
    const char *const *words = l->argv + l->next - 1;
    const struct command *c = parse_find(l->table, words, l->count - l->next + 1, &used);

    /* "drtool --help key" and "drtool key --help": help tells */
    if (!c && (l->out->globals.help || asks_about_group(l, words)))
        return l->out->args[l->out->arg_count++] = words[0], 0;
    if (!c)
        return parse_unknown(l->table, words, l->count - l->next + 1, e);
    l->next += used - 1;
    l->out->command = c;
    l->out->options = mem_zalloc(c->options_size);
    if (c->defaults)
        memcpy(l->out->options, c->defaults, c->options_size);
    return 0;
}

static int
check_count(const struct parsed *p, struct err *e)
{
    const struct command *c = p->command;
    struct parse_bounds b = parse_bounds(c->args);

    if (p->arg_count < b.least)
        return err_set(e, ERR_USAGE, 0, "%s needs more arguments: drtool %s %s", c->name,
                       c->name, c->args);
    if (p->arg_count > b.most)
        return err_set(e, ERR_USAGE, 0, "unexpected argument \"%.60s\": drtool %s%s%s",
                       p->args[b.most], c->name, c->args ? " " : "",
                       c->args ? c->args : "");
    return 0;
}

int
parse_line(const struct command *const *table, int argc, const char *const *argv,
           struct parsed *out, struct err *e)
{
    struct line l = {
        .table = table, .argv = argv, .count = (size_t)argc, .next = 1, .out = out
    };

    *out = (struct parsed){ .args = mem_zalloc(((size_t)argc + 1) * sizeof *out->args) };
    while (l.next < l.count) {
        const char *word = argv[l.next++];
        int rc = 0;
        if (l.ended || word[0] != '-' || !word[1]) {
            if (out->command)
                out->args[out->arg_count++] = word;
            else
                rc = read_command(&l, e);
        } else if (strcmp(word, "--") == 0) {
            l.ended = true;
        } else {
            rc = word[1] == '-' ? read_long(&l, word + 2, e)
                                : read_letters(&l, word + 1, e);
        }
        if (rc < 0)
            return -1;
    }
    if (out->globals.help || out->globals.version)
        return 0;
    if (!out->command)
        return err_set(e, ERR_USAGE, 0, "a command is missing; 'drtool help' lists them");
    return check_count(out, e);
}

void
parse_release(struct parsed *p)
{
    const struct option *o = p->command ? p->command->options : NULL;

    for (; o && o->type != OPT_END; o++)
        if (o->type == OPT_STRINGS)
            mem_free(
                ((struct opt_strings *)(void *)((uint8_t *)p->options + o->at))->items);
    mem_free(p->options);
    mem_free(p->args);
    *p = (struct parsed){ 0 };
}
