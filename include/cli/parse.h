/*
 * parse: the command line, by the tables of cli/options.h.
 *
 * --name VALUE, --name=VALUE, -nVALUE, -n VALUE, letters of flags together,
 * and -- after which everything is an argument. Options and arguments may be
 * mixed. Long names are not abbreviated. The number of arguments is checked
 * against the command's `args`. All errors are ERR_USAGE.
 */
#ifndef CLI_PARSE_H
#define CLI_PARSE_H

#include "base/buf.h"
#include "cli/options.h"

struct globals {
    const char *config; /* NULL: where conf_load() looks by itself */
    bool json, progress, quiet, help, version;
    unsigned verbose, nice;
    uint64_t limit_upload, limit_download; /* bytes/s; 0: what the configuration says */
};

struct parsed {
    const struct command *command; /* NULL: none was named */
    void *options;                 /* its struct, filled; owned */
    struct globals globals;
    const char **args; /* NULL-terminated; the strings are argv's */
    size_t arg_count;
};

/* On failure `out` holds what was understood so far. Release it either way. */
MUST_USE int parse_line(const struct command *const *table, int argc,
                        const char *const *argv, struct parsed *out, struct err *e);
void parse_release(struct parsed *p);

/* The command of these words (one or two), and how many of them are its name;
 * NULL when there is none. */
const struct command *parse_find(const struct command *const *table,
                                 const char *const *words, size_t count, size_t *used);

/* Fills `e` for words that name no command, with the nearest that does. */
int parse_unknown(const struct command *const *table, const char *const *words,
                  size_t count, struct err *e);

/* How many arguments `args` ("SNAPSHOT [PATH...]") asks for. */
struct parse_bounds {
    size_t least, most; /* most SIZE_MAX: any number */
};

struct parse_bounds parse_bounds(const char *args);

#endif
