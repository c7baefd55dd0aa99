/*
 * schema: const tables of keys that turn a YAML map into a struct.
 *
 * One table per map: reading, checking and the manual's key tables are made
 * from it. Strict: an unknown key, a wrong type or a value out of range is
 * ERR_USAGE with file, line, column and, for a key, the nearest known one.
 * Used for drtool.yaml, for runbooks and for the `with:` of their steps.
 *
 * The struct is zeroed (or filled with defaults that own nothing) by the
 * caller; whatever schema_fill() put there, even when it failed half-way, is
 * freed by schema_release(). What a key did not mention is left as it was.
 */
#ifndef CONF_SCHEMA_H
#define CONF_SCHEMA_H

#include "conf/yaml.h"

#define CONF_NAME_MAX 64   /* bytes of a name */
#define CONF_TEXT_MAX 4096 /* bytes of any other string */

/* Where a secret comes from; resolved late by secret_resolve(). */
struct conf_secret {
    enum { SECRET_NONE, SECRET_FILE, SECRET_ENV, SECRET_COMMAND } from;
    char *value; /* path or variable name */
    char **argv; /* SECRET_COMMAND: NULL-terminated */
};

/* X(type, what fills it, in words): the field at `at` has the C type named. */
#define CONF_TYPES(X)                                                          \
    X(STRING, "char *", "string")                                              \
    X(NAME, "char *", "name")           /* [A-Za-z0-9._-]+ */                  \
    X(BOOL, "bool", "true or false")    /* or the two `words`, false's first */ \
    X(COUNT, "unsigned", "number")      /* min to max; max 0: any */           \
    X(PERCENT, "unsigned", "percentage") /* "80%", 0 to 100 */                 \
    X(SIZE, "uint64_t", "size")         /* bytes */                            \
    X(DURATION, "int64_t", "duration")  /* milliseconds */                     \
    X(CLOCK, "unsigned", "time of day") /* hh:mm, minutes since midnight */    \
    X(PATH, "char *", "path")           /* absolute; ~/ becomes the home folder */ \
    X(STRINGS, "char **", "list of strings") /* NULL-terminated, not empty */  \
    X(PATHS, "char **", "list of paths")                                       \
    X(ARGVS, "char ***", "list of commands") /* each a list as of STRINGS */   \
    X(SECRET, "struct conf_secret", "secret")                                  \
    X(ENUM, "int", "word")              /* index in `words` */                 \
    X(MAP, "the same struct", "map")    /* `keys`, whose `at` count from here */ \
    X(MAPS, "struct x *", "list of maps") /* array; its size_t is at `count_at` */ \
    X(NODE, "const struct yaml_node *", "any value") /* free form; not copied */

enum conf_type {
    CONF_END, /* ends a table */
#define X(name, field, words) CONF_##name,
    CONF_TYPES(X)
#undef X
};

enum conf_key_flag {
    CONF_REQUIRED = 1 << 0,
    CONF_NO_HOME = 1 << 1, /* a path that must not begin with ~/ */
    CONF_IS_MAP = 1 << 2,  /* NODE: must be a map */
};

struct conf_key {
    const char *name;
    enum conf_type type;
    size_t at;                   /* offset in the struct; MAP: where it begins */
    unsigned flags;
    const char *help;            /* a sentence for the manual, default included */
    const struct conf_key *keys; /* MAP, MAPS */
    size_t count_at;             /* MAPS */
    size_t size;                 /* MAPS: bytes of an element */
    const void *defaults;        /* MAPS: an element before it is filled; or NULL */
    const char *const *words;    /* ENUM, BOOL: NULL-terminated */
    uint64_t min, max;           /* COUNT, SIZE, DURATION; max 0: no bound */
};

/* Fills `into` from the map `node`. A NODE field points into the tree, which
 * must then outlive the struct. */
MUST_USE int schema_fill(const struct conf_key *keys, const struct yaml_node *node,
                         void *into, struct err *e);
void schema_release(const struct conf_key *keys, void *from);

/* "list of strings", "one of auto, path, host": the type in the manual. */
const char *schema_type(const struct conf_key *k);

#endif
