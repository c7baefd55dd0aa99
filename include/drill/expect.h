/*
 * expect: what a check demands, as comparisons of named values.
 *
 *     expect: { exit: 0, stdout: { matches: "^ok" }, size: { ge: 1KiB, lt: 1GiB } }
 *
 * A value alone means eq. What a runbook does not mention keeps the check's
 * own demand, if it has one: nothing passes because somebody forgot a line.
 */
#ifndef DRILL_EXPECT_H
#define DRILL_EXPECT_H

#include "conf/yaml.h"

#include <regex.h>

#define EXPECT_MAX 32 /* comparisons of one check */

/* X(type, in words): how a value is written and compared. */
#define VALUE_TYPES(X)         \
    X(NUMBER, "number")        \
    X(SIZE, "size")            \
    X(MODE, "mode, octal")     \
    X(FLAG, "true or false")   \
    X(SHA256, "64 hex digits") \
    X(TEXT, "string")

enum value_type {
#define X(name, words) VALUE_##name,
    VALUE_TYPES(X)
#undef X
};
const char *value_type_words(enum value_type t);

struct expect_key {
    const char *name;
    enum value_type type;
    const char *unless; /* what is demanded when it is not mentioned; NULL: nothing */
    const char *help;
};

/* X(name, how it is shown): matches is a POSIX extended regular expression. */
#define EXPECT_OPS(X) \
    X(eq, "=")        \
    X(ne, "!=")       \
    X(lt, "<")        \
    X(le, "<=")       \
    X(gt, ">")        \
    X(ge, ">=")       \
    X(matches, "matches")

enum expect_op {
#define X(name, sign) EXPECT_##name,
    EXPECT_OPS(X)
#undef X
};

struct expect_test {
    const struct expect_key *key;
    enum expect_op op;
    uint64_t number;
    char *text; /* NULL: a number is compared */
    bool has_re;
    regex_t re;
};

struct expectation {
    const struct expect_key *keys;
    struct expect_test tests[EXPECT_MAX];
    size_t count;
};

/* Reads `node` (NULL: nothing was written). With `dry` values that hold a
 * reference are not typed yet. Release it even when it failed. */
MUST_USE int expect_parse(const struct expect_key *keys, const struct yaml_node *node,
                          bool dry, struct expectation *out, struct err *e);
void expect_release(struct expectation *x);

/* What was found; `text` NULL: the number counts. */
struct expect_value {
    const char *name;
    uint64_t number;
    const char *text;
};

/* True if every comparison holds. Gives both sides in words; the caller frees
 * them. A value that is demanded and not among those found does not hold. */
bool expect_judge(const struct expectation *x, const struct expect_value *found,
                  size_t count, char **expected, char **actual);

#endif
