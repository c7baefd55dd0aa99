#include "cli/app.h"
#include "cli/commands.h"
#include "cli/output.h"

#include <stdio.h>

static enum status
run(struct app *app, struct err *e)
{
    (void)e;
    json_put_text(app->result, "version", DRTOOL_VERSION);
    if (!app->json)
        printf("drtool %s\n", DRTOOL_VERSION);
    return STATUS_OK;
}

const struct command cmd_version = {
    .name = "version",
    .summary = "print the version",
    .run = run,
};
