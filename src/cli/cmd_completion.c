#include "base/text.h"
#include "cli/app.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/man.h"
#include "cli/open.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum status
print_script(struct app *app, struct err *e)
{
    AUTOBUF struct buf out = BUF(COMPLETE_MAX);

    if (complete_script(commands, app->args[0], &out, e) < 0)
        return app_fail(e);
    fwrite(out.ptr, 1, out.len, stdout);
    return STATUS_OK;
}

static const char *const examples[] = {
    "drtool completion bash > /etc/bash_completion.d/drtool",
    "Complete drtool's words in bash.",
    NULL,
};

const struct command cmd_completion = {
    .name = "completion",
    .args = "bash|zsh|fish",
    .summary = "print a script that completes drtool's words in a shell",
    .needs = OWNS_STDOUT,
    .complete = COMPLETE_SHELL,
    .examples = examples,
    .run = print_script,
};

/* The first words; of a group it is enough to say it once. */
static void
offer_commands(void)
{
    size_t last = 0;

    for (size_t i = 0; commands[i]; i++) {
        size_t len = strcspn(commands[i]->name, " ");
        bool again = i > 0 && len == last
                  && memcmp(commands[i]->name, commands[i - 1]->name, len) == 0;
        last = len;
        if (!again && !command_hidden(commands[i]))
            printf("%.*s\n", (int)len, commands[i]->name);
    }
}

static void
offer_configured(struct app *app, bool targets)
{
    struct err ignored = { 0 };

    if (app_load_config(app, &ignored) < 0)
        return;
    for (size_t i = 0; targets && i < app->conf->target_count; i++)
        puts(app->conf->targets[i].name);
    for (size_t i = 0; !targets && i < app->conf->source_count; i++)
        puts(app->conf->sources[i].name);
}

#define SNAPSHOTS_WAIT_S 5 /* who types does not wait for a target that is away */

static void
give_up(int signal_number)
{
    (void)signal_number;
    _exit(0); /* what was offered before is out already */
}

/* A source's name is a snapshot too: its newest. Then the ids of all. */
static void
offer_snapshots(struct app *app)
{
    CLEANUP(repo_close_p) struct repo *r = NULL;
    CLEANUP(snapshot_list_release) struct snapshot_list l = { 0 };
    struct err ignored = { 0 };
    char hex[65];

    offer_configured(app, false);
    fflush(stdout);
    if (!app->conf || !freopen("/dev/null", "w", stderr)) /* no warnings either */
        return;
    signal(SIGALRM, give_up);
    alarm(SNAPSHOTS_WAIT_S);
    if (open_for_reading(app, &r, &ignored) == 0 && repo_snapshots(r, &l, &ignored) == 0)
        for (size_t i = 0; i < l.count; i++)
            if (l.rows[i].loaded && snapshot_committed(&l.rows[i])) {
                text_hex(hex, l.rows[i].info.id, 6);
                puts(hex);
            }
    fflush(stdout);
}

static enum status
offer(struct app *app, struct err *e)
{
    const char *kind = app->args[0];

    (void)e;
    if (strcmp(kind, complete_word(COMPLETE_COMMAND)) == 0) {
        offer_commands();
    } else if (strcmp(kind, complete_word(COMPLETE_SHELL)) == 0) {
        puts("bash\nzsh\nfish");
    } else if (strcmp(kind, complete_word(COMPLETE_TARGET)) == 0) {
        offer_configured(app, true);
    } else if (strcmp(kind, complete_word(COMPLETE_SOURCE)) == 0) {
        offer_configured(app, false);
    } else if (strcmp(kind, complete_word(COMPLETE_SNAPSHOT)) == 0) {
        offer_snapshots(app);
    }
    return STATUS_OK;
}

const struct command cmd_complete_hidden = {
    .name = "__complete",
    .args = "KIND",
    .summary = "print what a shell may offer, one a line",
    .needs = OWNS_STDOUT,
    .run = offer,
};

static enum status
print_page(struct app *app, struct err *e)
{
    AUTOBUF struct buf out = BUF(MAN_MAX);

    if (app->arg_count == 0)
        man_list(commands, &out);
    else if (man_page(commands, app->args[0], "man", &out, e) < 0)
        return app_fail(e);
    fwrite(out.ptr, 1, out.len, stdout);
    return STATUS_OK;
}

const struct command cmd_man_hidden = {
    .name = "__man",
    .args = "[PAGE]",
    .summary = "print a manual page, or the names of all",
    .needs = OWNS_STDOUT,
    .run = print_page,
};
