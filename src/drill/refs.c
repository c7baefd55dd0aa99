#include "refs.h"

#include "base/text.h"
#include "conf/env.h"

#include <string.h>

#define VALUE_MAX 65536 /* bytes, with everything put in */
#define WORDS_MAX 64

/* Where in the scalar the reference stands, as far as that can be told. */
static struct yaml_node
position(const struct yaml_node *scalar, const char *at)
{
    struct yaml_node n = *scalar;

    if (!strchr(scalar->text, '\n'))
        n.column += (unsigned)(at - scalar->text) + scalar->quoted;
    return n;
}

static int
unknown(const struct yaml_node *at, const char *what, const char *name,
        const char *const *words, size_t count, struct err *e)
{
    const char *near = text_nearest(name, words, count);

    return yaml_node_error(at, e, "there is no %s \"%.60s\"%s%s%s", what, name,
                           near ? "; did you mean \"" : "", near ? near : "",
                           near ? "\"?" : "");
}

static int
find_step(const struct refs *r, const char *id, const struct yaml_node *at, size_t *out,
          struct err *e)
{
    const char *words[WORDS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < r->runbook->step_count; i++) {
        const char *known = r->runbook->steps[i].id;
        if (strcmp(known, id) == 0 && i < r->steps_before)
            return *out = i, 0;
        if (strcmp(known, id) == 0)
            return yaml_node_error(at, e,
                                   "step %.60s comes later: only outputs of steps "
                                   "above can be used",
                                   id);
        if (n < WORDS_MAX)
            words[n++] = known;
    }
    return unknown(at, "step", id, words, n, e);
}

static const struct output_kind *
find_output(const struct step_kind *kind, const char *name, const struct yaml_node *at,
            struct err *e)
{
    const char *words[WORDS_MAX];
    size_t n = 0;

    for (const struct output_kind *o = kind->outputs; o->name; o++) {
        if (strcmp(o->name, name) == 0)
            return o;
        words[n++] = o->name;
    }
    AUTOFREE char *what = mem_printf("output of %s", kind->name);
    unknown(at, what, name, words, n, e);
    return NULL;
}

/* "ID.OUTPUT"; an id may have dots in it. */
static const char *
step_value(const struct refs *r, const char *name, const struct yaml_node *at,
           struct err *e)
{
    const char *dot = strrchr(name, '.');
    size_t step = 0;

    if (!dot || dot == name || !dot[1]) {
        yaml_node_error(at, e, "write ${steps.ID.OUTPUT}");
        return NULL;
    }
    AUTOFREE char *id = mem_printf("%.*s", (int)(dot - name), name);
    if (find_step(r, id, at, &step, e) < 0)
        return NULL;
    const struct step_kind *kind = r->runbook->steps[step].kind;
    const struct output_kind *o = find_output(kind, dot + 1, at, e);
    if (!o)
        return NULL;
    const char *value = r->output(r->arg, step, o);
    if (!value)
        yaml_node_error(at, e, "step %s has no %s: it did not pass", id, o->name);
    return value;
}

static const char *
input_value(const struct refs *r, const char *name, const struct yaml_node *at,
            struct err *e)
{
    const char *words[WORDS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < r->runbook->input_count; i++) {
        if (strcmp(r->runbook->inputs[i].name, name) == 0)
            return r->runbook->inputs[i].value;
        if (n < WORDS_MAX)
            words[n++] = r->runbook->inputs[i].name;
    }
    unknown(at, "input", name, words, n, e);
    return NULL;
}

/* What `name` stands for; borrowed. */
static const char *
value_of(const struct refs *r, const char *name, const struct yaml_node *at,
         struct err *e)
{
    static const char *const words[] = { "run.id", "sandbox.dir", "inputs.NAME",
                                         "env.NAME", "steps.ID.OUTPUT" };

