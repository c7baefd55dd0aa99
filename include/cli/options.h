/*
 * options: what a command is, as a const table.
 *
 * Parsing, help, manual pages and completions are made from it, so that they
 * cannot differ. The globals (commands.c) are accepted before and after the
 * command's name and own the letters c, q, v and h.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* The field at `at` of the command's options struct has the C type named. */
enum opt_type {
    OPT_END,      /* ends a table */
    OPT_FLAG,     /* bool; takes no value */
    OPT_REPEAT,   /* unsigned; how often it was given; takes no value */
    OPT_STRING,   /* const char *; the last one counts */
    OPT_STRINGS,  /* struct opt_strings; may be repeated */
    OPT_COUNT,    /* unsigned */
    OPT_SIZE,     /* uint64_t, bytes: "64MiB" */
    OPT_DURATION, /* int64_t, milliseconds: "15m" */
    OPT_ENUM,     /* int; index of the word in `arg`, "always|if-changed|never" */
};

struct opt_strings {
    const char **items; /* borrowed strings; the array is parse_release()'s */
    size_t count, cap;
};

/* What a shell offers for a value or an argument: X(name, word). The word is
 * the KIND of `drtool __complete KIND`. */
#define COMPLETES(X)      \
    X(NONE, "none")       \
    X(FILE, "file")       \
    X(DIR, "dir")         \
    X(COMMAND, "command") \
    X(SHELL, "shell")     \
    X(SOURCE, "source")   \
    X(TARGET, "target")   \
    X(SNAPSHOT, "snapshot")

enum complete {
#define X(name, word) COMPLETE_##name,
    COMPLETES(X)
#undef X
};

struct option {
    enum opt_type type;
    const char *name;       /* "target" for --target */
    char letter;            /* 't' for -t; 0: none */
    const char *arg;        /* "NAME" in help; NULL for a flag */
    size_t at;              /* offset in the command's options struct */
    enum complete complete; /* what a shell offers for the value */
    const char *help;       /* one line, lower case, no full stop */
};

/* The same row for every command that has it, with its check. */
#define OPTION_MEMORY(at)                                        \
    {                                                            \
        OPT_SIZE, "memory", 0, "SIZE", at, COMPLETE_NONE,        \
            "take no more memory than about SIZE, 48MiB or more" \
    }

enum command_needs {
    NEEDS_CONFIG = 1 << 0, /* main loads it, or ends with its error */
    NEEDS_REPO = 1 << 1,   /* main opens it as well; implies NEEDS_CONFIG */
    OWNS_STDOUT = 1 << 2,  /* prints raw data: no result object with --json */
};

struct app;

struct command {
    const char *name;             /* "backup", or two words: "key add" */
    const char *args;             /* "SNAPSHOT [PATH...]"; NULL: takes none */
    const char *summary;          /* one line, lower case, no full stop */
    const struct option *options; /* NULL: none */
    size_t options_size;
    const void *defaults; /* the options struct before parsing; NULL: zeros */
    unsigned needs;
    enum complete complete;      /* what a shell offers for arguments */
    const char *const *examples; /* pairs of line and sentence, then NULL; or NULL */

    /* Returns how it went. With `e` filled main prints it, once; a command that
     * failed returns app_fail(e). */
    enum status (*run)(struct app *app, struct err *e);
};

extern const struct command *const commands[]; /* as help lists them; NULL ends it */
extern const struct option global_options[];   /* of struct globals (cli/parse.h) */

/* True for what only drtool itself and its build call: "__man". */
bool command_hidden(const struct command *c);

#endif
