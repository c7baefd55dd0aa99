/*
 * app: what a command gets, and how it tells its result.
 *
 * main parses the line, loads what the command needs, calls run(), prints the
 * error (if any) once on stderr and exits. A command
 *
 *   - finds its options in app->options and its arguments in app->args,
 *   - puts its result into app->result (fields of the object that --json
 *     prints; main adds type, schema, exit, status, statuses and error),
 *   - prints the same for people with printf when !app->json && !app->quiet
 *     (data that was asked for, such as a listing, even when quiet),
 *   - calls app_note() for each outcome that is worse than done but no error
 *     (STATUS_DEGRADED, STATUS_PARTIAL), and
 *   - returns STATUS_OK, or app_fail(e) with `e` filled.
 *
 * The exit status is the worst of what was noted and returned.
 */
#ifndef CLI_APP_H
#define CLI_APP_H

#include "cli/options.h"
#include "conf/config.h"

#include <jansson.h>

struct app {
    const struct command *command;
    const void *options;     /* the command's options struct */
    const char *const *args; /* NULL-terminated */
    size_t arg_count;

    const char *config_path; /* -c; NULL: not given */
    bool json, quiet, progress;
    unsigned verbose;
    uint64_t limit_upload, limit_download; /* bytes/s; 0: what the configuration says */

    struct conf *conf; /* with NEEDS_CONFIG; else NULL until app_load_config() */
    json_t *result;    /* always there, so that it may be filled without asking */
    bool noted[STATUS_COUNT];
};

/* Loads app->conf unless it is there. */
MUST_USE int app_load_config(struct app *app, struct err *e);

void app_note(struct app *app, enum status s);
/* --memory of the commands that have it; 0: not given. */
MUST_USE int app_check_memory(uint64_t limit, struct err *e);

static inline enum status
app_fail(const struct err *e)
{
    return err_status(e->kind);
}

/* Opens what the command's `needs` ask for, and closes it. */
MUST_USE int app_open(struct app *app, struct err *e);
void app_close(struct app *app);

/* May a command that cron runs tell how it went? On a terminal or with -v; cron
 * gets nothing but warnings and errors. */
bool app_chatty(const struct app *app);

/* The worst of `s` and all that was noted. */
enum status app_status(const struct app *app, enum status s);

/* Prints the result object (--json) or the error, as the end of a run. */
void app_finish(struct app *app, enum status s, const struct err *e);

#endif