    if (strcmp(name, "run.id") == 0)
        return r->runbook->run_id;
    if (strncmp(name, "inputs.", 7) == 0)
        return input_value(r, name + 7, at, e);
    if (strncmp(name, "env.", 4) == 0) {
        const char *value = env_get(name + 4);
        if (!value)
            yaml_node_error(at, e, "the environment has no %.60s, or it is empty",
                            name + 4);
        return value;
    }
    bool late = strcmp(name, "sandbox.dir") == 0 || strncmp(name, "steps.", 6) == 0;
    if (late && !r->within) {
        yaml_node_error(at, e,
                        "${%.60s} can be used in `with` and `expect` of steps and "
                        "checks only",
                        name);
        return NULL;
    }
    if (late)
        return name[1] == 'a' ? r->runbook->sandbox_dir : step_value(r, name + 6, at, e);
    const char *near = text_nearest(name, words, 2);
    yaml_node_error(at, e, "unknown reference ${%.60s}; %s%s%s", name,
                    near ? "did you mean ${"
                         : "there are run.id, sandbox.dir, inputs.X, "
                           "env.X and steps.ID.X",
                    near ? near : "", near ? "}?" : "");
    return NULL;
}

/* Puts what stands between "${" and "}" at *text; moves on behind it. */
static int
put_reference(const struct refs *r, const struct yaml_node *scalar, const char **text,
              struct buf *out, struct err *e)
{
    struct yaml_node at = position(scalar, *text);
    const char *begin = *text + 2, *end = strchr(begin, '}');

    if (!end)
        return yaml_node_error(&at, e,
                               "\"${\" without its \"}\"; write \"$${\" for the "
                               "characters themselves");
    AUTOFREE char *name = mem_printf("%.*s", (int)(end - begin), begin);
    const char *value = value_of(r, name, &at, e);
    if (!value)
        return -1;
    if (strlen(value) > out->max - out->len)
        return yaml_node_error(&at, e, "${%.60s} makes it longer than %d bytes", name,
                               VALUE_MAX);
    buf_put_str(out, value);
    *text = end + 1;
    return 0;
}

char *
refs_expand(void *arg, const struct yaml_node *scalar, struct err *e)
{
    const struct refs *r = arg;
    AUTOBUF struct buf out = BUF(VALUE_MAX);
    const char *s = scalar->text;

    while (*s) {
        size_t plain = strcspn(s, "$");
        if (plain + 2 > out.max - out.len) {
            yaml_node_error(scalar, e, "longer than %d bytes", VALUE_MAX);
            return NULL;
        }
        buf_put(&out, s, plain);
        s += plain;
        if (strncmp(s, "$${", 3) == 0) {
            buf_put_str(&out, "${");
            s += 3;
        } else if (strncmp(s, "${", 2) == 0) {
            if (put_reference(r, scalar, &s, &out, e) < 0)
                return NULL;
        } else if (*s) {
            buf_put_u8(&out, (uint8_t)*s++);
        }
    }
    return mem_strdup(buf_cstr(&out));
}

bool
refs_names_step(const char *text)
{
    return strstr(text, "${steps.") != NULL;
}

void
refs_each_step(const struct runbook *rb, const struct yaml_node *node,
               void (*fn)(void *arg, size_t step), void *arg)
{
    if (!node)
        return;
    for (size_t i = 0; i < node->count; i++)
        refs_each_step(rb, &node->items[i], fn, arg);
    const char *s = node->text;
    while (s && (s = strstr(s, "${steps.")) != NULL) {
        s += strlen("${steps.");
        for (size_t i = 0; i < rb->step_count; i++) {
            size_t len = strlen(rb->steps[i].id);
            const char *end = s + strcspn(s, "}");
            if (strncmp(s, rb->steps[i].id, len) == 0 && s[len] == '.'
                && !memchr(s + len + 1, '.', (size_t)(end - s) - len - 1))
                fn(arg, i);
        }
    }
}
