#include "cli/app.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/parse.h"

#include <stdio.h>
#include <string.h>

/* The words of "key add" come as one when --help asks. */
static size_t
split(const struct app *app, char *first, size_t size, const char *words[2])
{
    if (app->arg_count != 1 || !strchr(app->args[0], ' ')) {
        memcpy(words, app->args, app->arg_count * sizeof words[0]);
        return app->arg_count;
    }
    snprintf(first, size, "%s", app->args[0]);
    char *space = strchr(first, ' ');
    *space = 0;
    words[0] = first;
    words[1] = space + 1;
    return 2;
}

static enum status
run(struct app *app, struct err *e)
{
    AUTOBUF struct buf out = BUF(HELP_MAX);
    const char *words[2] = { NULL, NULL };
    char first[64];
    size_t used = 0, count = split(app, first, sizeof first, words);

    if (count == 0) {
        help_overview(commands, &out);
    } else {
        const struct command *c = parse_find(commands, words, count, &used);
        if (c && used == count)
            help_command(c, &out);
        else if (count != 1 || !help_group(commands, words[0], &out))
            return parse_unknown(commands, words, count, e), app_fail(e);
    }
    fputs(buf_cstr(&out), stdout);
    return STATUS_OK;
}

static const char *const examples[] = {
    "drtool help",
    "List the commands.",
    "drtool help config check",
    "Tell all about one command.",
    NULL,
};

const struct command cmd_help = {
    .name = "help",
    .args = "[COMMAND [WORD]]",
    .summary = "tell how to use drtool or one of its commands",
    .needs = OWNS_STDOUT,
    .complete = COMPLETE_COMMAND,
    .examples = examples,
    .run = run,
};
