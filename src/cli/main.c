/*
 * drtool: reads the command line, runs the command, prints the error once.
 */
#include "base/cancel.h"
#include "base/log.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/parse.h"
#include "crypto/seal.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* --json counts on a line that could not be understood, too. */
static bool
asks_for_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

static void
set_log_level(const struct globals *g)
{
    if (g->quiet)
        log_set_level(LOG_WARN);
    else if (g->verbose > 0)
        log_set_level(g->verbose > 1 ? LOG_DEBUG : LOG_INFO);
}

/* --help and --version stand for the commands of that name; --help asks about
 * the command that was named, or the words that name none. */
static const struct command *
stand_in(struct parsed *p)
{
    if (p->globals.version)
        return &cmd_version;
    if (!p->globals.help)
        return p->command;
    return &cmd_help;
}

/* What was written must have arrived; a reader that has seen enough is fine. */
static enum status
flush_output(enum status s)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return s;
    if (errno != EPIPE)
        fprintf(stderr, "drtool: writing to standard output: %s\n", strerror(errno));
    return status_worse(s, STATUS_FAILED);
}

static enum status
run(struct app *app, struct err *e)
{
    enum status s = app_open(app, e) < 0 ? app_fail(e) : app->command->run(app, e);

    s = app_status(app, s);
    if (e->kind != ERR_NONE)
        s = status_worse(s, err_status(e->kind));
    app_finish(app, s, e);
    app_close(app);
    return s;
}

/* What is nicer already stays so. */
static int
be_nice(unsigned n, struct err *e)
{
    if (n > 19)
        return err_set(e, ERR_USAGE, 0, "--nice goes up to 19, not to %u", n);
    if ((int)n > getpriority(PRIO_PROCESS, 0) && setpriority(PRIO_PROCESS, 0, (int)n) < 0)
        return err_sys(e, errno, "becoming nicer");
    return 0;
}

int
main(int argc, char **argv)
{
    CLEANUP(parse_release) struct parsed p = { 0 };
    struct app app = { 0 };
    struct err e = { 0 };

    setlocale(LC_CTYPE, "");
    cancel_watch_signals();
    crypto_init();
    if (parse_line(commands, argc, (const char *const *)argv, &p, &e) < 0
        || be_nice(p.globals.nice, &e) < 0) {
        app.json = asks_for_json(argc, argv);
        app.command = p.command;
        app_finish(&app, app_fail(&e), &e);
        return status_number(flush_output(app_fail(&e)));
    }
    set_log_level(&p.globals);
    app.command = stand_in(&p);
    app.options = p.options;
    app.args = p.args;
    app.arg_count = p.arg_count;
    app.config_path = p.globals.config;
    app.json = p.globals.json;
    app.progress = p.globals.progress;
    app.quiet = p.globals.quiet;
    app.verbose = p.globals.verbose;
    app.limit_upload = p.globals.limit_upload;
    app.limit_download = p.globals.limit_download;
    const char *named[] = { p.command ? p.command->name : NULL, NULL };
    if (app.command == &cmd_help && p.command && p.command != &cmd_help) {
        app.args = named;
        app.arg_count = 1;
    }
    return status_number(flush_output(run(&app, &e)));
}
