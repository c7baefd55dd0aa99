#include "base/log.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/open.h"
#include "cli/output.h"
#include "engine/wal.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOCK_WAIT_MS 60000

static int
all_known(const struct app *app, struct err *e)
{
    int known = 1;

    for (size_t i = 0; i < app->arg_count && known == 1; i++)
        known = engine_wal_known(app->conf, app->args[i], e);
    return known;
}

static void
tell_push(struct app *app, const struct wal_push_result *res)
{
    json_put_int(app->result, "stored_files", res->stored);
    json_put_int(app->result, "stored_bytes", (int64_t)res->bytes);
    json_put_int(app->result, "known_files", res->known);
    json_put_int(app->result, "waiting_files", res->waiting);
    if (app_chatty(app))
        printf("%u files stored (%s), %u known\n", res->stored, text_of_size(res->bytes),
               res->known);
}

static enum status
run_push(struct app *app, struct err *e)
{
    CLEANUP(repo_close_p) struct repo *r = NULL;
    struct wal_push_options o = { .paths = app->args,
                                  .ack_spool = app->conf->wal.ack_spool };
    struct wal_push_result res = { .known = (unsigned)app->arg_count };

    if (app->arg_count == 0) {
        err_set(e, ERR_USAGE, 0, "which file? archive_command gives it as %%p");
        return app_fail(e);
    }
    int known = all_known(app, e);
    if (known < 0)
        return app_fail(e);
    if (known == 0
        && (open_log_for_writing(app, LOCK_WAIT_MS, &r, e) < 0
            || engine_wal_push(r, &o, &res, e) < 0))
        return app_fail(e);
    tell_push(app, &res);
    return STATUS_OK;
}

static const char *const push_examples[] = {
    "drtool wal push pg_wal/00000001000000000000000A",
    "Store a file, as the server does by archive_command = 'drtool wal push %p'.",
    NULL,
};

const struct command cmd_wal_push = {
    .name = "wal push",
    .args = "FILE...",
    .summary = "store files of a PostgreSQL server's log, as its archive_command",
    .needs = NEEDS_CONFIG,
    .complete = COMPLETE_FILE,
    .examples = push_examples,
    .run = run_push,
};

struct fetch_options {
    const char *system;
};

/* In the server's own folder of its log, so that a file only has to be moved; NULL when
 * the destination is elsewhere. */
static char *
ahead_of(const char *to)
{
    const char *slash = strrchr(to, '/');
    size_t len = slash ? (size_t)(slash - to) : 0;

    return len == 6 && memcmp(to, "pg_wal", 6) == 0 ? mem_strdup("pg_wal/.drtool-ahead")
                                                    : NULL;
}

/* 1, 0, -1 as engine_wal_fetch(). */
static int
fetch(struct app *app, struct wal_fetch_options *o, struct err *e)
{
    CLEANUP(repo_close_p) struct repo *r = NULL;

    if (app->arg_count != 2)
        return err_set(e, ERR_USAGE, 0,
                       "which file, and where to? restore_command gives them as %%f and "
                       "%%p");
    if (engine_wal_ready(o))
        return 1;
    if (app_load_config(app, e) < 0)
        return -1;
    o->ask_all = app->conf->wal.ack_spool;
    return open_log_for_reading(app, &r, e) < 0 ? -1 : engine_wal_fetch(r, o, e);
}

/* A server that recovers takes any usual status for the end of the log, and that of a
 * configuration that cannot be read too. One that follows another asks again. */
static enum status
run_fetch(struct app *app, struct err *e)
{
    const struct fetch_options *fo = app->options;
    const char *to = app->arg_count == 2 ? app->args[1] : "";
    AUTOFREE char *ahead = fo->system ? NULL : ahead_of(to);
    struct wal_fetch_options o = {
        .file = app->args[0], .to = to, .system = fo->system, .ahead = ahead
    };

    int found = fetch(app, &o, e);
    if (found == 1)
        return STATUS_OK;
    if (found == 0)
        err_set(e, ERR_NOT_FOUND, 0, "%s is not stored", o.file);
    else if (access("standby.signal", F_OK) < 0)
        app_note(app, STATUS_STOP);
    return app_fail(e);
}

#define AT(field) offsetof(struct fetch_options, field)

static const struct option fetch_options[] = {
    { OPT_STRING, "system", 0, "NUMBER", AT(system), COMPLETE_NONE,
      "of the server with this system identifier (default: by the data folder we are "
      "in)" },
    { OPT_END, NULL, 0, NULL, 0, COMPLETE_NONE, NULL },
};

static const char *const fetch_examples[] = {
    "drtool wal fetch 00000001000000000000000A pg_wal/RECOVERYXLOG",
    "Bring it back, as the server does by restore_command = 'drtool wal fetch %f %p'.",
    NULL,
};

const struct command cmd_wal_fetch = {
    .name = "wal fetch",
    .args = "NAME FILE",
    .summary = "bring a file of a server's log back, as its restore_command",
    .options = fetch_options,
    .options_size = sizeof(struct fetch_options),
    .complete = COMPLETE_FILE,
    .examples = fetch_examples,
    .run = run_fetch,
};
