#include "drill/expect.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define SIDE_MAX 8192 /* bytes of one side in words */

static const char *const type_words[] = {
#define X(name, words) words,
    VALUE_TYPES(X)
#undef X
};

static const char *const op_names[] = {
#define X(name, sign) #name,
    EXPECT_OPS(X)
#undef X
};

static const char *const op_signs[] = {
#define X(name, sign) sign,
    EXPECT_OPS(X)
#undef X
};

const char *
value_type_words(enum value_type t)
{
    return type_words[t];
}

static bool
is_text(enum value_type t)
{
    return t == VALUE_TEXT || t == VALUE_SHA256;
}

static bool
octal(const char *s, uint64_t *out)
{
    uint64_t v = 0;

    for (; *s >= '0' && *s <= '7' && v <= 07777; s++)
        v = v * 8 + (uint64_t)(*s - '0');
    *out = v;
    return !*s && v <= 07777;
}

/* Reads a number of the type; false when it is none. */
static bool
number_of(enum value_type t, const char *s, uint64_t *out)
{
    switch (t) {
    case VALUE_NUMBER:
        return text_uint(s, UINT64_MAX, out);
    case VALUE_SIZE:
        return text_size(s, out);
    case VALUE_MODE:
        return s[0] && octal(s, out);
    case VALUE_FLAG:
        *out = strcmp(s, "true") == 0;
        return *out || strcmp(s, "false") == 0;
    default:
        return false;
    }
}

static int
compile(struct expect_test *t, const struct yaml_node *n, struct err *e)
{
    char why[128];
    int rc = regcomp(&t->re, n->text, REG_EXTENDED | REG_NOSUB | REG_NEWLINE);

    if (rc != 0) {
        regerror(rc, &t->re, why, sizeof why);
        return yaml_node_error(n, e, "\"%.100s\" is no regular expression: %s", n->text,
                               why);
    }
    t->has_re = true;
    return 0;
}

static int
type_error(const struct expect_key *k, const struct yaml_node *n, struct err *e)
{
    return yaml_node_error(n, e, "%s must be a %s, not \"%.60s\"", k->name,
                           type_words[k->type], n->text ? n->text : "");
}

/* One comparison with the scalar `n`. */
static int
add_test(struct expectation *x, const struct expect_key *k, enum expect_op op,
         const struct yaml_node *n, bool dry, struct err *e)
{
    struct expect_test *t = &x->tests[x->count];

    if (x->count == EXPECT_MAX)
        return yaml_node_error(n, e, "more than %d comparisons", EXPECT_MAX);
    if (n->kind != YAML_SCALAR || yaml_node_empty(n))
        return yaml_node_error(n, e, "%s must be a %s", k->name, type_words[k->type]);
    bool few = k->type == VALUE_SHA256 || k->type == VALUE_FLAG || k->type == VALUE_MODE;
    bool ordered = op != EXPECT_eq && op != EXPECT_ne && op != EXPECT_matches;
    if ((op == EXPECT_matches && k->type != VALUE_TEXT)
        || (ordered && (few || k->type == VALUE_TEXT)))
        return yaml_key_error(n, e, "%s cannot be compared by %s", k->name, op_names[op]);
    *t = (struct expect_test){ .key = k, .op = op };
    x->count++;
    if (dry && strstr(n->text, "${"))
        return 0;
    if (op == EXPECT_matches && compile(t, n, e) < 0)
        return -1;
    if (is_text(k->type)) {
        uint8_t sha[32];
        if (k->type == VALUE_SHA256 && !text_unhex(sha, sizeof sha, n->text))
            return type_error(k, n, e);
        t->text = mem_strdup(n->text);
        return 0;
    }
    return number_of(k->type, n->text, &t->number) ? 0 : type_error(k, n, e);
}

static int
unknown_key(const struct yaml_node *n, const char *const *words, size_t count,
            struct err *e)
{
    const char *near = text_nearest(n->key, words, count);

    return yaml_key_error(n, e, "unknown key \"%.60s\"%s%s%s", n->key,
                          near ? "; did you mean \"" : "", near ? near : "",
                          near ? "\"?" : "");
}

/* `exit: 0`, or `exit: { ge: 0, lt: 3 }`. */
static int
parse_key(struct expectation *x, const struct expect_key *k, const struct yaml_node *n,
          bool dry, struct err *e)
{
    if (n->kind != YAML_MAP)
        return add_test(x, k, EXPECT_eq, n, dry, e);
    if (n->count == 0)
        return yaml_node_error(n, e, "%s has no value", k->name);
    for (size_t i = 0; i < n->count; i++) {
        size_t op = 0;
        while (op < COUNT_OF(op_names) && strcmp(op_names[op], n->items[i].key) != 0)
            op++;
        if (op == COUNT_OF(op_names))
            return unknown_key(&n->items[i], op_names, COUNT_OF(op_names), e);
        if (add_test(x, k, (enum expect_op)op, &n->items[i], dry, e) < 0)
            return -1;
    }
    return 0;
}

static const struct expect_key *
find_key(const struct expect_key *keys, const char *name)
{
    for (; keys->name; keys++)
        if (strcmp(keys->name, name) == 0)
            return keys;
    return NULL;
}

/* What the check demands by itself. */
static void
add_defaults(struct expectation *x, const struct yaml_node *node)
{
    for (const struct expect_key *k = x->keys; k->name; k++) {
        if (!k->unless || yaml_node_get(node, k->name) || x->count == EXPECT_MAX)
            continue;
        struct expect_test *t = &x->tests[x->count++];
        *t = (struct expect_test){ .key = k, .op = EXPECT_eq };
        if (is_text(k->type))
            t->text = mem_strdup(k->unless);
        else
            (void)number_of(k->type, k->unless, &t->number);
    }
}

int
expect_parse(const struct expect_key *keys, const struct yaml_node *node, bool dry,
             struct expectation *out, struct err *e)
{
    const char *words[EXPECT_MAX];
    size_t known = 0;

    *out = (struct expectation){ .keys = keys };
    for (; keys[known].name; known++)
        words[known] = keys[known].name;
    if (node && node->kind != YAML_MAP)
        return yaml_node_error(node, e, "expect must be a map, as in { %s: … }",
                               keys[0].name);
    for (size_t i = 0; node && i < node->count; i++) {
        const struct expect_key *k = find_key(keys, node->items[i].key);
        if (!k)
            return unknown_key(&node->items[i], words, known, e);
        if (parse_key(out, k, &node->items[i], dry, e) < 0)
            return -1;
    }
    add_defaults(out, node);
    return 0;
}

void
expect_release(struct expectation *x)
{
    for (size_t i = 0; i < x->count; i++) {
        mem_free(x->tests[i].text);
        if (x->tests[i].has_re)
            regfree(&x->tests[i].re);
    }
    x->count = 0;
}

static bool
holds(const struct expect_test *t, const struct expect_value *v)
{
    if (t->op == EXPECT_matches)
        return v->text && t->has_re && regexec(&t->re, v->text, 0, NULL, 0) == 0;
    if (t->text) {
        bool same = v->text && strcmp(v->text, t->text) == 0;
        return v->text && (t->op == EXPECT_eq ? same : !same);
    }
    switch (t->op) {
    case EXPECT_eq:
        return v->number == t->number;
    case EXPECT_ne:
        return v->number != t->number;
    case EXPECT_lt:
        return v->number < t->number;
    case EXPECT_le:
        return v->number <= t->number;
    case EXPECT_gt:
        return v->number > t->number;
    case EXPECT_ge:
        return v->number >= t->number;
    default:
        return false;
    }
}

static void
put_value(struct buf *out, enum value_type type, uint64_t number, const char *text)
{
    if (text)
        buf_printf(out, "%s%.300s%s", type == VALUE_TEXT ? "\"" : "",
                   text_of_name(slice_str(text)), type == VALUE_TEXT ? "\"" : "");
    else if (type == VALUE_MODE)
        buf_printf(out, "%04o", (unsigned)number);
    else if (type == VALUE_FLAG)
        buf_put_str(out, number ? "true" : "false");
    else
        buf_printf(out, "%llu", (unsigned long long)number);
}

static const struct expect_value *
find_value(const struct expect_value *found, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(found[i].name, name) == 0)
            return &found[i];
    return NULL;
}

bool
expect_judge(const struct expectation *x, const struct expect_value *found, size_t count,
             char **expected, char **actual)
{
    AUTOBUF struct buf want = BUF(SIDE_MAX), have = BUF(SIDE_MAX);
    bool all = true;

    for (size_t i = 0; i < x->count; i++) {
        const struct expect_test *t = &x->tests[i];
        const struct expect_value *v = find_value(found, count, t->key->name);
        all = all && v && holds(t, v);
        if (want.len > SIDE_MAX / 2 || have.len > SIDE_MAX / 2)
            continue; /* judged, but not told any more */
        buf_printf(&want, "%s%s %s ", i ? ", " : "", t->key->name, op_signs[t->op]);
        if (t->op == EXPECT_matches)
            buf_printf(&want, "\"%.300s\"", t->text); /* its backslashes as written */
        else
            put_value(&want, t->key->type, t->number, t->text);
        if (i > 0 && x->tests[i - 1].key == t->key)
            continue;
        buf_printf(&have, "%s%s = ", have.len ? ", " : "", t->key->name);
        if (v)
            put_value(&have, t->key->type, v->number, v->text);
        else
            buf_put_str(&have, "(nothing)");
    }
    *expected = mem_strdup(buf_cstr(&want));
    *actual = mem_strdup(buf_cstr(&have));
    return all;
}
